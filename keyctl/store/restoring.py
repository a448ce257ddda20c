"""What a restore reads and writes: rows of the store beside those of the backup, and rows that are written again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Table, delete, insert, select, update

from keyctl.audit import phc_digest
from keyctl.models import Key, Owner
from keyctl.rows import RowDamaged, decode_key, decode_owner, encode_key, encode_owner
from keyctl.store import settings
from keyctl.store.chunks import chunks
from keyctl.store.copying import USAGE, check_arrived, copy_rows
from keyctl.store.database import Database
from keyctl.store.setting_names import SettingName
from keyctl.store.tables import audit_head, counters, events, keys, owners
from keyctl.store.tables import settings as settings_table
from keyctl.store.transaction import execute

T = TypeVar("T", Key, Owner)
_LOG = (settings_table, counters, events, audit_head, *USAGE)  # and what is in no row of a key or an owner


class Versions(NamedTuple, Generic[T]):
    """A row of the store, None if it is missing or cannot be read, and the same one in the backup.

    `is_exact` is whether the row is written as keyctl writes `stored`.
    """

    id: str
    stored: T | None
    saved: T | None
    is_exact: bool


def hash_of_event(connection: Connection, seq: int) -> str | None:
    return connection.execute(select(events.c.hash).where(events.c.seq == seq)).scalar()


def replace_log(backup: Connection, target: Connection, database: Database) -> None:
    """Replace the log of a store, its settings, and the use that it recorded, by those of the backup."""
    for table in _LOG:
        target.execute(delete(table))
    check_arrived(target, copy_rows(backup, target, database, tables=_LOG))


def repair_settings(backup: Connection, target: Connection, logged: Mapping[str, str | None]) -> list[str]:
    """Write again each setting that is not the one of the log, if the backup has that. Return their names."""
    kept, saved = settings.read(target), settings.read(backup)
    altered = [
        name
        for name in map(SettingName, logged)
        if _digest(kept.get(name)) != logged[name] and _digest(saved.get(name)) == logged[name]
    ]
    settings.change(target, {name: saved.get(name) for name in altered})
    return list(altered)


def repair_counters(target: Connection, logged: Mapping[str, int]) -> list[str]:
    """Write again each counter that is not the log's. Return their names."""
    kept = {row.name: row.value for row in target.execute(select(counters))}
    altered = sorted(name for name in kept.keys() | logged.keys() if kept.get(name) != logged.get(name))
    target.execute(delete(counters).where(counters.c.name.in_(altered)))
    for name in altered:
        if name in logged:
            execute(target, insert(counters), {"name": name, "value": logged[name]})
    return altered


def key_versions(backup: Connection, target: Connection) -> Iterator[Versions[Key]]:
    return _versions(backup, target, keys, decode_key, encode_key)


def owner_versions(backup: Connection, target: Connection) -> Iterator[Versions[Owner]]:
    return _versions(backup, target, owners, decode_owner, encode_owner)


def write_keys(target: Connection, written: Sequence[Key], removed: Sequence[str]) -> None:
    """Write whole rows of keys, in place of those that are there, and remove others."""
    for chunk in chunks([*removed, *(key.id for key in written)]):
        target.execute(delete(keys).where(keys.c.id.in_(chunk)))
    if written:
        execute(target, insert(keys), [encode_key(key) for key in written], rows=len(written))


def write_owners(target: Connection, written: Sequence[Owner], removed: Sequence[str]) -> None:
    """Write whole rows of owners, and take others out of the tree.

    These are not removed yet, since keys may refer to them: see `remove_owners`.
    """
    # Handles are unique, and may have been exchanged; a parent may not be there yet.
    for chunk in chunks([*removed, *(owner.id for owner in written)]):
        target.execute(update(owners).where(owners.c.id.in_(chunk)).values(handle=owners.c.id, parent_id=None))
    present = set(target.execute(select(owners.c.id)).scalars())
    for owner in written:
        if owner.id not in present:
            execute(target, insert(owners), encode_owner(owner) | {"parent_id": None})
    for owner in written:
        execute(target, update(owners).where(owners.c.id == owner.id).values(encode_owner(owner)))


def remove_owners(target: Connection, removed: Sequence[str]) -> None:
    for chunk in chunks(list(removed)):
        target.execute(delete(owners).where(owners.c.id.in_(chunk)))


def _versions(
    backup: Connection,
    target: Connection,
    table: Table,
    decode: Callable[[Any], T],
    encode: Callable[[T], dict[str, Any]],
) -> Iterator[Versions[T]]:
    sides = (_by_id(target, table, 0), _by_id(backup, table, 1))
    for row_id, group in groupby(merge(*sides, key=itemgetter(0, 1)), key=itemgetter(0)):
        rows = {side: row for _, side, row in group}
        stored = _decoded(rows.get(0), decode)
        saved = decode(rows[1]) if 1 in rows else None
        yield Versions(row_id, stored, saved, stored is not None and encode(stored) == rows[0])


def _by_id(connection: Connection, table: Table, side: int) -> Iterator[tuple[str, int, dict[str, Any]]]:
    query = select(table).order_by(table.c.id).execution_options(yield_per=1000)
    with closing(connection.execute(query)) as result:
        for row in result.mappings():
            if not isinstance(row["id"], str):
                raise RowDamaged(f"a row of its table {table.name} has an id that is not text")
            yield row["id"], side, dict(row)


def _decoded(row: Mapping[str, Any] | None, decode: Callable[[Any], T]) -> T | None:
    if row is None:
        return None
    try:
        return decode(row)
    except RowDamaged:
        return None


def _digest(value: str | None) -> str | None:
    return None if value is None else phc_digest(value)
