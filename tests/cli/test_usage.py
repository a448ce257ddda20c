"""`keyctl usage`: what is shown, watched and imported."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keyctl.store import usage
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.times import format_time, to_milliseconds, utc_now
from keyctl.usage.report import HOUR, Identity, KeyUse, Report, to_line
from tests.cli.helpers import changes_nothing, dump, location, mint, mint_many, refused, set_key, show, with_profile
from tests.runner import Cli
from tests.stores import used


@contextmanager
def opened_store(cli: Cli) -> Iterator[Store]:
    with closing(Store(StoreLocation.parse(location(cli)))) as store:
        yield store


def count(cli: Cli, key_id: str, number: int = 1, code: str = "VALID", **ago: float) -> None:
    """Let a recorder have counted."""
    at = utc_now() - timedelta(**ago)
    with opened_store(cli) as store:
        store.write(lambda c: usage.add(c, used(key_id, at, number, code), now=utc_now(), keep_hours=720))


def store_id(cli: Cli) -> str:
    with opened_store(cli) as store:
        return store.store_id


def report(
    cli: Cli, keys: dict[str, KeyUse], sequence: int = 1, *, until: datetime | None = None, **other: Any
) -> Report:
    moment = to_milliseconds(until or utc_now())
    recorder = Identity("edge", "ab12", "web1", 4242)
    return Report(store_id(cli), recorder, sequence, 60_000, moment - 10_000, moment, keys, **other)


def usage_file(cli: Cli, *reports: Report, name: str = "usage.jsonl") -> Path:
    file = cli.cwd / name
    file.write_text("".join(to_line(one) + "\n" for one in reports))
    return file


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_busiest_keys_are_shown_first(store: Cli):
    quiet, busy, unused = mint_many(store, 3, "--owner", "acme", "--create-owner", "--name", "website")
    count(store, quiet["id"], 2)
    count(store, busy["id"], 1000)
    count(store, busy["id"], 30, "WRONG_SECRET", hours=2)

    lines = [line.split("\t") for line in store("usage", check=0).out.splitlines()]

    assert [line[0] for line in lines] == [busy["prefix"], quiet["prefix"]]
    assert lines[0][1:3] == ["website", "acme"]
    assert lines[0][4:] == ["1000", "30"]
    assert lines[0][3] == show(store, busy["prefix"])["last_used_at"]
    every = store("usage", "--all", check=0).out.splitlines()
    assert sorted(line.split("\t")[0] for line in every) == sorted(one["prefix"] for one in (quiet, busy, unused))
    assert [line.split("\t")[3:] for line in every if unused["prefix"] in line] == [["", "0", "0"]]


def test_keys_are_chosen_by_selectors_or_owner(store: Cli):
    one = mint(store, "--owner", "acme", "--create-owner")
    other = mint(store)
    for key in (one, other):
        count(store, key["id"])

    assert store("usage", other["prefix"], check=0).out.startswith(other["prefix"])
    assert store("usage", "show", one["id"], check=0).out.startswith(one["prefix"])
    assert store("usage", "--owner", "acme", check=0).out.count("\n") == 1
    refused(store, "usage", "kc_live_000000000000", code=3, says="no key")
    refused(store, "usage", "--owner", "globex", code=3, says="no owner")
    refused(store, "usage", one["prefix"], "--all", code=2, says="one of them")


def test_json_has_hours_and_days_and_every_code(store: Cli):
    key = mint(store)
    count(store, key["id"], 5, hours=1)
    count(store, key["id"], 2, "KEY_LOCKED", days=2)

    answer = store("usage", key["prefix"], "--json", check=0).json

    [one] = answer["keys"]
    assert {name: one[name] for name in ("id", "prefix", "owner", "allowed", "refused", "codes")} == {
        "id": key["id"],
        "prefix": key["prefix"],
        "owner": None,
        "allowed": 5,
        "refused": 2,
        "codes": {"VALID": 5, "KEY_LOCKED": 2},
    }
    assert [hour["codes"] for hour in one["hours"]] == [{"KEY_LOCKED": 2}, {"VALID": 5}]
    assert [day["codes"] for day in one["days"]] == [{"KEY_LOCKED": 2}, {"VALID": 5}]
    assert all(hour["at"].endswith(":00:00Z") for hour in one["hours"])
    assert all(day["at"].endswith("T00:00:00Z") for day in one["days"])


def test_csv_counts_everything_once(store: Cli):
    key = mint(store)
    for hours in (1, 30, 24 * 60):
        count(store, key["id"], 3, hours=hours)
    count(store, key["id"], 2, "WRONG_SECRET")

    rows = list(csv.DictReader(io.StringIO(store("usage", "--csv", "--since", "100d", check=0).out)))

    assert [row["unit"] for row in rows] == ["day", "hour", "hour", "hour"]
    assert {row["prefix"] for row in rows} == {key["prefix"]}
    assert [(row["code"], row["count"]) for row in rows][-1] == ("WRONG_SECRET", "2")
    assert sum(int(row["count"]) for row in rows) == 11


def test_since_takes_a_length_or_a_time_in_the_past(store: Cli):
    key = mint(store)
    for hours in (0, 5, 100):
        count(store, key["id"], hours=hours)

    def allowed(since: str) -> int:
        found = store("usage", key["prefix"], "--since", since, "--json", check=0).json["keys"][0]["allowed"]
        assert isinstance(found, int)
        return found

    assert allowed("1h") == 1
    assert allowed("6h") == 2
    assert allowed(format_time(datetime.now(UTC) - timedelta(days=7))) == 3
    refused(store, "usage", "--since", "2999-01-01T00:00:00Z", code=2, says="is in the future")
    refused(store, "usage", "--since", "soon", code=2, says="is not a time")
    refused(store, "usage", "--since", "2026-02-31T00:00:00Z", code=2, says="calendar")


@pytest.mark.sqlite
def test_a_terminal_has_bars(store: Cli):
    key = mint(store)
    count(store, key["id"], 50, hours=2)
    count(store, key["id"], 100, "KEY_LOCKED")

    table = store.tty("usage").out
    assert "14 DAYS" in table
    assert table.splitlines()[1].rstrip().endswith("█")
    assert re.search(r"▄ █\s*$", store.tty("usage", "--since", "3h").out)
    one = store.tty("usage", key["prefix"]).out
    assert "by hour (UTC)" in one
    assert "by day (UTC)" in one
    assert "█" in one
    assert "░" in one
    assert "100 refused" in one
    assert "nothing" in store.tty("usage", mint(store)["prefix"]).out


@pytest.mark.sqlite
@pytest.mark.parametrize("columns", [44, 50, 80])
def test_bars_fit_the_terminal(store: Cli, columns: int):
    key = mint(store)
    count(store, key["id"], 1900)
    count(store, key["id"], 1100, "KEY_LOCKED")

    lines = store.tty("usage", key["prefix"], columns=columns).out.splitlines()
    drawn = [line for line in lines if "█" in line]
    assert len(drawn) == 2  # this hour, and this day
    assert all(line.endswith("1,900 allowed, 1,100 refused") for line in drawn)
    assert max(map(len, drawn)) <= max(columns, 53)


def test_csv_and_json_are_two_formats(store: Cli):
    assert "--csv cannot be used with --json" in store("usage", "--csv", "--json").expect(2).err


def test_an_unknown_recorder_is_named_before_anything_is_asked(store: Cli):
    refused(store, "usage", "recorders", "--forget", "nobody", code=3, says='no recorder "nobody"')


def test_a_store_without_use_says_so(store: Cli):
    mint(store)

    assert changes_nothing(store, "usage", says="no use is recorded since").out == ""
    assert store("usage", "--json", check=0).json["keys"] == []


def test_verify_record_is_counted_like_any_other_use(store: Cli):
    key = mint(store)
    for _ in range(2):
        store("verify", "--record", stdin=key["key"], check=0)

    assert store("usage", check=0).out.split("\t")[4:] == ["2", "0\n"]
    assert changes_nothing(store, "usage", "recorders", says="no recorder has reported yet").out == ""


# ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_denied_over_prints_who_and_exits_9(store: Cli):
    attacked, fine = mint(store, "--owner", "acme", "--create-owner"), mint(store)
    count(store, attacked["id"], 80, "WRONG_SECRET")
    count(store, attacked["id"], 21, "KEY_REVOKED")
    count(store, fine["id"], 100, "WRONG_SECRET")
    count(store, fine["id"], 900)
    count(store, fine["id"], 100, "WRONG_SECRET", hours=30)

    result = store("usage", "--denied-over", "100", "--since", "1h", check=9)

    assert result.out == f"{attacked['prefix']}\tacme\trefused 101 times: WRONG_SECRET 80, KEY_REVOKED 21\n"
    assert result.err == ""
    assert store("usage", "--denied-over", "100", "--since", "1h", "--json", check=9).json["found"] == [
        {
            "prefix": attacked["prefix"],
            "owner": "acme",
            "why": "denied",
            "allowed": 0,
            "refused": 101,
            "codes": {"WRONG_SECRET": 80, "KEY_REVOKED": 21},
        }
    ]
    quiet = store("usage", "--denied-over", "101", check=0)
    assert (quiet.out, quiet.err) == ("", "")
    assert store("usage", fine["prefix"], "--denied-over", "100", check=0).out == ""
    assert store("usage", "--denied-over", "100", "--since", "2d", check=9).out.count("\n") == 2


def test_growth_over_compares_with_the_week_before(store: Cli):
    grown, steady, new, small = (mint(store) for _ in range(4))
    for key in (grown, steady, small):
        set_key(store, key["prefix"], created_at=to_milliseconds(utc_now() - timedelta(days=30)))
    for key, before, now in ((grown, 100, 501), (steady, 100, 500), (new, 0, 5000), (small, 1, 99)):
        if before:
            count(store, key["id"], before, days=7)
        count(store, key["id"], now)
    count(store, grown["id"], 10_000, days=6)

    result = store("usage", "--growth-over", "5", check=9)

    assert result.out == f"{grown['prefix']}\t\tused 501 times, and 100 times a week before\n"
    assert store("usage", "--growth-over", "5.5", check=0).out == ""
    refused(store, "usage", "--growth-over", "5", "--since", "25d", code=2, says="not kept by the hour")
    refused(store, "usage", "--growth-over", "5", "--csv", code=2, says="--csv cannot be used")


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_is_imported_twice_counts_once(store: Cli):
    key = mint(store)
    file = usage_file(store, *(report(store, used(key["id"], utc_now(), 5), number) for number in (1, 2)))

    first = store("usage", "import", file, check=0)
    second = store("usage", "import", file, check=0)

    assert first.out == "counted 2 reports; 0 reports had been counted before\n"
    assert second.out == "counted 0 reports; 2 reports had been counted before\n"
    assert store("usage", check=0).out.split("\t")[4] == "10"
    assert show(store, key["prefix"])["last_used_at"]
    [one] = store("usage", "recorders", "--json", check=0).json["recorders"]
    assert (one["name"], one["status"], one["reports"], one["from_file"]) == ("edge", "reporting", "1-2", True)
    store("audit", "verify", check=0)


def test_rotated_files_may_come_in_any_order(store: Cli):
    key = mint(store)
    older, newer = (
        usage_file(store, report(store, used(key["id"], utc_now()), number), name=f"{number}") for number in (1, 2)
    )

    store("usage", "import", newer, check=0)
    counted = store("usage", "import", newer, older, "--json", check=0).json

    assert counted == {"counted": 1, "repeated": 1, "unknown_keys": 0, "dry_run": False}


def test_standard_input_is_a_file_too(store: Cli):
    key = mint(store)
    file = usage_file(store, report(store, used(key["id"], utc_now())))

    assert store("usage", "import", "-", stdin=file.read_text(), check=0).out.startswith("counted 1 report;")
    changes_nothing(store, "usage", "import", file, "--dry-run", says="")


def test_a_file_that_is_cut_in_half_is_refused_whole(store: Cli):
    key = mint(store)
    whole = usage_file(store, report(store, used(key["id"], utc_now())), name="whole")
    file = usage_file(store, *(report(store, used(key["id"], utc_now()), number) for number in (2, 3)))
    file.write_bytes(file.read_bytes()[:-20])

    says = [f"line 2 of {file} is cut off", f"head -n 1 {file} | keyctl usage import -"]
    refused(store, "usage", "import", whole, file, code=4, says=says)

    store.shell(f"head -n 1 {file} | keyctl usage import -", check=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"store_id": "store_other"}, "is about keys of the store store_other, and this is store_01"),
        ({"until": to_milliseconds(utc_now() + timedelta(hours=3))}, "is from the future (2"),
        ({"keys": {"key_1": KeyUse({to_milliseconds(utc_now()) // HOUR + 2: {"VALID": 1}})}}, "is from the future"),
        ({"keys": {"key_1": KeyUse({}, to_milliseconds(utc_now() + timedelta(hours=3)))}}, "is from the future"),
    ],
)
def test_a_report_that_cannot_be_of_this_store_is_refused(store: Cli, change: dict[str, Any], says: str):
    key = mint(store)
    good = report(store, used(key["id"], utc_now()))
    file = usage_file(store, good, replace(report(store, {}, 2), **change))

    refused(store, "usage", "import", file, code=4, says=[says, f"line 2 of {file}", "nothing was counted"])


@pytest.mark.parametrize("content", ["x\n", "{}\n", "\n", "\x00\n", '{"format":"keyctl-usage-v1"}\n'])
@pytest.mark.sqlite
def test_what_no_recorder_wrote_is_refused(store: Cli, content: str):
    file = store.cwd / "usage.jsonl"
    file.write_text(content)

    refused(store, "usage", "import", file, code=4, says=f"line 1 of {file} cannot be counted: it ")


@pytest.mark.sqlite
def test_what_cannot_be_read_is_a_usage_error(store: Cli):
    refused(store, "usage", "import", "missing.jsonl", code=2, says="cannot be read: No such file")
    refused(store, "usage", "import", ".", code=2, says="cannot be read: Is a directory")
    refused(store, "usage", "import", code=2)


@pytest.mark.sqlite
def test_keys_that_the_store_does_not_have_are_noted(store: Cli):
    file = usage_file(store, report(store, used("key_gone", utc_now())))

    result = store("usage", "import", file, check=0)

    assert "1 ids are those of no key in this store" in result.err


# ── what else has to know of it ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_use_is_copied_and_backed_up_with_the_store(store: Cli):
    key = mint(store)
    count(store, key["id"], 7)
    store("usage", "import", usage_file(store, report(store, used(key["id"], utc_now()))), check=0)
    before = dump(store)
    store("db", "backup", "backup.db", check=0)
    store("db", "copy", "--to", "copy.db", check=0)
    store("db", "restore", "backup.db", "--store", "restored.db", check=0)

    for other in ("copy.db", "restored.db"):
        store.env["KEYCTL_STORE"] = str(store.cwd / other)
        after = dump(store)
        for table in ("usage_hours", "usage_days", "usage_recorders"):
            assert after
            assert before
            assert after[table] == before[table] != ([] if table != "usage_days" else None)
        assert store("usage", check=0).out.split("\t")[4] == "8"


@pytest.mark.sqlite
def test_a_restore_over_the_store_keeps_what_was_counted_since(store: Cli):
    key = mint(store)
    count(store, key["id"], 7)
    store("db", "backup", "backup.db", check=0)
    count(store, key["id"], 2)

    store("db", "restore", "backup.db", "--yes", check=0)

    assert store("usage", check=0).out.split("\t")[4] == "9"


def test_a_profile_says_how_long_hours_are_kept(empty: Cli):
    cli = with_profile(empty, "\n[usage]\nkeep_hours = 24\n")
    key = mint(cli)
    count(cli, key["id"], 3, days=20)
    cli("verify", "--record", stdin=key["key"], check=0)

    [one] = cli("usage", "--json", check=0).json["keys"]

    assert [hour["codes"] for hour in one["hours"]] == [{"VALID": 1}]
    assert [day["codes"] for day in one["days"]] == [{"VALID": 3}, {"VALID": 1}]


@pytest.mark.parametrize("value", ["0", '"30d"', "true", "100001"])
@pytest.mark.sqlite
def test_a_time_to_keep_hours_that_makes_no_sense_is_a_fault(cli: Cli, value: str):
    from tests.cli.helpers import write_profile

    file = write_profile(cli, f"\n[usage]\nkeep_hours = {value}\n")

    assert "usage.keep_hours: " in cli("profile", "check", file, check=6).err


def test_the_recorders_are_listed_by_their_status(store: Cli):
    def add(instance: str, *, began: timedelta, last: timedelta, ended: bool = False) -> None:
        first = report(store, {}, until=utc_now() - began)
        recorder = replace(first.recorder, name="api", instance=instance)
        later = report(store, {}, 2, until=utc_now() - last, ended=ended)
        both = [replace(one, recorder=recorder) for one in (first, later)]
        with opened_store(store) as opened:
            opened.write(lambda c: usage.apply(c, both, now=utc_now(), keep_hours=720, from_file=True))

    day, hour = timedelta(days=1), timedelta(hours=1)
    add("i1", began=9 * day, last=5 * hour)
    add("i2", began=8 * day, last=3 * hour)
    add("i3", began=4 * hour, last=timedelta(0))
    add("i4", began=7 * day, last=6 * day, ended=True)

    lines = [line.split("\t") for line in store("usage", "recorders", check=0).out.splitlines()]

    assert [line[:4] for line in lines] == [
        ["api", "restarted", "web1", "4242"],
        ["api", "silent", "web1", "4242"],
        ["api", "ended", "web1", "4242"],
        ["api", "reporting", "web1", "4242"],
    ]
    assert json.loads(store("usage", "recorders", "--json", check=0).out)["recorders"][0]["instance"] == "i1"
