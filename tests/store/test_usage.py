"""What is kept of the use of keys: added once, rolled up into days, and small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from keyctl.errors import StoreUnavailable
from keyctl.store import usage
from keyctl.store.integrity import check
from keyctl.store.tables import keys, usage_days, usage_hours
from keyctl.times import to_milliseconds
from keyctl.usage.report import HOUR, Identity, KeyUse, Report
from tests.fuzzing import examples
from tests.stores import NOW, Opened, used

KEEP = 720


def add(opened: Opened, uses: dict[str, KeyUse], *, keep_hours: int = KEEP) -> int:
    return opened.store.write(lambda c: usage.add(c, uses, now=opened.clock(), keep_hours=keep_hours))


def total(opened: Opened, key_id: str, **since: Any) -> dict[str, int]:
    start = NOW - timedelta(**since) if since else NOW - timedelta(days=3000)
    with opened.store.read() as connection:
        found = usage.of_keys(connection, [key_id], since=start)
        everywhere = usage.totals(connection, since=start)
    assert everywhere.get(key_id, {}) == (found[key_id].total() if found else {})
    return found[key_id].total() if found else {}


def rows(opened: Opened) -> tuple[int, int]:
    with opened.store.read() as connection:
        return (len(connection.execute(select(usage_hours)).all()), len(connection.execute(select(usage_days)).all()))


def report(sequence: int, keys: dict[str, KeyUse], *, instance: str = "i1", at: int = 0) -> Report:
    since = to_milliseconds(NOW) + (sequence - 1) * 10_000
    return Report("store_1", Identity("api", instance, "web1", 1), sequence, 60_000, since, since + 10_000, keys)


def test_the_last_use_moves_forward_alone(opened: Opened):
    [minted] = opened.mint()
    key_id = minted.record.key.id

    for hours in (0, -5, 2, 1):
        add(opened, used(key_id, NOW + timedelta(hours=hours)))
        add(opened, used(key_id, NOW + timedelta(hours=hours + 9), code="KEY_LOCKED"))

    with opened.store.read() as connection:
        assert connection.execute(select(keys.c.last_used_at)).scalar() == to_milliseconds(NOW + timedelta(hours=2))
    assert total(opened, key_id) == {"VALID": 4, "KEY_LOCKED": 4}
    assert check(opened.store).fault is None


def test_what_is_counted_of_no_key_is_not_kept(opened: Opened):
    [minted] = opened.mint()

    assert add(opened, used("key_gone", NOW) | used(minted.record.key.id, NOW)) == 1

    assert rows(opened) == (1, 0)


def test_hours_are_read_from_the_hour_of_a_time_on(opened: Opened):
    [minted] = opened.mint()
    key_id = minted.record.key.id
    for hours in (0, 1, 2, 30, 400):
        add(opened, used(key_id, NOW - timedelta(hours=hours)))

    assert total(opened, key_id, minutes=59) == {"VALID": 2}
    assert total(opened, key_id, hours=2) == {"VALID": 3}
    assert total(opened, key_id, days=30) == {"VALID": 5}
    with opened.store.read() as connection:
        before = usage.totals(connection, since=NOW - timedelta(hours=30), until=NOW - timedelta(hours=1))
    assert before == {key_id: {"VALID": 2}}


@examples(6, 100)
@given(data=st.data())
def test_rolling_up_keeps_every_count_and_its_day(open_new: Callable[[], Opened], data: st.DataObject):
    opened = open_new()
    minted = opened.mint(count=2)
    expected: dict[tuple[str, int, str], int] = {}
    for _ in range(data.draw(st.integers(1, 6))):
        opened.clock.advance(hours=data.draw(st.sampled_from([0, 1, 100, 900])))
        key_id = data.draw(st.sampled_from(minted)).record.key.id
        at = opened.clock() - timedelta(hours=data.draw(st.sampled_from([0, 5, 200, 800, 2000])))
        code, count = data.draw(st.sampled_from(["VALID", "KEY_LOCKED"])), data.draw(st.integers(1, 999))
        add(opened, used(key_id, at, count, code), keep_hours=data.draw(st.sampled_from([1, 720])))
        cell = key_id, to_milliseconds(at) // HOUR // 24, code
        expected[cell] = expected.get(cell, 0) + count

    with opened.store.read() as connection:
        found = usage.of_keys(connection, [one.record.key.id for one in minted], since=NOW - timedelta(days=999))
    assert {
        (key_id, day, code): count
        for key_id, use in found.items()
        for day, counts in use.by_day().items()
        for code, count in counts.items()
    } == expected


def test_weeks_that_are_older_than_what_is_kept_are_rolled_up(opened: Opened):
    minted = opened.mint(count=3)
    for day in range(40):
        uses = [used(one.record.key.id, NOW - timedelta(days=day)) for one in minted]
        add(opened, uses[0] | uses[1] | uses[2], keep_hours=10_000)
    assert rows(opened)[1] == 0

    add(opened, {}, keep_hours=KEEP)

    hours, days = rows(opened)
    assert (hours, days) == (3 * 6, 3)
    for one in minted:
        assert total(opened, one.record.key.id) == {"VALID": 40}
        assert total(opened, one.record.key.id, days=39) == {"VALID": 40}


def test_a_report_is_counted_once_in_whatever_order(opened: Opened):
    [minted] = opened.mint()
    reports = [report(number, used(minted.record.key.id, NOW)) for number in (3, 1, 2, 5)]

    def apply(some: list[Report]) -> usage.Applied:
        return opened.store.write(lambda c: usage.apply(c, some, now=opened.clock(), keep_hours=KEEP, from_file=True))

    assert apply(reports[:1]) == (1, 0, 0)
    assert apply(reports) == (3, 1, 0)
    assert apply([*reports, *reports]) == (0, 8, 0)

    assert total(opened, minted.record.key.id) == {"VALID": 4}
    with opened.store.read() as connection:
        [one] = usage.instances(connection)
    assert (one.counted, one.from_file) == ("1-3 5-5", True)
    assert (one.since, one.reported_at) == (NOW, NOW + timedelta(seconds=50))


def test_a_process_takes_over_from_those_of_its_name_that_ended_long_ago(opened: Opened):
    def begin(instance: str, **ended: bool) -> None:
        first = report(1, {}, instance=instance)
        shift = to_milliseconds(opened.clock()) - first.since
        moved = Report(
            "store_1", first.recorder, 1, 60_000, first.since + shift, first.until + shift, {}, ended=bool(ended)
        )
        opened.store.write(lambda c: usage.apply(c, [moved], now=opened.clock(), keep_hours=KEEP))

    begin("i1", ended=True)
    opened.clock.advance(days=2)
    begin("i2")  # which is killed
    opened.clock.advance(days=2)
    begin("i3")

    with opened.store.read() as connection:
        [two, three] = usage.instances(connection)
    assert (two.instance, two.since) == ("i2", NOW)  # without a restart when i3 began
    assert (three.instance, three.since) == ("i3", NOW + timedelta(days=4))
    opened.clock.advance(days=2)
    begin("i4")
    with opened.store.read() as connection:
        assert [(one.instance, one.since) for one in usage.instances(connection)] == [
            ("i3", NOW + timedelta(days=4)),
            ("i4", NOW),
        ]


def test_a_file_that_is_imported_again_after_a_long_time_counts_once(opened: Opened):
    def apply(instance: str, *, ended: bool, from_file: bool) -> usage.Applied:
        reports, now = [replace(report(1, {}, instance=instance), ended=ended)], opened.clock()
        return opened.store.write(lambda c: usage.apply(c, reports, now=now, keep_hours=KEEP, from_file=from_file))

    apply("i1", ended=True, from_file=True)
    opened.clock.advance(days=4)
    apply("i2", ended=False, from_file=False)  # takes over from others of its name

    assert apply("i1", ended=True, from_file=True).repeated == 1


@pytest.mark.parametrize("value", ["", "x", "0 1=1 1=1", "0 400=1"])
def test_a_row_that_was_altered_is_reported(opened: Opened, value: str):
    [minted] = opened.mint()
    add(opened, used(minted.record.key.id, NOW))
    opened.store.write(lambda c: c.execute(text("update usage_hours set counts = :value"), {"value": value or "0"}))

    with pytest.raises(StoreUnavailable, match=f"the recorded use of key {minted.record.key.id} cannot be read"):
        total(opened, minted.record.key.id)
    assert check(opened.store).fault is None  # it is recorded, not audited


@pytest.mark.torture(only=True)
def test_a_year_of_daily_use_takes_no_more_than_its_page_says(
    opened: Opened, database: str, figure: Callable[[str, object], None]
):
    def size() -> int:
        with opened.store.read() as connection:
            if database == "sqlite":
                pages = connection.execute(text("pragma page_count")).scalar_one()
                free = connection.execute(text("pragma freelist_count")).scalar_one()
                return int(connection.execute(text("pragma page_size")).scalar_one()) * int(pages - free)
            tables = ("usage_hours", "usage_days")
            return sum(
                int(connection.execute(text(f"select pg_total_relation_size('{one}')")).scalar_one()) for one in tables
            )

    def vacuum() -> None:
        if database != "sqlite":
            with opened.store._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("vacuum usage_hours, usage_days"))

    key_ids = [minted.record.key.id for minted in opened.mint(count=5_000)]
    before = size()

    for day in range(365):
        hour = to_milliseconds(opened.clock()) // HOUR
        counts = {"VALID": 7} | ({"KEY_EXPIRED": 1} if day % 10 == 0 else {})
        add(opened, {key_id: KeyUse({hour: counts}, hour * HOUR) for key_id in key_ids})
        opened.clock.advance(days=1)
        if day % 2:
            vacuum()

    for_each_key = (size() - before) / len(key_ids)
    figure("bytes for each key", round(for_each_key))
    assert for_each_key < {"sqlite": 3_000, "postgres": 6_000}[database]


@pytest.mark.parametrize("table", ["usage_hours", "usage_days"])
@pytest.mark.parametrize("period", [10**12, -(10**12), 9 * 10**18])
def test_a_row_of_a_time_that_does_not_exist_is_reported(opened: Opened, table: str, period: int):
    [minted] = opened.mint()
    period_name = "week" if table == "usage_hours" else "quarter"
    row = {"period": period, "key_id": minted.record.key.id}
    insert = text(f"insert into {table} ({period_name}, key_id, counts) values (:period, :key_id, '0 5=1')")
    opened.store.write(lambda c: c.execute(insert, row))

    if period < 0:
        assert total(opened, minted.record.key.id) == {}
        return
    with pytest.raises(StoreUnavailable, match=f"{table} was altered outside keyctl"):
        total(opened, minted.record.key.id)


def test_rows_that_are_thousands_of_years_apart_are_read(opened: Opened):
    [minted] = opened.mint()
    last = (datetime(9999, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days // 7
    row = {"week": last, "key_id": minted.record.key.id}
    insert = text("insert into usage_hours (week, key_id, counts) values (:week, :key_id, '0 5=1')")
    opened.store.write(lambda c: c.execute(insert, row))
    add(opened, used(minted.record.key.id, NOW))

    assert total(opened, minted.record.key.id) == {"VALID": 2}


@pytest.mark.sqlite
@pytest.mark.parametrize("column", ["name", "host", "pid", "counted"])
def test_a_recorder_that_was_altered_is_reported(opened: Opened, column: str):
    opened.store.write(lambda c: usage.apply(c, [report(1, {})], now=NOW, keep_hours=KEEP))
    opened.store.write(lambda c: c.execute(text(f"update usage_recorders set {column} = x'ff'")))

    with pytest.raises(StoreUnavailable, match="what is known of a recorder cannot be read"), opened.store.read() as c:
        usage.instances(c)
