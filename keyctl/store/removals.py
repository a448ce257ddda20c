"""Keys that were removed from the store, as the audit log still knows them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select

from keyctl.audit import REMOVED, entries
from keyctl.store import events
from keyctl.store.tables import events as table


class Removal(NamedTuple):
    """A key that was removed: its id and its prefix, and when."""

    id: str
    prefix: str
    at: datetime


def find(connection: Connection, selector: str) -> Removal | None:
    """Return the removed key with this id or prefix; None if there is none, or if this role may not read the log."""
    if not _may_read_log(connection):
        return None
    written = json.dumps(selector, ensure_ascii=False)
    mentions = [table.c.detail.contains(f'"{name}":{written}', autoescape=True) for name in ("id", "prefix")]
    query = select(table).where(table.c.action == REMOVED, or_(*mentions)).order_by(table.c.seq.desc())
    for row in connection.execute(query).mappings():
        event = events.decode(row)
        for entry in entries(event):
            if selector in (entry["id"], entry["prefix"]):
                return Removal(entry["id"], entry["prefix"], event.at)
    return None


def revoked_prefixes(connection: Connection) -> set[str]:
    """Return the prefixes of the removed keys that were revoked: they stay so."""
    query = select(table).where(table.c.action == REMOVED).execution_options(yield_per=20)
    return {
        entry["prefix"]
        for row in connection.execute(query).mappings()
        for entry in entries(events.decode(row))
        if "revoked_at" in entry.get("was", {})
    }


def ids_of_owners(connection: Connection, owner_ids: Collection[str]) -> Iterator[str]:
    """Yield the ids of the removed keys that these owners had."""
    query = select(table).where(table.c.action == REMOVED).execution_options(yield_per=20)
    for row in connection.execute(query).mappings():
        removed = entries(events.decode(row))
        yield from (entry["id"] for entry in removed if entry.get("was", {}).get("owner_id") in owner_ids)


def _may_read_log(connection: Connection) -> bool:
    """Return whether this role may: on PostgreSQL, one that only verifies keys may not."""
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.execute(select(func.has_table_privilege("events", "select"))).scalar())
