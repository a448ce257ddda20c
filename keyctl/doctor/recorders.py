"""Checks of the recorders: services that should report the use of keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from shlex import quote

from keyctl.doctor.finding import Finding
from keyctl.store import usage
from keyctl.store.database import Database
from keyctl.times import describe_relative
from keyctl.usage.recorders import by_name, finished

_RECENTLY = timedelta(days=1)


def recorders(database: Database, *, now: datetime) -> Iterator[Finding]:
    """Find processes that stopped reporting without an end, and those that could not count every answer."""
    with database.read() as connection:
        names = by_name(usage.instances(connection))
    for name, instances in names.items():
        for one in finished(instances, now)[1]:
            last = describe_relative(one.reported_at, now=now)
            yield Finding(
                "a recorder is silent: a process was killed, or cannot report the use of keys",
                f"{name} ({one.place}), last report {last}",
                f"start it again; if it is gone: keyctl usage recorders --forget {quote(name)}",
            )
        for one in instances:
            if one.dropped_at is not None and one.dropped_at > now - _RECENTLY:
                yield Finding(
                    "a recorder could not report for so long that it dropped counts",
                    f"{name} ({one.place})",
                    "see: keyctl help usage",
                )
