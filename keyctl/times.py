"""Times and durations as people and machines write them.

Inside keyctl a time is an aware `datetime` in UTC, with a resolution of one millisecond (what the store keeps).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from keyctl.errors import UsageError
from keyctl.text import brief

NEVER = "never"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d{1,12})([smhdw])?", re.ASCII)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)  # fromisoformat accepts more: week dates, no zone, no seconds
_DAY = 86400
_YEAR = 365 * _DAY
_TEN_YEARS = 10 * _YEAR
_LONGEST = 100 * _YEAR
_ENDING_NOW = "give a time in the future; to end a key now: keyctl revoke SELECTOR"
_HINT = "give a number with s, m, h, d or w (30d), an RFC 3339 time with a zone (2027-01-31T00:00:00Z), or never"


def utc_now() -> datetime:
    """Return the current time in UTC, whole milliseconds."""
    return truncate(datetime.now(UTC))


def truncate(moment: datetime) -> datetime:
    """Return `moment` in UTC cut to whole milliseconds. Raises ValueError if it is naive."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime is not accepted: give it a time zone")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_milliseconds(moment: datetime) -> int:
    """Return Unix milliseconds. Raises ValueError if `moment` is naive."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime is not accepted: give it a time zone")
    return (moment - _EPOCH) // _MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def later(moment: datetime, duration: timedelta) -> datetime:
    """Return the time `duration` after `moment`, or the last one that there is."""
    return moment + min(duration, _END - moment)


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC; the fraction of a second only where there is one."""
    return truncate(moment).isoformat(timespec="milliseconds").replace(".000", "").replace("+00:00", "Z")


def parse_duration(text: str) -> timedelta:
    """Read `30d`, `24h`, `0` or plain seconds; at most 100 years. Raises UsageError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise UsageError(f'"{brief(text)}" is not a duration', hint="give a number with s, m, h, d or w: 24h")
    seconds = int(match[1]) * _UNITS[match[2] or "s"]
    if not match[2] and seconds > _TEN_YEARS:
        raise UsageError(
            f'"{text}" seconds is more than ten years: a Unix time?',
            hint="give the time as RFC 3339 (2027-01-31T00:00:00Z), or a unit (30d)",
        )
    if seconds > _LONGEST:
        raise UsageError(f'"{text}" is more than a hundred years', hint="for a key that does not expire: never")
    return timedelta(seconds=seconds)


def parse_when(text: str, *, now: datetime) -> datetime | None:
    """Read a time in the future: a duration from `now`, an RFC 3339 time with a zone, or `never` (None).

    Raises UsageError for anything else, for a zero duration, and for a time that is not after `now`.
    """
    if text == NEVER:
        return None
    if _RFC3339.fullmatch(text):
        try:
            moment = truncate(datetime.fromisoformat(text.upper()))
        except (ValueError, OverflowError):
            raise UsageError(f'"{text}" is not a date in the calendar', hint=_HINT) from None
        if moment <= now:
            raise UsageError(f'"{text}" is in the past', hint=_ENDING_NOW)
        return moment
    if not _DURATION.fullmatch(text):
        zone = re.match(r"\d{4}-\d\d-\d\d", text)
        reason = "is not RFC 3339 with a zone" if zone else "is not a time"
        raise UsageError(f'"{brief(text)}" {reason}', hint=_HINT)
    duration = parse_duration(text)
    if not duration:
        raise UsageError(f'"{text}" must be greater than zero', hint=_ENDING_NOW)
    return now + duration


def parse_since(text: str, *, now: datetime) -> datetime:
    """Read a time in the past: how long before `now`, or an RFC 3339 time with a zone. Raises UsageError."""
    if not _RFC3339.fullmatch(text):
        duration = parse_duration(text)
        return max(_EPOCH, now - duration)
    try:
        moment = truncate(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise UsageError(f'"{text}" is not a date in the calendar', hint=_HINT) from None
    if moment > now:
        raise UsageError(f'"{text}" is in the future', hint="give a time in the past, or how long ago: 24h")
    return max(_EPOCH, moment)


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back: `90d`, `24h`, `36h`, `90s`."""
    seconds = int(duration.total_seconds())
    for unit, size in (("d", _DAY), ("h", 3600), ("m", 60)):
        # One day is written 24h: "in the last 24h" reads better than "in the last 1d".
        if seconds and seconds % size == 0 and seconds != _DAY * (unit == "d"):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def describe_relative(moment: datetime, *, now: datetime) -> str:
    """Return how far away a time is, for people: `in 90d`, `in 1h 58m`, `3d 4h ago` or `now`.

    At most two units, rounded to the largest of which there are ten or more. A year has 365 days.
    """
    seconds = round((moment - now).total_seconds())
    amount = _in_two_units(abs(seconds))
    return f"in {amount}" if seconds > 0 else f"{amount} ago" if seconds else "now"


def _in_two_units(seconds: int) -> str:
    # Rounded, not cut: a key minted for 30 days has a second less when it is shown.
    units = {"y": _YEAR, "d": _DAY, "h": 3600, "m": 60, "s": 1}
    step = next((size for size in units.values() if seconds >= 10 * size), 1)
    rest = round(seconds / step) * step
    parts = []
    for unit, size in units.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts)
