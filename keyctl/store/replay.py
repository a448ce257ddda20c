"""Replays a store's audit log."""

from __future__ import annotations

from sqlalchemy import Connection

from keyctl.history import History
from keyctl.store import events


def replay(connection: Connection) -> tuple[History, str | None]:
    """Return the state that follows from the log, and the first fault of the log itself. Looks at no other row."""
    history = History()
    for event in events.every_as_written(connection):
        if event.fault is not None or event.content is None:
            return history, event.fault
        if faults := history.follow(event.content):
            return history, faults[0]
    return history, next(iter(history.check_end(events.head(connection))), None)
