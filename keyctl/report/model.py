"""What a report says. Frozen, and free of secrets: keys are named by their prefixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from keyctl.models import Status
from keyctl.times import format_duration

WEEK = timedelta(days=7)
WEEKS = 26  # of the histogram


class Named(NamedTuple):
    """A key that is named in a section, or a scope: `prefix` is then its name. `why` says what was found."""

    prefix: str
    name: str | None
    owner: str | None
    why: str


class Week(NamedTuple):
    """How many keys expire in the seven days from `start` on."""

    start: datetime
    keys: int


@dataclass(frozen=True)
class Section:
    """One kind of finding.

    Attributes:
        name: What `--fail-on` takes.
        title: It continues "12 keys ...".
        count: How many there are; None if that is unknown.
        examples: The first of them.
        note: Why the number is unknown, or what it does not prove.
        command: What to type next, where something was found.
    """

    name: str
    title: str
    count: int | None
    examples: Sequence[Named] = ()
    note: str | None = None
    command: str | None = None
    what: str = "key"

    @property
    def found(self) -> str:
        """How many of what, and what is the matter with them."""
        number = "unknown" if self.count is None else f"{self.count:,}"
        return f"{number} {self.what if self.count == 1 else f'{self.what}s'} {self.title}"


@dataclass(frozen=True)
class Report:
    """A report on the keys of a store at one time.

    Attributes:
        store: Which store, without a password.
        only: The filters that were given, as they are typed; empty for all keys.
        statuses: How many keys have each status.
        weeks: How many expire in each of the next WEEKS weeks; those that were replaced are not counted.
        later: How many expire after that.
        never: How many never expire.
        sections: All kinds of findings, those without any included.
    """

    store: str
    made_at: datetime
    only: str
    statuses: Mapping[Status, int]
    weeks: Sequence[Week]
    later: int
    never: int
    sections: Sequence[Section]

    @property
    def live(self) -> int:
        """How many keys are neither revoked nor expired."""
        ended = (Status.REVOKED, Status.EXPIRED)
        return sum(count for status, count in self.statuses.items() if status not in ended)

    @property
    def peak(self) -> Week:
        """The week in which most keys expire."""
        return max(self.weeks, key=lambda week: week.keys)

    def expiring_within(self, weeks: int) -> int:
        return sum(week.keys for week in self.weeks[:weeks])


@dataclass(frozen=True)
class Thresholds:
    """From when on something is a finding."""

    expiring_within: timedelta = timedelta(days=30)
    unused_for: timedelta = timedelta(days=90)
    never_used_after: timedelta = timedelta(days=7)
    moved_after: timedelta = timedelta(hours=24)
    refused_since: timedelta = timedelta(days=7)
    refused_at_least: int = 100
    refused_share: float = 0.2


# By name: what it is, for `--fail-on` and its errors.
SECTIONS: Mapping[str, str] = {
    "due": "due for rotation, as the profile says",
    "expiring": "expiring soon, without a successor",
    "stale": "used once, and not for long",
    "never-used": "valid for a week or more, and never used",
    "moved": "replaced, and their traffic has moved to the successor",
    "refused": "refused out of proportion",
    "no-owner": "without an owner",
    "no-expiry": "without an expiry",
    "unused-scopes": "scopes of the profile that no valid key has",
}


def titles(thresholds: Thresholds, rotate_every: timedelta | None) -> dict[str, str]:
    """Return how each section continues the number of its keys."""
    every = f", not rotated for {format_duration(rotate_every)}" if rotate_every else ""
    return {
        "due": f"due for rotation{every}",
        "expiring": f"expiring within {format_duration(thresholds.expiring_within)}",
        "stale": f"not used for {format_duration(thresholds.unused_for)}",
        "never-used": "never used",
        "moved": "replaced, and no longer used",
        "refused": f"refused out of proportion in {format_duration(thresholds.refused_since)}",
        "no-owner": "without an owner",
        "no-expiry": "without an expiry",
        "unused-scopes": "that no valid key has",
    }
