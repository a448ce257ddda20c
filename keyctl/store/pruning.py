"""Removes the rows of keys that have ended, and of their use, and makes a SQLite file smaller."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, or_, select

from keyctl.models import Key, Status
from keyctl.rows import decode_key
from keyctl.store.chunks import chunks
from keyctl.store.selection import Filters, conditions
from keyctl.store.sqlite_file import explain, file_uri
from keyctl.store.tables import keys, owners, usage_days, usage_hours
from keyctl.store.transaction import execute
from keyctl.times import to_milliseconds


@dataclass(frozen=True)
class Ended:
    """Which keys: those that match the filters at `now`, and were revoked, or else expired, before another time."""

    filters: Filters
    now: datetime
    before: datetime


class Counted(NamedTuple):
    """How many keys have ended before a time, by status, and of how many owners; and the prefixes of the first."""

    by_status: dict[Status, int]
    owners: int
    first: list[str]
    before: datetime

    @property
    def total(self) -> int:
        return sum(self.by_status.values())


def count(connection: Connection, ended: Ended, *, examples: int) -> Counted:
    chosen = _conditions(ended)
    status = case((keys.c.revoked_at.is_not(None), Status.REVOKED.value), else_=Status.EXPIRED.value)
    by_status = select(status, func.count()).where(*chosen).group_by(status)
    whose = select(func.count(keys.c.owner_id.distinct())).where(*chosen)
    first = select(keys.c.prefix).where(*chosen).order_by(_end(), keys.c.id).limit(examples)
    return Counted(
        {Status(name): number for name, number in connection.execute(by_status)},
        connection.execute(whose).scalar_one(),
        list(connection.execute(first).scalars()),
        ended.before,
    )


def select_to_remove(connection: Connection, ended: Ended, *, after: str, limit: int) -> list[tuple[Key, str | None]]:
    """Return keys in the order of their ids, from the one after `after` on, each with the handle of its owner.

    They are locked until the transaction ends.
    """
    query = (
        select(keys, owners.c.handle.label("owner_handle"))
        .select_from(keys.outerjoin(owners, owners.c.id == keys.c.owner_id))
        .where(keys.c.id > after, *_conditions(ended))
        .order_by(keys.c.id)
        .limit(limit)
        .with_for_update(of=keys)
    )
    return [(decode_key(row), row["owner_handle"]) for row in connection.execute(query).mappings()]


def remove(connection: Connection, key_ids: Sequence[str]) -> None:
    for chunk in chunks(list(key_ids)):
        execute(connection, delete(keys).where(keys.c.id.in_(chunk)), rows=len(chunk))


def remove_use_of_removed(connection: Connection) -> None:
    """Remove what was recorded of keys that are no longer there."""
    for table in (usage_hours, usage_days):
        connection.execute(delete(table).where(~select(keys.c.id).where(keys.c.id == table.c.key_id).exists()))


def shrink(path: Path, *, wait: float) -> None:
    """Give the space of removed rows back to the file system. Raises StoreUnavailable; the content is the same then.

    SQLite writes the whole content again, beside the file and then over it, which needs as much free space. Readers
    and writers wait meanwhile; `wait` is how many seconds to wait for them.
    """
    try:
        with closing(
            sqlite3.connect(file_uri(path, mode="rw"), uri=True, timeout=wait, isolation_level=None)
        ) as connection:
            connection.execute("vacuum")
    except sqlite3.Error as error:
        raise explain(path, error) from error


def _conditions(ended: Ended) -> list[ColumnElement[bool]]:
    before = to_milliseconds(ended.before)
    long_ago = or_(keys.c.revoked_at < before, and_(keys.c.revoked_at.is_(None), keys.c.expires_at < before))
    return [long_ago, *conditions(ended.filters, ended.now)]


def _end() -> ColumnElement[int | None]:
    return func.coalesce(keys.c.revoked_at, keys.c.expires_at)
