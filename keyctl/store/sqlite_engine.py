"""Opens SQLite through SQLAlchemy."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, NullPool, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from keyctl.errors import StoreUnavailable
from keyctl.store.sqlite_file import file_uri, identity, is_busy, replaced
from keyctl.store.transaction import writes

_FILE = "keyctl_file"
# The last one gives LIKE the meaning that it has in PostgreSQL.
_PRAGMAS = "pragma foreign_keys = on; pragma case_sensitive_like = on;"
_LONGEST_PAUSE = 0.02  # seconds between attempts to get the write lock
_CANNOT_WRITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN}


def sqlite_engine(path: Path, *, wait: float) -> Engine:
    """Return an engine over a file that must exist. `wait` is how many seconds to wait for another writer."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            file_uri(path, mode="rw"), uri=True, timeout=wait, isolation_level=None, check_same_thread=False
        )
        # A rollback journal, not WAL: a process that may only read the file must see the last revocation.
        try:
            connection.executescript(f"pragma synchronous = full; {_PRAGMAS}")
        except BaseException:  # the file is not a database: the pool does not know this connection
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # The driver's own BEGIN comes too late for DDL, and takes the write lock only at the first write.
        if writes(connection):
            _begin_writing(connection, wait)
        else:
            connection.exec_driver_sql("begin")

    # A file that was replaced or removed stays open, and what is written to it is lost.
    @event.listens_for(engine, "connect")
    def note_file(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_FILE] = identity(path)

    @event.listens_for(engine, "checkout")
    def check_file(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info[_FILE] != identity(path):
            raise DisconnectionError  # which makes the pool connect again

    @event.listens_for(engine, "commit")
    def check_file_again(connection: Connection) -> None:
        if writes(connection) and connection.info[_FILE] != identity(path):
            raise replaced(path)

    return engine


def memory_engine(connection: sqlite3.Connection) -> Engine:
    """Return an engine over the only connection to a database in memory. Its transactions take turns."""
    connection.executescript(_PRAGMAS)
    dialect, compiled = _compiled_in_memory()
    driver: Any = connection
    pool = QueuePool(lambda: driver, pool_size=1, max_overflow=0, dialect=dialect)
    options = {"compiled_cache": compiled}
    engine = Engine(pool, dialect, make_url("sqlite://"), hide_parameters=True, execution_options=options)
    event.listen(engine, "begin", lambda _: driver.execute("begin"))
    return engine


@cache
def _compiled_in_memory() -> tuple[Dialect, dict[Any, Any]]:
    """Return what these engines share, since each of them would compile every statement again: 20 ms for one key."""
    engine = create_engine("sqlite://")
    with engine.connect():  # the dialect is complete after the first connection
        pass
    engine.dispose()
    return engine.dialect, {}


def _begin_writing(connection: Connection, wait: float) -> None:
    """Begin a transaction with the write lock.

    SQLite's own waiting asks every tenth of a second in the end. Among several writers that find the file free for a
    hundredth, one can then wait for very long (`make torture`, "the longest took").
    """
    driver: Any = connection.connection.driver_connection
    give_up = time.monotonic() + wait
    driver.execute("pragma busy_timeout = 0")
    try:
        while True:
            try:
                connection.exec_driver_sql("begin immediate")
            except OperationalError as error:
                if not (error.orig and is_busy(error.orig)) or time.monotonic() >= give_up:
                    raise
                time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - so that writers retry at different times
            else:
                return
    finally:
        driver.execute(f"pragma busy_timeout = {round(wait * 1000)}")


@contextmanager
def bytes_where_not_utf8(connection: Connection) -> Iterator[None]:
    """Read text that is not UTF-8 as bytes, where the driver raises an error that does not name the row."""
    driver: Any = connection.connection.dbapi_connection
    if isinstance(driver, sqlite3.Connection):
        driver.text_factory = _text
    try:
        yield
    finally:
        if isinstance(driver, sqlite3.Connection):
            driver.text_factory = str


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def snapshot_engine(path: Path, *, wait: float) -> Engine:
    """Return an engine over a copy of a file as it is when a connection begins. The copy ends with the connection."""

    def connect() -> sqlite3.Connection:
        with closing(sqlite3.connect(file_uri(path, mode="rw"), uri=True, timeout=wait, isolation_level=None)) as file:
            # Waits for a writer as long as it may. `backup` itself would wait without end.
            file.execute("begin")
            file.execute("select 1 from sqlite_master").fetchone()
            copy = sqlite3.connect("", isolation_level=None)  # a temporary file without a name, once it is large
            try:
                file.backup(copy)
            except BaseException as error:
                copy.close()
                if getattr(error, "sqlite_errorcode", 0) in _CANNOT_WRITE:
                    raise StoreUnavailable(
                        f"a snapshot of {path} cannot be written to the folder for temporary files: {error}",
                        hint="set TMPDIR to a folder with more space",
                    ) from error
                raise
        return copy

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
