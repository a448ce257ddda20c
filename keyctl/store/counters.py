"""Identifiers of new rows: ULIDs, or serial numbers where the profile asks for them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from keyctl.rows import RowDamaged
from keyctl.store.tables import counters
from keyctl.store.transaction import execute
from keyctl.ulid import ulids

_ULID_PREFIXES = {"key": "key_", "owner": "own_"}


def read(connection: Connection) -> dict[str, int]:
    """Return the last serial ids, by the kind of row. Raises RowDamaged for one that cannot be read."""
    found = {row.name: row.value for row in connection.execute(select(counters))}
    if not all(isinstance(name, str) and isinstance(value, int) for name, value in found.items()):
        raise RowDamaged("a counter of the store was altered outside keyctl: it cannot be read")
    return found


def new_ids(connection: Connection, kind: str, scheme: str, *, now: datetime, count: int = 1) -> list[str]:
    """Return `count` ids for new rows of `kind` (`key`, `owner`), ascending. `scheme` is `ulid` or `serial`."""
    if scheme == "ulid":
        return [_ULID_PREFIXES[kind] + ulid for ulid in ulids(now, count)]
    row = connection.execute(select(counters.c.value).where(counters.c.name == kind).with_for_update()).scalar()
    if not isinstance(row, int | None):
        raise RowDamaged("a counter of the store was altered outside keyctl: it cannot be read")
    last = row or 0
    statement = insert(counters).values(name=kind, value=last + count)
    if row is not None:
        statement = update(counters).where(counters.c.name == kind).values(value=last + count)  # type: ignore[assignment]
    execute(connection, statement)
    return [str(last + i) for i in range(1, count + 1)]
