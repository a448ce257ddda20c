"""Times and durations as people and machines write them.

Inside keyctl a time is an aware `datetime` in UTC, with a resolution of one millisecond (what the store keeps).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from keyctl.errors import UsageError
from keyctl.text import brief

NEVER = "never"
_DAY = 86400
_YEAR = 365 * _DAY
_UNITS = {"y": _YEAR, "w": 7 * _DAY, "d": _DAY, "h": 3600, "m": 60, "s": 1}  # the largest first
_WORDS = {"year": "y", "week": "w", "day": "d", "hour": "h", "minute": "m", "second": "s"}
_NUMBER = re.compile(r"\d{1,12}", re.ASCII)
_PART = re.compile(r"(\d{1,12}) ?([a-z]+) ?", re.ASCII)
_PARTS = re.compile(r"\d{1,12} ?[a-z]+(?: ?\d{1,12} ?[a-z]+){0,5}", re.ASCII)  # one of each unit
_MONTHS = re.compile(r"\d ?(?:mo|mos|mon|months?|M)(?![A-Za-z])", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)  # fromisoformat accepts more: week dates, no zone, no seconds
_TEN_YEARS = 10 * _YEAR
_LONGEST = 100 * _YEAR
_ENDING_NOW = "give a time in the future; to end a key now: keyctl revoke SELECTOR"
_DURATIONS = "give a number with s, m, h, d, w or y: 24h, 1d12h, 90 days"
_TIMES = "a date (2027-01-31) or an RFC 3339 time with a zone (2027-01-31T00:00:00Z)"
_WHEN = f"give a number with s, m, h, d, w or y (30d), {_TIMES}, or never"
_SINCE = f"give how long ago (24h), {_TIMES}"


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
    """Read `30d`, `1d12h`, `90 days`, `0` or plain seconds; at most 100 years. Raises UsageError.

    The units are `s`, `m` (minutes), `h`, `d`, `w` and `y` (365 days), or their names. Several come in descending
    order, each once. A month has no fixed length, and is refused.
    """
    if (seconds := _seconds(text)) is None:
        hint = "say how long, not when: 24h, 90 days" if _DATE.match(text) else _hint_of(text, otherwise=_DURATIONS)
        raise UsageError(f'"{brief(text)}" is not a duration', hint=hint)
    return _limited(text, seconds)


def _seconds(text: str) -> int | None:
    """Return how many seconds a text of the right form means, however many; None for any other text."""
    if _NUMBER.fullmatch(text):
        return int(text)
    amounts = _amounts(text)
    units = [unit for unit, _ in amounts]
    if not units or units != [unit for unit in _UNITS if unit in units]:
        return None
    return sum(count * _UNITS[unit] for unit, count in amounts)


def _amounts(text: str) -> list[tuple[str, int]]:
    """Return units and numbers as they are written, in any order; none if a unit is unknown."""
    parts = _PART.findall(text) if _PARTS.fullmatch(text) else []
    units = [word if word in _UNITS else _WORDS.get(word.removesuffix("s"), "") for _, word in parts]
    return [] if "" in units else [(unit, int(count)) for unit, (count, _) in zip(units, parts, strict=True)]


def _limited(text: str, seconds: int) -> timedelta:
    if _NUMBER.fullmatch(text) and seconds > _TEN_YEARS:
        raise UsageError(
            f'"{text}" seconds is more than ten years: a Unix time?',
            hint="give the time as RFC 3339 (2027-01-31T00:00:00Z), or a unit (30d)",
        )
    if seconds > _LONGEST:
        raise UsageError(f'"{text}" is more than a hundred years', hint="for a key that does not expire: never")
    return timedelta(seconds=seconds)


def _hint_of(text: str, *, otherwise: str) -> str:
    if _MONTHS.search(text[:80]):
        return "a month has no fixed length, and m is minutes: give days, such as 30d"
    return "give each unit once, the largest first: 1d12h" if _amounts(text) else otherwise


def parse_when(text: str, *, now: datetime) -> datetime | None:
    """Read a time in the future: a duration from `now`, a date, an RFC 3339 time with a zone, or `never` (None).

    A date is included: it means the end of that day in UTC. Raises UsageError for anything else, for a zero duration,
    and for a time that is not after `now`.
    """
    if text == NEVER:
        return None
    if (moment := _moment(text, days=1, hint=_WHEN)) is not None:
        if moment <= now:
            day = ": that day has ended in UTC" if _DATE.fullmatch(text) else ""
            raise UsageError(f'"{text}" is in the past{day}', hint=_ENDING_NOW)
        return moment
    duration = _duration_or_time(text, hint=_WHEN)
    if not duration:
        raise UsageError(f'"{text}" must be greater than zero', hint=_ENDING_NOW)
    return now + duration


def parse_moment(text: str) -> datetime | None:
    """Read an RFC 3339 time with a zone, past or future; None for anything else, and for no date in the calendar."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return truncate(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        return None


def parse_since(text: str, *, now: datetime) -> datetime:
    """Read the beginning of a period: how long before `now`, a date, or an RFC 3339 time with a zone.

    A date is included: it means the beginning of that day in UTC. Raises UsageError for anything else, and for a time
    after `now`.
    """
    moment = _moment(text, days=0, hint=_SINCE)
    if moment is None:
        moment = now - _duration_or_time(text, hint=_SINCE)
    elif moment > now:
        raise UsageError(f'"{text}" is in the future', hint="give a time in the past, or how long ago: 24h")
    return max(_EPOCH, moment)


def parse_until(text: str, *, now: datetime) -> datetime:
    """Read the end of a period, which is not in it: how long before `now`, a date, or an RFC 3339 time with a zone.

    A date is included: it means the end of that day in UTC. The end may be after `now`. Raises UsageError.
    """
    moment = _moment(text, days=1, hint=_SINCE)
    return max(_EPOCH, now - _duration_or_time(text, hint=_SINCE) if moment is None else moment)


def _moment(text: str, *, days: int, hint: str) -> datetime | None:
    """Return an RFC 3339 time, or the midnight that is `days` after the beginning of a date; None if it is neither."""
    date = _DATE.fullmatch(text)
    if not date and not _RFC3339.fullmatch(text):
        return None
    try:
        moment = truncate(datetime.fromisoformat(f"{text}T00:00:00Z" if date else text.upper()))
    except (ValueError, OverflowError):
        raise UsageError(f'"{text}" is not a date in the calendar', hint=hint) from None
    return later(moment, timedelta(days=days)) if date else moment


def _duration_or_time(text: str, *, hint: str) -> timedelta:
    """Read a duration where a time may be given as well. Raises UsageError."""
    if _DATE.match(text):
        raise UsageError(f'"{brief(text)}" is not RFC 3339 with a zone', hint=hint)
    if (seconds := _seconds(text)) is None:
        raise UsageError(f'"{brief(text)}" is not a time', hint=_hint_of(text, otherwise=hint))
    return _limited(text, seconds)


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
