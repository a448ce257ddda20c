"""A report as an object for JSON. Its fields are public: add to them, never rename them."""

from __future__ import annotations

from typing import Any

from keyctl.report.model import Report, Section
from keyctl.times import format_time


def report_object(report: Report) -> dict[str, Any]:
    return {
        "store": report.store,
        "at": format_time(report.made_at),
        "filters": report.only,
        "live": report.live,
        "statuses": {str(status): count for status, count in report.statuses.items()},
        "expiring_by_week": [{"from": format_time(week.start), "keys": week.keys} for week in report.weeks],
        "expiring_later": report.later,
        "never_expiring": report.never,
        "sections": [_section(section) for section in report.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.found,
        "count": section.count,
        "note": section.note,
        "command": section.command,
        "examples": [one._asdict() for one in section.examples],
    }
