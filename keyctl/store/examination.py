"""What `keyctl doctor` asks of a database. It reads single columns, so that a row that was altered stops no check."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from keyctl.errors import StoreUnavailable
from keyctl.hashing import Argon2id
from keyctl.store.sqlite_file import file_uri, is_interrupted_write
from keyctl.store.tables import events, keys, owners
from keyctl.times import from_milliseconds, to_milliseconds

LARGEST = 1000  # rows of one kind


class Found(NamedTuple):
    """The first of the rows that were found, LARGEST at most, and how many there are."""

    rows: list[tuple[Any, ...]]
    total: int


def has_interrupted_write(file: Path) -> bool:
    """Return whether a process was killed while it wrote to this SQLite file. Rolls nothing back."""
    try:
        with closing(sqlite3.connect(file_uri(file, mode="ro"), uri=True, timeout=0)) as connection:
            connection.execute("pragma schema_version").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return is_interrupted_write(error)
    except StoreUnavailable:
        return False
    return False


def touch(connection: Connection) -> None:
    """Read something, whatever the schema is."""
    connection.exec_driver_sql("pragma schema_version" if connection.dialect.name == "sqlite" else "select 1")


def server_time(connection: Connection) -> datetime | None:
    """Return the time on the server. Exact only at the beginning of a transaction; None for a file."""
    if connection.dialect.name == "sqlite":
        return None
    moment: datetime = connection.execute(select(func.now())).scalar_one()
    return moment.astimezone(UTC)


def newest_event(connection: Connection) -> datetime | None:
    at = connection.execute(select(events.c.at).order_by(events.c.seq.desc()).limit(1)).scalar()
    try:
        return from_milliseconds(at) if at is not None else None
    except (TypeError, OverflowError):
        return None  # altered: the check of the log reports it


def undelivered(connection: Connection, *, now: datetime) -> Found:
    """Find valid keys of which neither a delivery nor a use is recorded.

    Each row: prefix, and the prefix of the key that it was to replace, if that is valid and not replaced.
    """
    old = keys.alias("old")
    replaceable = and_(old.c.id == keys.c.replaces, old.c.replaced_by.is_(None), *_valid(old, now))
    query = (
        select(keys.c.prefix, old.c.prefix)
        .select_from(keys.outerjoin(old, replaceable))
        .where(keys.c.delivered_at.is_(None), keys.c.last_used_at.is_(None), *_valid(keys, now))
    )
    return _found(connection, query)


def without_owner(connection: Connection, *, now: datetime) -> Found:
    """Find valid keys without an owner. Each row: prefix."""
    return _found(connection, select(keys.c.prefix).where(keys.c.owner_id.is_(None), *_lasting(now)))


def without_limits(connection: Connection, plans: Sequence[str], own: Sequence[str]) -> Found:
    """Find owners with no plan of `plans`, or with one of `own` and no attribute `limits`. Each row: handle, plan."""
    attribute = owners.c.attributes.contains('"limits":', autoescape=True)
    missing = or_(owners.c.plan.is_(None), owners.c.plan.not_in(plans), and_(owners.c.plan.in_(own), ~attribute))
    return _found(connection, select(owners.c.handle, owners.c.plan).where(missing), by=owners.c.handle)


def outliving(connection: Connection, maximum: timedelta, *, now: datetime) -> Found:
    """Find valid keys that live longer than `maximum`. Each row: prefix, creation, expiry (or None)."""
    latest = keys.c.created_at + maximum // timedelta(milliseconds=1)
    query = select(keys.c.prefix, keys.c.created_at, keys.c.expires_at).where(
        or_(keys.c.expires_at.is_(None), keys.c.expires_at > latest), *_lasting(now)
    )
    return _found(connection, query)


def older_than(connection: Connection, age: timedelta, *, now: datetime) -> Found:
    """Find valid keys that were created so long ago, and are not locked. Each row: prefix, creation."""
    unlocked = or_(keys.c.locked_at.is_(None), keys.c.locked_until <= to_milliseconds(now))
    query = select(keys.c.prefix, keys.c.created_at).where(
        keys.c.created_at <= to_milliseconds(now - age), unlocked, *_lasting(now)
    )
    return _found(connection, query)


def hashed_with(connection: Connection, scheme: Argon2id, *, now: datetime) -> Found:
    """Find valid keys whose hash has these parameters and pepper. Each row: prefix."""
    begin = scheme.decoy().rsplit("$", 2)[0] + "$"  # all but its salt and digest
    query = select(keys.c.prefix).where(keys.c.phc.startswith(begin, autoescape=True), *_valid(keys, now))
    return _found(connection, query)


def _valid(table: Any, now: datetime) -> list[ColumnElement[bool]]:
    expires_at = table.c.expires_at
    return [table.c.revoked_at.is_(None), or_(expires_at.is_(None), expires_at > to_milliseconds(now))]


def _lasting(now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions of keys that no successor is about to replace."""
    return [keys.c.replaced_by.is_(None), *_valid(keys, now)]


def _found(connection: Connection, query: Select[Any], by: ColumnElement[Any] = keys.c.prefix) -> Found:
    rows = [tuple(row) for row in connection.execute(query.order_by(by).limit(LARGEST))]
    if len(rows) < LARGEST:
        return Found(rows, len(rows))
    return Found(rows, connection.execute(query.with_only_columns(func.count())).scalar_one())
