"""Opens a store, and runs its transactions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, inspect, select, text
from sqlalchemy.exc import DBAPIError

from keyctl import sqlite_reader
from keyctl.errors import StoreUnavailable
from keyctl.hashing import Argon2id, parameters_from_dict
from keyctl.location import StoreLocation
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.model import Profile, read_profile
from keyctl.store import keys, owners, tables

__all__ = ["DEFAULT_WAIT", "Connection", "Database", "Store", "read_settings"]

DEFAULT_WAIT = 5.0
_WRITE = "keyctl_write"
T = TypeVar("T")


class Database:
    """A database that may or may not hold a store yet. `wait` is how many seconds to wait for another writer."""

    def __init__(self, location: StoreLocation, *, wait: float = DEFAULT_WAIT) -> None:
        self.location = location
        self._engine = _sqlite_engine(_file(location), wait)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._explained(), self._engine.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T], *, dry_run: bool = False) -> T:
        """Run `work` in one transaction; with `dry_run`, take back at its end all it did."""
        with self._explained(), self._engine.connect().execution_options(**{_WRITE: True}) as connection:
            with connection.begin() as transaction:
                result = work(connection)
                if dry_run:
                    transaction.rollback()
            return result

    def revision(self) -> str | None:
        """Return the revision of the schema, or None if there is no store here."""
        with self.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("select version_num from alembic_version")).scalar()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise sqlite_reader.explain(_file(self.location), str(error.orig)) from error


class Store(Database):
    """An open store of this version's schema: a keyring, and where changes are written.

    Raises StoreUnavailable, StoreBusy, or ConfigurationInvalid for another schema than this version's.
    """

    def __init__(self, location: StoreLocation, *, wait: float = DEFAULT_WAIT) -> None:
        super().__init__(location, wait=wait)
        sqlite_reader.check_revision(str(location), self.revision())
        self.reload()

    def reload(self) -> None:
        """Read the store's settings again."""
        with self.read() as connection:
            self.settings = read_settings(connection)
        self.profile: Profile = read_profile(
            json.loads(self.settings["profile"]), source=f"the profile in {self.location}"
        )
        self.hash_parameters: Argon2id = parameters_from_dict(json.loads(self.settings["hash"]))

    def find(self, prefix: str) -> KeyRecord | None:
        with self.read() as connection:
            return keys.find(connection, prefix)

    def find_owners(self, handle: str) -> tuple[Owner, ...]:
        with self.read() as connection:
            return owners.with_ancestors(connection, handle)


def read_settings(connection: Connection) -> dict[str, str]:
    return {row.name: row.value for row in connection.execute(select(tables.settings))}


def _file(location: StoreLocation) -> Path:
    if location.file is None:
        raise StoreUnavailable(f"{location} is not a SQLite file")
    return location.file


def _sqlite_engine(path: Path, wait: float) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            sqlite_reader.file_uri(path, mode="rw"),
            uri=True,
            timeout=wait,
            isolation_level=None,
            check_same_thread=False,
        )
        # A rollback journal, not WAL: a reader who may only read the file must see the last revocation.
        # The last line makes LIKE mean the same as in Postgres.
        connection.executescript(
            "pragma foreign_keys = on; pragma synchronous = full; pragma case_sensitive_like = on;"
        )
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # The driver's own BEGIN comes too late for DDL, and takes the write lock only at the first write.
        writes: Any = connection.get_execution_options().get(_WRITE)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine
