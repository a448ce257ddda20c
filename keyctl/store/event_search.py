"""Finds events in the audit log, newest first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select

from keyctl.audit import entries
from keyctl.errors import NotFound
from keyctl.models import Event
from keyctl.store import events, keys, owners, removals
from keyctl.store.database import Database
from keyctl.store.tables import events as table
from keyctl.store.tables import keys as keys_table
from keyctl.times import to_milliseconds

_PAGE = 200  # events that are read at a time: one may name a thousand keys
_FEW = 50  # ids that are searched for in SQL
_ID = re.compile(r'"id":"([^"\\]*)"')


@dataclass(frozen=True)
class Subjects:
    """What events are about: the ids of keys, and of owners."""

    keys: frozenset[str]
    owners: frozenset[str] = frozenset()

    def include(self, event: Event) -> bool:
        owner = event.detail.get("owner")
        return (isinstance(owner, dict) and owner.get("id") in self.owners) or any(
            entry["id"] in self.keys for entry in entries(event)
        )


@dataclass(frozen=True)
class EventFilters:
    """Which events: those that meet all conditions that are not None or empty.

    `before` is a sequence number, `since` and `until` are times; the event at `until` is not included. `actors` are
    parts of the actor or of the claimed one, `actions` are names or groups, and one of each is enough. An event must
    be about all of the `subjects`.
    """

    before: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    actors: Sequence[str] = ()
    actions: Sequence[str] = ()
    subjects: Sequence[Subjects] = ()


def find(database: Database, filters: EventFilters) -> Iterator[Event]:
    """Yield matching events, newest first, in constant memory.

    Each page of them is a transaction of its own, so that a slow reader keeps no writer waiting: events are only ever
    added at the other end.
    """
    before = filters.before
    while True:
        query = select(table).where(*_conditions(filters)).order_by(table.c.seq.desc()).limit(_PAGE)
        if before is not None:
            query = query.where(table.c.seq < before)
        with database.read() as connection:
            rows = list(connection.execute(query).mappings())
        for row in rows:
            if all(_mentions(row["detail"], one) for one in filters.subjects):
                with database.explained():
                    event = events.decode(row)
                if all(one.include(event) for one in filters.subjects):
                    yield event
        if len(rows) < _PAGE:
            return
        with database.explained():
            before = events.decode(rows[-1]).seq


def keys_named(connection: Connection, selectors: Sequence[str]) -> Subjects:
    """Return the keys with these ids or prefixes, those that were removed included. Raises NotFound."""
    found = set()
    for selector in selectors:
        try:
            found.add(keys.get(connection, selector).key.id)
        except NotFound:
            removed = removals.find(connection, selector)
            if removed is None:
                raise
            found.add(removed.id)
    return Subjects(frozenset(found))


def owners_named(connection: Connection, handles: Sequence[str], *, below: bool = False) -> Subjects:
    """Return these owners and their keys, those that were removed included; with `below`, all owners below them too.

    Raises NotFound.
    """
    named = {owners.get(connection, handle).id for handle in handles}
    if below:
        named |= set(map(str, connection.execute(owners.ids_below(sorted(named))).scalars()))
    theirs: set[str] = set()
    for owner_id in sorted(named):
        theirs.update(connection.execute(select(keys_table.c.id).where(keys_table.c.owner_id == owner_id)).scalars())
    theirs.update(removals.ids_of_owners(connection, named))
    return Subjects(frozenset(theirs), frozenset(named))


def _conditions(filters: EventFilters) -> Iterator[ColumnElement[bool]]:
    if filters.since is not None:
        yield table.c.at >= to_milliseconds(filters.since)
    if filters.until is not None:
        yield table.c.at < to_milliseconds(filters.until)
    if filters.actors:
        columns = (table.c.actor, table.c.claimed_actor)
        yield or_(*(column.icontains(text, autoescape=True) for text in filters.actors for column in columns))
    if filters.actions:
        yield or_(
            table.c.action.in_(filters.actions),
            *(table.c.action.startswith(f"{name}.", autoescape=True) for name in filters.actions),
        )
    for one in filters.subjects:
        ids = one.keys | one.owners
        # Of more ids than a statement takes, each event is compared as it is read.
        if len(ids) <= _FEW:
            yield or_(*(table.c.detail.contains(_written(one), autoescape=True) for one in sorted(ids)))


def _mentions(detail: Any, subjects: Subjects) -> bool:
    """Return whether an event may be about one of them, without decoding it."""
    found = set(_ID.findall(detail)) if isinstance(detail, str) else set()
    return not (found.isdisjoint(subjects.keys) and found.isdisjoint(subjects.owners))


def _written(row_id: str) -> str:
    return f'"id":{json.dumps(row_id)}'
