"""Compares the whole store with the state that follows from the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import inspect

from keyctl.history import History
from keyctl.rows import AsWritten, RowDamaged
from keyctl.store import catalog, counters, events, keys, owners, settings
from keyctl.store.database import Connection, Database, recorded_revision, schema_objects
from keyctl.store.opening import check_revision
from keyctl.store.setting_names import SettingName
from keyctl.store.sqlite_engine import bytes_where_not_utf8
from keyctl.store.tables import metadata
from keyctl.text import visible

MOST_FAULTS = 100
T = TypeVar("T")
Check = Callable[[T], Iterable[str]]  # returns what is wrong
_IDENTITY = {SettingName.STORE_ID, SettingName.CREATED_AT}  # not in the first event of the first stores
# Use is recorded, not audited: neither when it began to be, nor a key's last use. Of refusals, some are events.
_NOT_AUDITED = {SettingName.USAGE_RECORDED_SINCE, SettingName.ADMIN_TOKEN_REFUSALS}


@dataclass(frozen=True)
class Verdict:
    """How many rows were checked, and what is wrong: the first MOST_FAULTS faults, of `fault_count`.

    A fault is a line of text that a terminal may show.
    """

    events: int
    keys: int
    owners: int
    faults: tuple[str, ...]
    fault_count: int

    @property
    def fault(self) -> str | None:
        """The first fault."""
        return self.faults[0] if self.faults else None


def check(database: Database) -> Verdict:
    """Recompute the chain, replay it and compare, in one transaction that sees one consistent state.

    Takes a Database, since an altered store may not open as a Store.
    """
    seen = {"events": 0, "keys": 0, "owners": 0}
    faults: list[str] = []
    count = 0
    with database.read() as connection, bytes_where_not_utf8(connection):
        for count, fault in enumerate(_faults(connection, str(database.location), seen), start=1):
            if count <= MOST_FAULTS:
                faults.append(visible(fault))
    return Verdict(**seen, faults=tuple(faults), fault_count=count)


def _faults(connection: Connection, location: str, seen: dict[str, int]) -> Iterator[str]:
    objects = schema_objects(connection)
    yield from catalog.added(objects)
    if catalog.hides_rows(objects):
        return  # reading it may never end
    check_revision(location, recorded_revision(connection) if catalog.holds_store(objects) else None)
    yield from _indexes(connection)
    history = History()

    def rows(name: str, found: Iterable[AsWritten[T]], check: Check[T], skip: Check[Any]) -> Iterator[str]:
        for row in found:
            seen[name] += 1
            if row.fault:
                yield row.fault
            yield from skip(row.id) if row.content is None else check(row.content)

    yield from rows("events", events.every_as_written(connection), history.follow, history.skip)
    yield from history.check_head(events.head(connection))
    yield from _settings(connection, history)
    yield from rows("owners", owners.every_as_written(connection), history.check_owner, history.skip_owner)
    yield from rows("keys", keys.every_as_written(connection), history.check_key, history.skip_key)
    yield from history.missing()
    try:
        yield from history.check_counters(counters.read(connection))
    except RowDamaged as error:
        yield str(error)


def _settings(connection: Connection, history: History) -> Iterator[str]:
    kept = settings.every_as_written(connection)
    # Use is recorded, not audited: neither when it began to be, nor a key's last use.
    for name in sorted({*SettingName, *map(str, kept)} - _NOT_AUDITED):
        if name in _IDENTITY and not history.records_setting(name):
            continue
        yield from history.check_setting(name, kept.get(name))


def _indexes(connection: Connection) -> Iterator[str]:
    """Yield the indexes that are missing: a unique one keeps two keys from having the same prefix."""
    inspector = inspect(connection)
    for table in metadata.sorted_tables:
        found = {
            index["name"]: (index["column_names"], bool(index["unique"])) for index in inspector.get_indexes(table.name)
        }
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if found.get(index.name) != ([column.name for column in index.columns], bool(index.unique)):
                yield f"the index {index.name} on {table.name} is missing, or was altered outside keyctl"
