"""Which recorders no longer report."""

from __future__ import annotations

from datetime import timedelta

from keyctl.doctor.recorders import recorders
from keyctl.store import usage
from keyctl.times import to_milliseconds
from keyctl.usage.report import Identity, Report
from tests.stores import NOW, Opened


def reported(opened: Opened, name: str, *, last: timedelta, ended: bool = False, dropped: int = 0) -> None:
    at = to_milliseconds(NOW - last)
    report = Report(
        "store_1", Identity(name, name, "web1", 42), 1, 60_000, at - 10_000, at, {}, ended=ended, dropped=dropped
    )
    opened.store.write(lambda c: usage.apply(c, [report], now=NOW, keep_hours=720))


def found(opened: Opened) -> list[tuple[str | None, str | None]]:
    return [(one.value, one.fix) for one in recorders(opened.store, now=NOW)]


def test_a_recorder_that_reports_or_ended_is_no_finding(opened: Opened):
    reported(opened, "api", last=timedelta(minutes=2))
    reported(opened, "job", last=timedelta(days=9), ended=True)

    assert found(opened) == []


def test_a_silent_recorder_is_found(opened: Opened):
    reported(opened, "edge", last=timedelta(hours=3))

    assert found(opened) == [
        (
            "edge (web1, process 42), last report 3h ago",
            "start it again; if it is gone: keyctl usage recorders --forget edge",
        )
    ]


def test_dropped_counts_are_found_for_a_day(opened: Opened):
    reported(opened, "new", last=timedelta(hours=23), ended=True, dropped=1)
    reported(opened, "old", last=timedelta(hours=25), ended=True, dropped=1)

    assert found(opened) == [("new (web1, process 42)", "see: keyctl help usage")]


def test_an_altered_name_puts_no_command_into_what_is_typed(opened: Opened):
    reported(opened, "x; rm -rf .", last=timedelta(hours=3))

    [(_, fix)] = found(opened)
    assert fix
    assert fix.endswith("--forget 'x; rm -rf .'")
