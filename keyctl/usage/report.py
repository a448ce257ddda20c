"""A report of a recorder: what it counted in an interval. And the line of JSON that it is in a file.

A line holds ids of keys, codes, numbers and times; no key, no prefix, no address and no path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from keyctl.times import format_time, from_milliseconds, to_milliseconds
from keyctl.usage.counts import Taken
from keyctl.usage.outcomes import ALLOWED, NUMBERS

FORMAT = "keyctl-usage-v1"
HOUR = 3_600_000  # milliseconds
LONGEST_LINE = 64 * 2**20  # bytes
LONGEST_NAME = 100
LONGEST_INTERVAL = 3_600_000  # milliseconds between two reports: with longer ones, silence would not be noticed
_MOST = 2**48  # of any count
_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}", re.ASCII)
_FIELDS = {"format", "store_id", "recorder", "sequence", "every", "since", "until", "dropped", "ended", "keys"}
_RECORDER_FIELDS = {"name", "instance", "host", "pid"}


@dataclass(frozen=True)
class Identity:
    """Which recorder it is: `name` is chosen, and `instance` is another one in each process."""

    name: str
    instance: str
    host: str
    pid: int


@dataclass(frozen=True)
class KeyUse:
    """How often a key was used: by hour (hours since 1970), then by outcome. `last_used` is Unix milliseconds."""

    hours: Mapping[int, Mapping[str, int]]
    last_used: int | None = None


@dataclass(frozen=True)
class Report:
    """What a recorder counted from `since` to `until`, in Unix milliseconds.

    Attributes:
        sequence: Counts the reports of an instance from 1, so that none is counted twice.
        every: The longest time between two reports, in milliseconds.
        dropped: How many answers were not counted, because there was no room for them.
        ended: Whether this is the last report of the instance, which was closed.
    """

    store_id: str
    recorder: Identity
    sequence: int
    every: int
    since: int
    until: int
    keys: Mapping[str, KeyUse]
    dropped: int = 0
    ended: bool = False


def uses_of(taken: Taken) -> dict[str, KeyUse]:
    """Return what was counted by key, in the order of the ids."""
    hours: dict[str, dict[int, dict[str, int]]] = {}
    last: dict[str, int] = {}
    for (key_id, hour, outcome), (count, at) in sorted(taken.cells.items()):
        hours.setdefault(key_id, {}).setdefault(hour, {})[str(outcome)] = int(count)
        if outcome == ALLOWED:
            last[key_id] = max(last.get(key_id, 0), int(at * 1000))
    return {key_id: KeyUse(by_hour, last.get(key_id)) for key_id, by_hour in hours.items()}


def is_name(text: str) -> bool:
    """Return whether a recorder may have this name: letters, digits and . _ @ : -, at most 100."""
    return _TEXT.fullmatch(text) is not None


def to_line(report: Report) -> str:
    """Return the line of a report, without the newline."""
    content = {
        "format": FORMAT,
        "store_id": report.store_id,
        "recorder": vars(report.recorder),
        "sequence": report.sequence,
        "every": report.every,
        "since": _time(report.since),
        "until": _time(report.until),
        "dropped": report.dropped,
        "ended": report.ended,
        "keys": {
            key_id: {
                "last_used_at": _time(use.last_used) if use.last_used is not None else None,
                "hours": {_time(hour * HOUR): dict(counts) for hour, counts in use.hours.items()},
            }
            for key_id, use in report.keys.items()
        },
    }
    return json.dumps(content, separators=(",", ":"))


def from_line(line: bytes) -> Report:
    """Read a line. Raises ValueError, with what is wrong, for anything that `to_line` does not write."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("it is not a report of a recorder")
    try:
        report = _report(content)
    except (KeyError, TypeError, AttributeError, OverflowError, ValueError):
        raise ValueError("it has a field that is missing, or of another form") from None
    if report.since > report.until:
        raise ValueError("its interval ends before it begins")
    return report


def _report(content: Mapping[str, Any]) -> Report:
    _require(content.keys() == _FIELDS and content["recorder"].keys() == _RECORDER_FIELDS)
    recorder = content["recorder"]
    name, instance, host = (_text(recorder[field]) for field in ("name", "instance", "host"))
    _require(is_name(name) and is_name(instance) and len(host) <= 255 and host.isprintable())
    _require(isinstance(content["ended"], bool))
    return Report(
        store_id=_text(content["store_id"]),
        recorder=Identity(name, instance, host, _number(recorder["pid"])),
        sequence=_number(content["sequence"], least=1),
        every=_number(content["every"], most=LONGEST_INTERVAL),
        since=_milliseconds(content["since"]),
        until=_milliseconds(content["until"]),
        dropped=_number(content["dropped"]),
        ended=content["ended"],
        keys={_key_id(key_id): _key_use(use) for key_id, use in content["keys"].items()},
    )


def _key_id(text: str) -> str:
    _require(is_name(text))  # of the same characters
    return text


def _key_use(content: Mapping[str, Any]) -> KeyUse:
    _require(content.keys() == {"last_used_at", "hours"})
    last = content["last_used_at"]
    hours = {}
    for text, counts in content["hours"].items():
        hour, rest = divmod(_milliseconds(text), HOUR)
        _require(not rest and counts.keys() <= NUMBERS.keys())
        hours[hour] = {name: _number(count, least=1) for name, count in counts.items()}
    return KeyUse(hours, None if last is None else _milliseconds(last))


def _text(value: object) -> str:
    _require(isinstance(value, str))
    return value  # type: ignore[return-value]


def _number(value: object, *, least: int = 0, most: int = _MOST) -> int:
    _require(type(value) is int and least <= value <= most)
    return value  # type: ignore[return-value]


def _time(milliseconds: int) -> str:
    return format_time(from_milliseconds(milliseconds))


def _milliseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    _require(moment.utcoffset() == timedelta(0))
    milliseconds = to_milliseconds(moment)
    _require(_time(milliseconds) == text)  # one way to write each time
    return milliseconds


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError
