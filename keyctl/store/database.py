"""Opens a store and runs its transactions."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from threading import BoundedSemaphore
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine, Pool, Select, column, select, table
from sqlalchemy.exc import DataError, DBAPIError

from keyctl.errors import ConfigurationInvalid, StoreBusy, StoreUnavailable, UsageError
from keyctl.models import KeyRecord, Owner
from keyctl.rows import RowDamaged
from keyctl.store import catalog, keys, owners, postgres, settings, sqlite_file, tables
from keyctl.store.fork_guard import no_fork
from keyctl.store.location import StoreLocation
from keyctl.store.opening import check_revision, damaged, read_rules
from keyctl.store.setting_names import SettingName
from keyctl.store.sqlite_engine import snapshot_engine, sqlite_engine
from keyctl.store.transaction import last_event, write_options

__all__ = ["DEFAULT_WAIT", "Connection", "Database", "Store", "schema_revision"]

DEFAULT_WAIT = 5.0
_ATTEMPTS = 10
CONNECTIONS = 15  # at most, as many as the pool has
T = TypeVar("T")
_databases: WeakSet[Database] = WeakSet()
_inherited: list[Pool] = []  # from the parent of this process


class Database:
    """A database that may not hold a store yet. `wait` is how many seconds to wait for another writer.

    With `patient`, also wait that long for a server that is starting. `engine` is one over a database in memory. Every
    error of the driver becomes a StoreUnavailable.
    """

    def __init__(
        self,
        location: StoreLocation,
        *,
        wait: float = DEFAULT_WAIT,
        patient: bool = False,
        engine: Engine | None = None,
    ) -> None:
        self.location = location
        self._wait = wait
        self._guard: Callable[[], AbstractContextManager[None]] = no_fork
        if engine is not None:
            self._engine = engine
        elif location.file is not None:
            self._engine = sqlite_engine(location.file, wait=wait)
        else:
            self._engine = postgres.postgres_engine(location, wait=wait, patient=patient)
            self._guard = nullcontext
        self._free = BoundedSemaphore(CONNECTIONS)
        _databases.add(self)

    @contextmanager
    def read(self, *, deadline: float | None = None, patience: float = math.inf) -> Iterator[Connection]:
        """Begin a transaction that only reads, and sees one consistent state of the store.

        A server has until `deadline` to answer, in seconds of `time.monotonic`, and may be silent for `patience`.
        """
        with (
            self.explained(),
            postgres.answered_by(deadline, patience),
            self._connect({}, deadline=deadline) as connection,
            connection.begin(),
        ):
            yield connection

    def look(self, work: Callable[[Connection], T], *, deadline: float | None) -> T:
        """Run `work` in a transaction that only reads; if the connection is lost, once again on another one.

        It counts as lost after a second of silence: the network may have dropped it, or the server was replaced.
        """
        left = math.inf if deadline is None else deadline - time.monotonic()
        try:
            with self.read(deadline=deadline, patience=min(postgres.LOST_AFTER, left / 2)) as connection:
                return work(connection)
        except StoreUnavailable as error:
            if not (isinstance(error.__cause__, DBAPIError) and error.__cause__.connection_invalidated):
                raise
        with self.read(deadline=deadline) as connection:
            return work(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Read one consistent state for as long as it takes, without keeping a writer waiting.

        A file is copied first: a long transaction would keep its writers waiting, and these its other readers.
        """
        if self.location.file is None:
            with self.read() as connection:
                yield connection
            return
        engine = snapshot_engine(self.location.file, wait=self._wait)
        with self.explained(), engine.connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T], *, dry_run: bool = False) -> T:
        """Run `work` in one transaction, and return its result; with `dry_run`, roll the transaction back at the end.

        After a conflict with another transaction, `work` runs again: it must not keep state between runs.
        """
        with self.explained():
            for attempt in range(_ATTEMPTS):
                try:
                    return self._attempt(work, dry_run=dry_run)
                except DBAPIError as error:
                    if attempt == _ATTEMPTS - 1 or not postgres.is_retryable(error.orig):
                        raise
                time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - to spread the retries
        raise RuntimeError("unreachable")

    def revision(self) -> str | None:
        """Return the revision of the schema, or None if there is no store here."""
        with self.read() as connection:
            return schema_revision(connection)

    def close(self) -> None:
        self._engine.dispose()

    def renew_connections(self) -> None:
        """In a child of fork, let go of the parent's connections: they can neither be used nor closed there."""
        _inherited.append(self._engine.pool)
        self._engine.dispose(close=False)
        self._free = BoundedSemaphore(CONNECTIONS)

    @contextmanager
    def _connect(self, options: Mapping[str, Any], *, deadline: float | None = None) -> Iterator[Connection]:
        # The pool would let each call wait for the same time, and not notice when a connection was not made after all.
        left = self._wait if deadline is None else deadline - time.monotonic()
        free = self._free
        if not free.acquire(timeout=max(0.0, left)):
            raise StoreBusy(f"the store {self.location} is busy: every connection is in use", hint="try again")
        try:
            with self._guard(), self._engine.connect().execution_options(**options) as connection:
                yield connection
        finally:
            free.release()

    def _attempt(self, work: Callable[[Connection], T], *, dry_run: bool) -> T:
        with self._connect(write_options()) as connection:
            transaction = connection.begin()
            try:
                result = work(connection)
            except BaseException:
                transaction.rollback()
                raise
            if dry_run:
                transaction.rollback()
                return result
            written = last_event(connection)
            try:
                transaction.commit()
            except DBAPIError as error:
                if not (error.connection_invalidated and written and self._was_committed(*written)):
                    raise
            return result

    def _was_committed(self, seq: int, digest: str) -> bool:
        """Return whether a transaction was committed that lost its connection during the commit."""
        self._engine.dispose()
        query = select(tables.events.c.seq).where(tables.events.c.seq == seq, tables.events.c.hash == digest)

        def look(connection: Connection) -> bool:
            # The server may still be committing: until it has finished, it holds the lock on the chain's head.
            connection.execute(select(tables.audit_head).with_for_update())
            return connection.execute(query).first() is not None

        try:
            with self.explained():
                return self._attempt(look, dry_run=True)
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"the connection was lost during a commit, and the outcome is unknown: {error.message}",
                hint="check before you retry: keyctl audit list",
            ) from error

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the driver's errors into ones for an operator, which name this store."""
        try:
            yield
        except RowDamaged as error:
            raise damaged(str(self.location), str(error)) from error
        except UnicodeEncodeError:  # arguments may hold bytes that are not UTF-8
            raise UsageError("an argument is not valid UTF-8: no name in a store can match it") from None
        except UnicodeDecodeError as error:  # SQLite quotes a damaged schema in its message
            raise damaged(str(self.location), sqlite_file.NOT_UTF8) from error
        except DBAPIError as error:
            if self.location.file is not None:
                raise sqlite_file.explain(self.location.file, error.orig) from error
            postgres.forget_detail(error)
            if isinstance(error, DataError) and "NUL" in str(error.orig):
                raise UsageError("an argument holds a NUL character: no name in a store can match it") from None
            raise postgres.explain(self.location, error.orig) from error


class Store(Database):
    """An open store with this version's schema, for look-ups and for changes.

    Raises StoreUnavailable, StoreBusy, or ConfigurationInvalid for another schema than this version's.
    """

    def __init__(
        self,
        location: StoreLocation,
        *,
        wait: float = DEFAULT_WAIT,
        patient: bool = False,
        engine: Engine | None = None,
    ) -> None:
        super().__init__(location, wait=wait, patient=patient, engine=engine)
        try:
            with self.read() as connection:
                check_revision(str(location), schema_revision(connection))
                self._read_settings(connection)
        except BaseException:
            self.close()
            raise

    def reload(self) -> None:
        """Read the store's settings again."""
        with self.read() as connection:
            self._read_settings(connection)

    def _read_settings(self, connection: Connection) -> None:
        found = settings.read(connection)
        if not found:
            raise ConfigurationInvalid(
                f"the store at {self.location} has tables but is not initialised", hint="keyctl init"
            )
        rules = read_rules(str(self.location), found)
        self.profile, self.formats, self.hash_parameters, self.foreign_hashes = rules
        self.settings = found  # last: if the rules cannot be read, the next refresh tries again

    @property
    def store_id(self) -> str:
        return self.settings.get(SettingName.STORE_ID, "")

    def find(self, prefix: str, *, deadline: float | None = None) -> KeyRecord | None:
        return self.look(lambda connection: keys.find(connection, prefix), deadline=deadline)

    def find_owners(self, handle: str, *, deadline: float | None = None) -> tuple[Owner, ...]:
        return self.look(lambda connection: owners.with_ancestors(connection, handle), deadline=deadline)

    def owners_mentioning(self, text: str, *, deadline: float | None = None) -> list[tuple[Owner, ...]]:
        return self.look(lambda connection: owners.mentioning(connection, text), deadline=deadline)

    def check(self, now: datetime) -> None:
        """Do nothing: unlike a bundle, a store is never out of date."""

    def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:  # noqa: ARG002 - bundles need `now`
        """Read the store's settings again; return whether they changed."""
        before = self.settings

        def read_again(connection: Connection) -> None:
            if settings.read(connection) != before:
                self._read_settings(connection)

        self.look(read_again, deadline=deadline)
        return self.settings is not before


def schema_revision(connection: Connection, *, lock: bool = False) -> str | None:
    """Return the revision of the schema, or None; `lock` makes another upgrade wait for this transaction.

    Raises RowDamaged if a trigger, rule, view or policy was added to the schema.
    """
    if not catalog.has_schema(schema_objects(connection)):
        return None
    return recorded_revision(connection, lock=lock)


def schema_objects(connection: Connection) -> list[Sequence[Any]]:
    """Return what `catalog` decides by."""
    statement = catalog.SQLITE if connection.dialect.name == "sqlite" else catalog.POSTGRES
    return list(connection.exec_driver_sql(statement))


def recorded_revision(connection: Connection, *, lock: bool = False) -> str | None:
    """Return the revision of a schema that is there, also if something was added to it."""
    query: Select[Any] = select(column("version_num")).select_from(table("alembic_version"))
    return connection.execute(query.with_for_update() if lock else query).scalar()


def _renew_connections() -> None:
    for database in _databases:
        database.renew_connections()


os.register_at_fork(after_in_child=_renew_connections)
