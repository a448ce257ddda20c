"""Several processes at one store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

from keyctl.models import Event, Key
from keyctl.store import event_search, key_pages
from keyctl.store.database import Store
from keyctl.store.event_search import EventFilters
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Filters
from keyctl.times import utc_now
from tests import postgres
from tests.cli.helpers import CHEAP, location, mint_many
from tests.runner import TIMEOUT, Cli

PATIENT = ("--wait", "60s")


def default_store(cli: Cli) -> Path:
    return cli.home / ".local/share/keyctl/keyctl.db"


def test_ten_mints_at_once_all_succeed(store: Cli):
    processes = [store.spawn("mint", "--count", "3", *PATIENT) for _ in range(10)]

    texts = [text for process in processes for text in process.wait().expect(0).out.split()]

    assert len(set(texts)) == 30
    assert store("audit", "verify", check=0).out == "intact: 21 events, 30 keys, 0 owners\n"
    assert all(key["delivered_at"] for key in store("list", "--json", check=0).json["keys"])


def test_first_mints_at_once_make_one_store_and_all_succeed(cli: Cli):
    processes = [cli.spawn("mint", *PATIENT) for _ in range(8)]

    results = [process.wait().expect(0) for process in processes]

    assert sum("created the store" in result.err for result in results) == 1
    assert len({result.out for result in results}) == 8
    for result in results:
        cli("verify", stdin=result.out, check=0)
    assert cli("audit", "verify", check=0).out == "intact: 17 events, 8 keys, 0 owners\n"
    assert [path.name for path in default_store(cli).parent.iterdir()] == ["keyctl.db"]


def test_a_key_revoked_while_others_record_its_use_stays_revoked(store: Cli):
    text = store("mint", check=0).out
    prefix = text.rpartition("_")[0]
    verifying = [store.spawn("verify", "--record", *PATIENT, stdin=text) for _ in range(6)]
    revoking = store.spawn("revoke", prefix, "--yes", *PATIENT)
    verifying += [store.spawn("verify", "--record", *PATIENT, stdin=text) for _ in range(6)]

    revoking.wait().expect(0)
    codes = [process.wait().code for process in verifying]

    assert set(codes) <= {0, 12}
    store("verify", stdin=text, check=12)
    store("verify", "--record", stdin=text, check=12)
    key = store("show", prefix, "--json", check=0).json
    assert key["status"] == "revoked"
    assert (key["last_used_at"] is not None) == (0 in codes)
    store("audit", "verify", check=0)


def test_use_is_recorded_without_undoing_any_other_change(store: Cli):
    text = store("mint", "--name", "before", "--scope", "read", check=0).out
    prefix = text.rpartition("_")[0]
    changes = (
        ["update", "--set-name", "after"],
        ["scope", "--add", "write"],
        ["lock"],
        ["unlock"],
        ["expire", "--to", "30d"],
    )
    processes = []
    for command, *options in changes:
        processes += [store.spawn("verify", "--record", *PATIENT, stdin=text) for _ in range(2)]
        store(command, prefix, *options, *PATIENT, check=0)

    codes = {process.wait().code for process in processes}

    assert codes <= {0, 14}
    key = store("show", prefix, "--json", check=0).json
    assert (key["name"], key["scopes"], key["status"]) == ("after", ["read", "write"], "active")
    assert key["expires_at"]
    assert key["last_used_at"]
    store("audit", "verify", check=0)


@pytest.mark.torture
def test_of_rotations_at_once_one_wins_and_the_key_of_every_other_is_dead(store: Cli, rounds):
    for _ in range(3):
        text = store("mint", check=0).out
        prefix = text.rpartition("_")[0]
        processes = [store.spawn("rotate", prefix, "--grace", "0", *PATIENT) for _ in range(rounds(4, 16))]

        results = [process.wait() for process in processes]

        codes = Counter(result.code for result in results)
        assert codes == {0: 1, 4: len(results) - 1}, [str(result) for result in results]
        [winner] = [result for result in results if result.code == 0]
        old = store("show", prefix, "--json", check=0).json
        new = store("show", winner.out.rpartition("_")[0], "--json", check=0).json
        assert (old["replaced_by"], old["status"], new["replaces"]) == (new["id"], "revoked", old["id"])
        store("verify", stdin=winner.out, check=0)
        store("verify", stdin=text, check=12)
        for result in results:
            if result is not winner and result.out:  # was written out before it was overtaken
                assert "just delivered, is revoked" in result.err
                store("verify", stdin=result.out, check=12)
    alive = store("list", "--status", "active", "--json", check=0).json["keys"]
    assert len(alive) == 3
    store("audit", "verify", check=0)


def test_a_rotation_and_a_revocation_at_once_leave_no_key_in_doubt(store: Cli):
    for _ in range(3):
        text = store("mint", check=0).out
        prefix = text.rpartition("_")[0]
        rotating = store.spawn("rotate", prefix, "--grace", "1h", *PATIENT)
        store("revoke", prefix, "--yes", *PATIENT, check=0)
        rotated = rotating.wait()

        assert rotated.code in {0, 4}, rotated
        store("verify", stdin=text, check=12)
        if rotated.code == 0:
            store("verify", stdin=rotated.out, check=0)
    store("audit", "verify", check=0)


def test_a_key_revoked_twice_at_once_has_one_event(store: Cli):
    prefix = store("mint", check=0).out.rpartition("_")[0]
    processes = [store.spawn("revoke", prefix, *PATIENT) for _ in range(5)]

    assert [process.wait().code for process in processes] == [0] * 5

    events = store("audit", "list", "--action", "key.revoked", "--json", check=0).json["events"]
    assert len(events) == 1


def test_an_owner_asked_for_by_several_mints_at_once_is_made_once(store: Cli):
    processes = [store.spawn("mint", "--owner", "acme", "--create-owner", *PATIENT) for _ in range(6)]

    for process in processes:
        process.wait().expect(0)

    assert len(store("owner", "list", "--json", check=0).json["owners"]) == 1
    assert store("audit", "verify", check=0).out == "intact: 14 events, 6 keys, 1 owner\n"


# ── many changes at once, through KeyAdmin ───────────────────────────────────────────────────────────────────────────

OWNERS = ["acme", "globex", "initech"]


def fill(cli: Cli) -> list[str]:
    """Mint the keys that all processes change; return their texts."""
    return [
        key["key"]
        for owner in OWNERS
        for key in mint_many(cli, 5, "--owner", owner, "--create-owner", "--scope", "read")
    ]


def work(cli: Cli, texts: list[str], processes: int, operations: int) -> list[dict[str, Any]]:
    """Let several processes make random changes; return their reports."""
    given = {"store": location(cli), "keys": texts, "owners": OWNERS, "operations": operations}
    program = ["-c", "import runpy; runpy.run_module('tests.workload', run_name='__main__')"]
    env = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    running = [
        cli.spawn_python(*program, stdin=json.dumps(given | {"number": number}), env=env) for number in range(processes)
    ]
    return [process.wait(TIMEOUT + operations).expect(0).json for process in running]


def everything(cli: Cli) -> tuple[list[Event], dict[str, Key]]:
    """Return all events, oldest first, and all keys by their ids."""
    with closing(Store(StoreLocation.parse(location(cli)))) as store:
        with store.read() as connection:
            page = key_pages.page(connection, Filters(), now=utc_now(), limit=None)
        log = list(event_search.find(store, EventFilters()))[::-1]
    return log, {record.key.id: record.key for record in page.records}


def content(event: Event) -> tuple[str, tuple[str, ...]]:
    concerned = event.detail.get("keys") or [event.detail.get("owner", {})]
    return event.action, tuple(sorted(one["id"] for one in concerned if one))


@pytest.mark.torture
def test_of_many_changes_at_once_none_is_lost_and_each_has_its_event(store: Cli, database: str, rounds, figure):
    texts = fill(store)
    before, _ = everything(store)
    processes, operations = rounds(4, 8), rounds(25, 200)

    reports = work(store, texts, processes, operations)

    assert store("audit", "verify", check=0).out.startswith("intact: ")
    after, rows = everything(store)
    new = after[len(before) :]
    # A report has no ids of the overtaken successors that it revoked: these are compared by their number.
    overtaken = [event for event in new if (event.action, event.reason) == ("key.revoked", "undelivered")]
    reported = Counter((action, tuple(ids)) for report in reports for action, ids in report["events"])
    assert Counter(content(event) for event in new if event not in overtaken) == reported
    assert len(overtaken) == sum(report["overtaken"] for report in reports)
    minted = [one for (action, ids), count in reported.items() if action == "key.minted" for one in ids * count]
    assert len(rows) == len(texts) + len(minted) == len(texts) + len(set(minted))
    for report in reports:
        for key_id, names in report["metadata"].items():
            assert set(names) <= rows[key_id].metadata.keys()
    used = {key_id for report in reports for key_id in report["used"]}
    for key_id in used:
        last = rows[key_id].last_used_at
        assert last
        assert round(last.timestamp() * 1000) == max(report["used"].get(key_id, 0) for report in reports)
    assert len(reported) > processes * operations / 4
    refused = sum(report["refused"] for report in reports)
    figure(
        f"concurrency: {database}, {processes} processes with {operations} changes each",
        f"{len(new)} events, {refused} refused, {len(overtaken)} rotations overtaken, "
        f"the longest took {max(report['longest'] for report in reports):.1f} s",
    )


@pytest.fixture
def durable_server(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of a server with PostgreSQL's own settings, which survives a power failure; None for SQLite."""
    if database == "sqlite":
        yield None
        return
    with postgres.shared_server(tmp_path, request.config.getoption("--postgres"), settings=()) as url:
        yield url


@pytest.mark.torture(only=True)
def test_the_throughput_does_not_collapse_with_the_number_of_processes(
    cli: Cli, database: str, durable_server: str | None, figure
):
    rates = {}
    for processes in (1, 2, 4, 8):
        file = nullcontext(str(cli.home / f"{processes}.db"))
        with postgres.schema(durable_server) if durable_server else file as cli.env["KEYCTL_STORE"]:
            cli("init", *CHEAP, check=0)
            reports = work(cli, fill(cli), processes, 400 // processes)
        rates[processes] = 400 / max(report["seconds"] for report in reports)
        figure(f"throughput: {database}, processes: {processes}", f"{rates[processes]:.0f} changes a second")

    assert min(rates.values()) > rates[1] / 4
