"""Compares the whole store with the state that follows from the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import inspect

from keyctl.errors import CheckFailed
from keyctl.history import Checkpoint, History, Position
from keyctl.rows import AsWritten, RowDamaged
from keyctl.store import catalog, counters, events, keys, owners, settings
from keyctl.store.database import Connection, Database, recorded_revision, schema_objects
from keyctl.store.opening import check_revision
from keyctl.store.setting_names import SettingName
from keyctl.store.tables import metadata
from keyctl.text import visible

MOST_FAULTS = 100
T = TypeVar("T")
Check = Callable[[T], Iterable[str]]  # returns what is wrong
_IDENTITY = {SettingName.STORE_ID, SettingName.CREATED_AT}  # not in the first event of the first stores
# Use is recorded, not audited: neither the tables of usage, nor a key's last use. Of refusals, some are events.
_NOT_AUDITED = {SettingName.ADMIN_TOKEN_REFUSALS}


@dataclass(frozen=True)
class Verdict:
    """How many rows were read, and what is wrong: the first MOST_FAULTS faults, of `fault_count`.

    A fault is a line of text that a terminal may show. `start` is the checkpoint from which on events were read, None
    if all were. `position` is what a new checkpoint records, if nothing is wrong.
    """

    events: int
    keys: int
    owners: int
    faults: tuple[str, ...]
    fault_count: int
    start: Checkpoint | None
    position: Position

    @property
    def fault(self) -> str | None:
        """The first fault."""
        return self.faults[0] if self.faults else None


def check(database: Database, checkpoints: Sequence[Checkpoint] = (), *, resume: bool = False) -> Verdict:
    """Recompute the chain, replay it and compare, in one transaction that sees one consistent state.

    The log must contain the events of `checkpoints`. With `resume`, only the events from the newest of them on are
    read; if anything differs, all of them, to name it. Raises CheckFailed for a checkpoint of another store.

    Takes a Database, since an altered store may not open as a Store.
    """
    with database.read() as connection:
        if resume:
            newest = max(checkpoints, key=lambda one: one.position.seq)
            verdict = _Reading(connection, str(database.location), [newest], start=newest).verdict()
            if not verdict.faults:
                return verdict
        return check_in(connection, str(database.location), checkpoints)


def check_in(connection: Connection, store: str, checkpoints: Sequence[Checkpoint] = ()) -> Verdict:
    """Do the same in the caller's transaction. `store` names the store in errors of its schema."""
    return _Reading(connection, store, checkpoints).verdict()


class _Reading:
    """One reading of the store."""

    def __init__(
        self,
        connection: Connection,
        location: str,
        checkpoints: Sequence[Checkpoint],
        *,
        start: Checkpoint | None = None,
    ) -> None:
        self._connection = connection
        self._location = location
        self._checkpoints = checkpoints
        self._start = start
        self._history = History(checkpoints, start=start)
        self._store_id = ""
        self._read = {"events": 0, "keys": 0, "owners": 0}

    def verdict(self) -> Verdict:
        faults: list[str] = []
        count = 0
        for count, fault in enumerate(self._faults(), start=1):
            if count <= MOST_FAULTS:
                faults.append(visible(fault))
        position = self._history.position(self._store_id)
        return Verdict(**self._read, faults=tuple(faults), fault_count=count, start=self._start, position=position)

    def _faults(self) -> Iterator[str]:
        connection, history = self._connection, self._history
        objects = schema_objects(connection)
        yield from catalog.added(objects)
        if catalog.hides_rows(objects):
            return  # reading it may never end
        check_revision(self._location, recorded_revision(connection) if catalog.holds_store(objects) else None)
        yield from _indexes(connection)
        kept = settings.every_as_written(connection)
        self._identify(str(kept.get(SettingName.STORE_ID, "")))
        since = self._start.position.seq if self._start else 1
        yield from self._rows("events", events.every_as_written(connection, since=since), history.follow, history.skip)
        yield from history.check_end(events.head(connection))
        for name in sorted({*SettingName, *map(str, kept)} - _NOT_AUDITED):
            faults = history.check_setting(name, kept.get(name))
            if name not in _IDENTITY or history.records_setting(name):
                yield from faults
        yield from self._rows("owners", owners.every_as_written(connection), history.check_owner, history.skip_owner)
        yield from self._rows("keys", keys.every_as_written(connection), history.check_key, history.skip_key)
        yield from history.missing()
        try:
            yield from history.check_counters(counters.read(connection))
        except RowDamaged as error:
            yield str(error)
        yield from history.check_states()

    def _identify(self, store_id: str) -> None:
        for one in self._checkpoints:
            if one.position.store_id != store_id:
                raise CheckFailed(
                    f"{one} is of the store {one.position.store_id}, and this is the store {visible(store_id)}",
                    hint="give a checkpoint of this store, or another --store",
                )
        self._store_id = store_id

    def _rows(self, name: str, found: Iterable[AsWritten[T]], check: Check[T], skip: Check[Any]) -> Iterator[str]:
        for row in found:
            self._read[name] += 1
            if row.fault:
                yield row.fault
            yield from skip(row.id) if row.content is None else check(row.content)


def _indexes(connection: Connection) -> Iterator[str]:
    """Yield the indexes that are missing: a unique one keeps two keys from having the same prefix."""
    found = inspect(connection).get_multi_indexes(filter_names=list(metadata.tables))
    for table in metadata.sorted_tables:
        made = {index["name"]: (index["column_names"], index["unique"]) for index in found.get((None, table.name), ())}
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if made.get(index.name) != ([column.name for column in index.columns], index.unique):
                yield f"the index {index.name} on {table.name} is missing, or was altered outside keyctl"
