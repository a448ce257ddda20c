"""How the use of keys is shown: bars, and objects for JSON."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from keyctl.times import format_time, from_milliseconds, to_milliseconds
from keyctl.usage.outcomes import allowed, refused
from keyctl.usage.report import HOUR

if TYPE_CHECKING:
    from keyctl.models import KeyRecord
    from keyctl.store.usage import Used

DAY = 24 * HOUR
_HEIGHTS = " ▁▂▃▄▅▆▇█"
_WIDTH, _SHORTEST = 30, 5  # of the longest bar: on a narrow terminal it is shorter
BARS = 14  # in a line of small ones


def usage_object(record: KeyRecord, used: Used) -> dict[str, Any]:
    """Return what `keyctl usage --json` prints of one key. `days` contain `hours`."""
    total = used.total()
    return {
        "id": record.key.id,
        "prefix": record.key.prefix,
        "name": record.key.name,
        "owner": record.owner.handle if record.owner else None,
        "last_used_at": format_time(record.key.last_used_at) if record.key.last_used_at else None,
        "allowed": allowed(total),
        "refused": refused(total),
        "codes": total,
        "hours": _periods(used.hours, HOUR),
        "days": _periods(used.by_day(), DAY),
    }


def csv_rows(record: KeyRecord, used: Used) -> list[list[str]]:
    """Return a row for each hour, or each day where the hours were rolled up, and code: nothing is in two rows."""
    owner = record.owner.handle if record.owner else ""
    return [
        [record.key.prefix, owner, name, format_time(from_milliseconds(index * length)), code, str(count)]
        for name, length, periods in (("day", DAY, used.days), ("hour", HOUR, used.hours))
        for index in sorted(periods)
        for code, count in periods[index].items()
    ]


def small_bars(used: Used, *, since: datetime, now: datetime) -> str:
    """Return a bar for each of the last BARS hours, or days."""
    length, periods = (HOUR, used.hours) if are_hours(since, now) else (DAY, used.by_day())
    last = to_milliseconds(now) // length
    values = [sum(periods.get(index, {}).values()) for index in range(last - BARS + 1, last + 1)]
    most = max(values)
    steps = len(_HEIGHTS) - 1
    return "".join(_HEIGHTS[0 if not value else max(1, round(value / most * steps))] for value in values)


def are_hours(since: datetime, now: datetime) -> bool:
    """Return whether a line of bars is of hours, rather than of days."""
    return now - since <= timedelta(hours=24)


def bars(periods: Mapping[int, Mapping[str, int]], length: int) -> list[str]:
    """Return a line for each period: when, a bar of the allowed and the refused answers, and their numbers."""
    most = max((sum(counts.values()) for counts in periods.values()), default=0)
    full, light = ("█", "░") if _prints("█░") else ("#", "-")
    labels = {index: _numbers(counts) for index, counts in periods.items()}
    beside = max((len(label) for label in labels.values()), default=0) + len("2026-01-01 00:00   ")
    width = max(_SHORTEST, min(_WIDTH, shutil.get_terminal_size().columns - beside - 1))  # each rounds up by one
    lines = []
    for index in sorted(periods):
        counts = periods[index]
        good, bad = (_long(number, most, width) for number in (allowed(counts), refused(counts)))
        when = format_time(from_milliseconds(index * length))
        when = when[:10] if length == DAY else when[:16].replace("T", " ")
        lines.append(f"{when}  {full * good}{light * bad} {labels[index]}")
    return lines


def can_draw() -> bool:
    return _prints(_HEIGHTS)


def describe_codes(counts: Mapping[str, int], codes: Sequence[str] | None = None) -> str:
    """Return `WRONG_SECRET 300, KEY_REVOKED 12`, the most frequent first."""
    shown = [(count, name) for name, count in counts.items() if codes is None or name in codes]
    return ", ".join(f"{name} {count:,}" for count, name in sorted(shown, key=lambda one: (-one[0], one[1])))


def _numbers(counts: Mapping[str, int]) -> str:
    return f"{allowed(counts):,}" + (f" allowed, {refused(counts):,} refused" if refused(counts) else "")


def _long(number: int, most: int, width: int) -> int:
    return max(1, round(number / most * width)) if number else 0


def _periods(periods: Mapping[int, Mapping[str, int]], length: int) -> list[dict[str, Any]]:
    return [
        {"at": format_time(from_milliseconds(index * length)), "codes": dict(periods[index])}
        for index in sorted(periods)
    ]


def _prints(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, AttributeError, LookupError):
        return False
    return True
