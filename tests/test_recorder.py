"""A recorder beside a verifier: what it counts, where it reports, and what it does when that fails."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keyctl import Code, Recorder, Verifier
from keyctl.bundles.signing import SigningKey
from keyctl.errors import StoreUnavailable, UsageError
from keyctl.recorder import LIMIT
from keyctl.store import usage
from keyctl.store.selection import Selection
from keyctl.times import utc_now
from keyctl.usage.recorders import Instance
from keyctl.usage.report import Report, from_line
from tests.bundle_files import export
from tests.cli.helpers import AS_ORDINARY_USER
from tests.stores import Opened, new_store
from tests.test_verifier import other_secret

ROOT = Path(__file__).parent.parent
NEVER = 3600.0  # seconds: the thread of a test's recorder does nothing
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def opened(opened: Opened) -> Opened:
    opened.clock.now = utc_now()
    return opened


def used(opened: Opened) -> dict[str, dict[str, int]]:
    """Return what is counted in the store, by the id of the key."""
    with opened.store.read() as connection:
        return usage.totals(connection, since=LONG_AGO)


def instances(opened: Opened) -> list[Instance]:
    with opened.store.read() as connection:
        return usage.instances(connection)


def last_used(opened: Opened, prefix: str) -> datetime | None:
    record = opened.store.find(prefix)
    assert record
    return record.key.last_used_at


@pytest.fixture
def recorder(opened: Opened) -> Iterator[Recorder]:
    with closing(Recorder.to_store(opened.store.location.url, name="api", every=NEVER)) as recorder:
        yield recorder


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# ── what is counted ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_answer_about_a_key_is_counted_by_its_code(opened: Opened, recorder: Recorder):
    [good], [locked] = opened.mint(scopes=["read"]), opened.mint()
    opened.admin.lock(Selection.named(locked.record.key.prefix))
    wrong = other_secret(good.text)
    with Verifier.from_store(opened.store.location.url, recorder=recorder) as verifier:
        for _ in range(3):
            assert verifier.verify(good.text)
        assert verifier.verify(good.text, scopes=["write"]).code is Code.FORBIDDEN_SCOPE
        assert verifier.verify(wrong).reason == "wrong secret"
        assert verifier.verify(locked.text).code is Code.KEY_LOCKED
        for unknown in (None, "", "x", "kc_live_" + "0" * 12 + "_" + "0" * 32 + "2fJxbX"):
            assert not verifier.verify(unknown)

    assert used(opened) == {}
    assert recorder.flush()
    assert used(opened) == {
        good.record.key.id: {"VALID": 3, "WRONG_SECRET": 1, "FORBIDDEN_SCOPE": 1},
        locked.record.key.id: {"KEY_LOCKED": 1},
    }
    moment = last_used(opened, good.record.key.prefix)
    assert moment
    assert abs(moment - utc_now()) < timedelta(seconds=60)
    assert last_used(opened, locked.record.key.prefix) is None


def test_a_request_is_counted_once(opened: Opened, recorder: Recorder):
    [minted] = opened.mint()
    with Verifier.from_store(opened.store.location.url, recorder=recorder) as verifier:
        for _ in range(2):
            assert verifier.verify_request("GET", "/", {"authorization": f"Bearer {minted.text}"})

    recorder.flush()

    assert used(opened) == {minted.record.key.id: {"VALID": 2}}


@pytest.mark.sqlite
def test_answers_in_an_event_loop_are_counted_once(opened: Opened, recorder: Recorder):
    import asyncio

    [minted] = opened.mint()
    headers = {"authorization": f"Bearer {minted.text}"}

    async def ask() -> None:
        with Verifier.from_store(opened.store.location.url, recorder=recorder) as verifier:
            for _ in range(3):  # not seen before, then at once
                assert await verifier.averify(minted.text)
                assert await verifier.averify_request("GET", "/", headers)

    asyncio.run(ask())
    recorder.flush()

    assert used(opened) == {minted.record.key.id: {"VALID": 6}}


@pytest.mark.sqlite
def test_no_count_is_lost_between_threads(opened: Opened, recorder: Recorder):
    minted = opened.mint(count=4)
    with Verifier.from_store(opened.store.location.url, recorder=recorder) as verifier:

        def verify_all() -> None:
            for _ in range(100):
                for one in minted:
                    assert verifier.verify(one.text)

        threads = [threading.Thread(target=verify_all) for _ in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            recorder.flush()
        recorder.flush()

    assert used(opened) == {one.record.key.id: {"VALID": 800} for one in minted}


def test_two_recorders_add_to_each_other(opened: Opened):
    [minted] = opened.mint()
    url = opened.store.location.url
    two = [Recorder.to_store(url, name="api", every=NEVER) for _ in range(2)]
    for recorder in two:
        with Verifier.from_store(url, recorder=recorder) as verifier:
            verifier.verify(minted.text)

    for recorder in two:
        recorder.close()

    assert used(opened) == {minted.record.key.id: {"VALID": 2}}
    assert [one.ended_at is not None for one in instances(opened)] == [True, True]


def test_a_recorder_reports_by_itself(opened: Opened):
    [minted] = opened.mint()
    url = opened.store.location.url
    with (
        closing(Recorder.to_store(url, name="api", every=0.05)) as recorder,
        Verifier.from_store(url, recorder=recorder) as verifier,
    ):
        verifier.verify(minted.text)
        wait_for(lambda: used(opened))
        verifier.verify(minted.text)
        wait_for(lambda: used(opened) == {minted.record.key.id: {"VALID": 2}})


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 101, "-"])
def test_a_name_that_cannot_be_typed_is_refused(opened: Opened, name: str):
    with pytest.raises(UsageError, match="cannot be the name of a recorder"):
        Recorder.to_store(opened.store.location.url, name=name)
    with pytest.raises(UsageError):
        Recorder.to_file(opened.path.with_suffix(".jsonl"), name=name)
    assert instances(opened) == []


@pytest.mark.sqlite
@pytest.mark.parametrize("every", [0, -1, 3601, float("nan")])
def test_an_interval_out_of_range_is_refused(opened: Opened, every: float):
    with pytest.raises(UsageError, match="a recorder cannot report every"):
        Recorder.to_store(opened.store.location.url, every=every)


@pytest.mark.sqlite
def test_a_recorder_to_nothing_is_an_error_at_once(tmp_path: Path):
    with pytest.raises(StoreUnavailable, match="there is no keyctl store"):
        Recorder.to_store(tmp_path / "missing.db")
    with pytest.raises(UsageError):
        Recorder.to_store("redis://127.0.0.1/0")


@pytest.mark.sqlite
def test_a_recorder_to_a_store_that_may_only_be_read_is_an_error_at_once(opened: Opened, tmp_path: Path):
    tmp_path.chmod(0o755)
    opened.path.chmod(0o444)
    code = f"from keyctl import Recorder; Recorder.to_store({str(opened.path)!r})"
    as_user = AS_ORDINARY_USER.split() if os.geteuid() == 0 else []

    done = subprocess.run([*as_user, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "StoreUnavailable" in done.stderr
    assert "cannot be written to: it is read-only for this user" in done.stderr
    assert instances(opened) == []


@pytest.mark.sqlite
def test_a_recorder_of_another_store_is_refused_by_the_verifier(opened: Opened, tmp_path: Path):
    other = new_store(tmp_path / "other.db")
    other.store.write(lambda c: c.exec_driver_sql("update settings set value = 'store_x' where name = 'store_id'"))
    with (
        closing(Recorder.to_store(opened.path, name="api", every=NEVER)) as recorder,
        pytest.raises(UsageError, match=r"the recorder api is for the store store_01.*has keys of store_x"),
    ):
        Verifier.from_store(other.path, recorder=recorder)
    other.store.close()


def test_another_recorder_of_the_name_on_another_host_is_warned_about(
    opened: Opened, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    url = opened.store.location.url
    with closing(Recorder.to_store(url, name="api", every=NEVER)):
        Recorder.to_store(url, name="api", every=NEVER).close()  # another worker here
        assert caplog.messages == []
        monkeypatch.setattr("keyctl.recorder._host", lambda: "web2")

        Recorder.to_store(url, name="api", every=NEVER).close()

        [message] = caplog.messages
        assert "another recorder has the name api, and last reported" in message
        assert "give each a name of its own" in message
        assert len({one.instance for one in instances(opened)}) == 3


# ── when it cannot report ────────────────────────────────────────────────────────────────────────────────────────────


class Away:
    """A destination that fails as often as it is told to."""

    def __init__(self) -> None:
        self.store_id: str | None = "store_1"
        self.failing = True
        self.written: list[Report] = []

    def write(self, report: Report) -> None:
        if self.failing:
            raise StoreUnavailable("the store is away")
        self.written.append(report)

    def close(self) -> None:
        pass

    @property
    def counted(self) -> int:
        return sum(
            count
            for report in self.written
            for use in report.keys.values()
            for counts in use.hours.values()
            for count in counts.values()
        )


def test_what_cannot_be_reported_is_kept_within_bounds_and_said_once(caplog: pytest.LogCaptureFixture):
    away = Away()
    recorder = Recorder(away, name="api", every=NEVER, limit=3)
    for _ in range(4):
        for number in range(5):
            recorder.record_wrong_secret(f"key_{number}")
        assert not recorder.flush()

    # Three cells wait in the first report, and three in memory: of the rest nothing is kept.
    assert recorder.dropped == 2 + 3 * 2
    [no_room, said] = caplog.messages
    assert no_room == "the recorder api had no room for 2 answers, which are not counted"
    assert said == "the recorder api cannot report, and retries: the store is away; at most 3 counts are kept"

    away.failing = False
    assert recorder.flush()

    assert away.counted == 3 + 9
    assert [report.sequence for report in away.written] == [1, 2]
    assert [report.dropped for report in away.written] == [2, 6]
    assert caplog.messages[2] == "the recorder api reports again"
    recorder.close()
    assert away.written[-1].ended
    assert LIMIT >= 100_000


def test_a_failing_destination_never_reaches_the_application(caplog: pytest.LogCaptureFixture):
    class Broken(Away):
        def write(self, report: Report) -> None:  # noqa: ARG002 - as called
            raise MemoryError("broken")

    recorder = Recorder(Broken(), name="api", every=NEVER)
    recorder.record_wrong_secret("key_1")

    assert not recorder.flush()
    recorder.close()
    recorder.record_wrong_secret("key_1")

    assert caplog.messages[-1] == "the recorder api ends, and what it could not report is lost"


def test_a_clock_that_is_set_back_ends_no_interval_before_it_begins():
    away, now = Away(), [1_000_000.0]
    away.failing = False
    recorder = Recorder(away, name="api", every=NEVER, clock=lambda: now[0])
    recorder.record_wrong_secret("key_1")
    now[0] += 20
    recorder.flush()
    now[0] -= 60

    recorder.close()

    assert [(report.since, report.until) for report in away.written] == [
        (1_000_000_000, 1_000_020_000),
        (1_000_020_000, 1_000_020_000),
    ]


def test_many_keys_are_reported_in_parts():
    away = Away()
    away.failing = False
    recorder = Recorder(away, name="api", every=NEVER)
    for number in range(12_000):
        recorder.record_wrong_secret(f"key_{number}")

    recorder.close()

    assert [len(report.keys) for report in away.written] == [5000, 5000, 2000]
    assert [report.ended for report in away.written] == [False, False, True]


@pytest.mark.sqlite
def test_an_answer_does_not_wait_for_a_recorder_that_waits_for_the_store(opened: Opened, recorder: Recorder):
    [minted] = opened.mint()
    with (
        Verifier.from_store(opened.path, recorder=recorder) as verifier,
        closing(sqlite3.connect(opened.path)) as other,
    ):
        assert verifier.verify(minted.text)
        other.execute("begin immediate")  # readers are not kept waiting, writers are
        reporting = threading.Thread(target=recorder.flush)
        reporting.start()
        time.sleep(0.1)

        begin = time.monotonic()
        for _ in range(100):
            assert verifier.verify(minted.text)
        took = time.monotonic() - begin

        assert reporting.is_alive()
        other.rollback()
        reporting.join()
    assert took < 1
    recorder.flush()
    assert used(opened) == {minted.record.key.id: {"VALID": 101}}


@pytest.mark.sqlite
def test_a_store_that_is_away_and_comes_back_has_every_count(opened: Opened, caplog: pytest.LogCaptureFixture):
    [minted] = opened.mint()
    away = opened.path.with_suffix(".away")
    with (
        closing(Recorder.to_store(opened.path, name="api", every=0.05)) as recorder,
        Verifier.from_store(opened.path, recorder=recorder) as verifier,
    ):
        assert verifier.verify(minted.text)
        opened.path.rename(away)
        recorder.record(verifier_decision := Verified(minted.record))
        wait_for(lambda: caplog.messages)
        recorder.record(verifier_decision)
        away.rename(opened.path)
        wait_for(lambda: used(opened) == {minted.record.key.id: {"VALID": 3}})
    assert "cannot report, and retries" in caplog.messages[0]
    assert caplog.messages[-1] == "the recorder api reports again"


class Verified:
    """What a recorder looks at in a decision."""

    code = Code.VALID

    def __init__(self, record: Any) -> None:
        self.record = record


def test_a_commit_whose_outcome_was_unknown_is_not_counted_twice(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    [minted] = opened.mint()
    url = opened.store.location.url
    with closing(Recorder.to_store(url, name="api", every=NEVER)) as recorder:
        recorder.record(Verified(minted.record))
        store = recorder._destination._store
        write = store.write

        def commit_and_lose(work: Callable[..., Any]) -> Any:
            write(work)
            raise StoreUnavailable("the connection was lost during a commit, and the outcome is unknown")

        with monkeypatch.context() as patch:
            patch.setattr(store, "write", commit_and_lose)
            assert not recorder.flush()
        assert recorder.flush()

    assert used(opened) == {minted.record.key.id: {"VALID": 1}}


# ── the end of a process, and fork ───────────────────────────────────────────────────────────────────────────────────


def run(opened: Opened, then: str, **given: Any) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.recording"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    process.stdin.write(json.dumps({"store": opened.store.location.url, "then": then, **given}) + "\n")
    process.stdin.flush()
    return process


def test_a_child_of_fork_reports_its_own_counts(opened: Opened):
    reports_at_its_end(opened, "fork", times=4, processes=2)


@pytest.mark.sqlite
@pytest.mark.parametrize(("then", "times", "processes"), [("end", 2, 1), ("multiprocessing", 4, 2), ("daemon", 2, 1)])
def test_a_process_reports_at_its_end_however_it_ends(opened: Opened, then: str, times: int, processes: int):
    reports_at_its_end(opened, then, times=times, processes=processes)


def reports_at_its_end(opened: Opened, then: str, *, times: int, processes: int) -> None:
    minted = opened.mint(count=2)

    out, err = run(opened, then, keys=[one.text for one in minted]).communicate(timeout=60)

    assert (out, err) == ("", "")
    assert used(opened) == {one.record.key.id: {"VALID": times} for one in minted}
    known = instances(opened)
    assert len(known) == len({one.pid for one in known}) == processes
    assert {one.name for one in known} == {"api"}
    assert all(one.ended_at for one in known) or then == "daemon"


def test_a_killed_process_loses_one_interval_at_most(opened: Opened):
    minted = opened.mint(count=2)
    process = run(opened, "wait", keys=[one.text for one in minted], every=0.2)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    time.sleep(1)

    process.kill()
    process.communicate()

    assert used(opened) == {one.record.key.id: {"VALID": 2} for one in minted}
    [one] = instances(opened)
    assert one.ended_at is None
    assert not one.is_late(utc_now())
    assert one.is_late(utc_now() + timedelta(minutes=4))


# ── a file ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_recorder_to_a_file_serves_a_verifier_of_a_bundle(opened: Opened, tmp_path: Path):
    signer = SigningKey.create(tmp_path / "signing.key")
    [minted] = opened.mint()
    export(opened, tmp_path / "keys.bundle", signer)
    recorder = Recorder.to_file(tmp_path / "usage.jsonl", name="edge", every=NEVER)
    assert recorder.flush()  # nothing to say before it has a store
    with Verifier.from_bundle(tmp_path / "keys.bundle", [signer.public_text], recorder=recorder) as verifier:
        assert verifier.verify(minted.text)
        assert not verifier.verify(other_secret(minted.text))
    recorder.close()

    [line] = (tmp_path / "usage.jsonl").read_bytes().splitlines()
    report = from_line(line)
    assert (report.store_id, report.recorder.name, report.sequence) == (opened.store.store_id, "edge", 1)
    assert report.ended
    assert [dict(hours) for use in report.keys.values() for hours in use.hours.values()] == [
        {"VALID": 1, "WRONG_SECRET": 1}
    ]
    assert minted.record.key.prefix not in line.decode()
    assert minted.text[20:] not in line.decode()


@pytest.mark.sqlite
def test_an_idle_recorder_says_that_it_is_there(tmp_path: Path, opened: Opened):
    now = [1_760_000_000.0]
    away = Away()
    away.failing = False
    recorder = Recorder(away, name="api", every=10, clock=lambda: now[0])
    recorder.bind("store_1")
    for _ in range(13):
        now[0] += 10
        recorder._report()

    assert [(report.since, report.until) for report in away.written] == [
        (1_760_000_000_000, 1_760_000_060_000),
        (1_760_000_060_000, 1_760_000_120_000),
    ]
    recorder.close()
