"""Whether what the recorders of a store reported is all there is. Pure.

A name is a service, and each of its processes is an instance. One that falls silent was killed, or it still verifies
keys and cannot report; another instance of the name that began afterwards is taken as its restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from keyctl.errors import Refused
from keyctl.text import counted
from keyctl.times import describe_relative, format_duration, format_time
from keyctl.usage import sequences

_REPORTS_MISSED = 3  # after which an instance counts as silent
CLOCKS_APART = timedelta(minutes=5)  # what another machine's clock may be ahead
_HINT = "see: keyctl usage recorders; or revoke without --if-unused-for"


@dataclass(frozen=True)
class Instance:
    """What is known of one process of a recorder.

    Attributes:
        name: The name of the service.
        instance: A random text, which no other process has.
        host: The name of its host.
        pid: The number of its process there.
        since: When it began, or a former instance that it continues.
        began_at: When it began itself.
        reported_at: The end of the interval that it reported last.
        every: The longest time between two reports.
        counted: Which of its reports were counted (see `sequences`).
        dropped_at: When it last reported that answers were not counted.
        ended_at: When it was closed; None if it was not, or was killed.
        from_file: Whether its reports are imported from files.
    """

    name: str
    instance: str
    host: str
    pid: int
    since: datetime
    began_at: datetime
    reported_at: datetime
    every: timedelta
    counted: str
    dropped_at: datetime | None
    ended_at: datetime | None
    from_file: bool

    def is_late(self, now: datetime) -> bool:
        return self.ended_at is None and now - self.reported_at > _REPORTS_MISSED * self.every

    def is_reporting(self, now: datetime) -> bool:
        return self.ended_at is None and not self.is_late(now)

    @property
    def place(self) -> str:
        return f"{self.host}, process {self.pid}"


def finished(instances: Iterable[Instance], now: datetime) -> tuple[list[Instance], list[Instance]]:
    """Return the instances of one name that ended or were restarted, and those that are silent for another reason.

    Each instance is the restart of one that ended or fell silent before it began: of the last one that did.
    """
    every = sorted(instances, key=lambda one: one.began_at)
    waiting = [one for one in every if not one.is_reporting(now)]
    restarted = []
    for restart in every:
        before = [one for one in waiting if one.reported_at <= restart.began_at and one is not restart]
        if before:
            restarted.append(max(before, key=lambda one: one.reported_at))
            waiting.remove(restarted[-1])
    silent = [one for one in waiting if one.ended_at is None]
    return [*restarted, *(one for one in waiting if one.ended_at is not None)], silent


def by_name(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    names: dict[str, list[Instance]] = {}
    for one in sorted(instances, key=lambda one: (one.name, one.began_at, one.instance)):
        names.setdefault(one.name, []).append(one)
    return names


def refuse_unless_reported(instances: Sequence[Instance], length: timedelta, now: datetime) -> None:
    """Raise Refused unless the recorders reported through the whole of this time before `now`."""
    if faults := gaps(instances, length, now):
        raise Refused(
            f"it is unknown what was used in the last {format_duration(length)}: {'; '.join(faults)}", hint=_HINT
        )


def gaps(instances: Sequence[Instance], length: timedelta, now: datetime) -> list[str]:
    """Return why the recorders did not report through the whole of this time before `now`; empty if they did."""
    start = now - length
    faults = [
        fault for name, those in by_name(instances).items() for fault in _faults(name, those, start=start, now=now)
    ]
    if not instances:
        return ["no recorder reports to this store"]
    if not faults and not any(one.is_reporting(now) for one in instances):
        newest = max(instances, key=lambda one: one.reported_at)
        return [f"no recorder is running; the recorder {newest.name} ended {_when(newest.reported_at, now)}"]
    return faults


def _faults(name: str, instances: Sequence[Instance], *, start: datetime, now: datetime) -> Iterable[str]:
    since = min(one.since for one in instances)
    if since > start:
        yield f"the recorder {name} began {_when(since, now)}"
    for one in finished(instances, now)[1]:
        yield f"the recorder {name} ({one.place}) is silent, and last reported {_when(one.reported_at, now)}"
    for one in instances:
        if one.dropped_at is not None and one.dropped_at > start:
            yield f"the recorder {name} ({one.place}) could not count every answer until {_when(one.dropped_at, now)}"
        if one.reported_at > now + CLOCKS_APART:
            ahead = format_time(one.reported_at)
            yield f"the recorder {name} ({one.place}) has reported of a time in the future: {ahead}"
        if gap := sequences.missing(one.counted):
            which = f"report {gap[0]} is" if gap[0] == gap[1] else f"reports {gap[0]} to {gap[1]} are"
            yield f"{which} missing of the recorder {name} ({one.place})"


def describe(instances: Sequence[Instance], now: datetime) -> str:
    """Return who reported, and when last: `api last reported 4s ago (2 processes), edge 7s ago`."""
    parts = []
    for name, those in by_name(instances).items():
        last = max(one.reported_at for one in those)
        running = sum(one.is_reporting(now) for one in those)
        processes = counted(running, "process", "processes")
        parts.append(f"{name} last reported {describe_relative(last, now=now)} ({processes})")
    return ", ".join(parts)


def _when(moment: datetime, now: datetime) -> str:
    return f"{describe_relative(moment, now=now)}, at {format_time(moment)}"
