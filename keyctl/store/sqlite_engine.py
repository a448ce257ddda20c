"""Opens SQLite through SQLAlchemy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from keyctl.store.sqlite_file import file_uri, identity, replaced
from keyctl.store.transaction import writes

_FILE = "keyctl_file"


def sqlite_engine(path: Path, *, wait: float) -> Engine:
    """Return an engine over a file that must exist. `wait` is how many seconds to wait for another writer."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            file_uri(path, mode="rw"), uri=True, timeout=wait, isolation_level=None, check_same_thread=False
        )
        # A rollback journal, not WAL: a process that may only read the file must see the last revocation.
        # The last pragma gives LIKE the meaning it has in PostgreSQL.
        try:
            connection.executescript(
                "pragma foreign_keys = on; pragma synchronous = full; pragma case_sensitive_like = on;"
            )
        except BaseException:  # the file is not a database: the pool does not know this connection
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # The driver's own BEGIN comes too late for DDL, and takes the write lock only at the first write.
        connection.exec_driver_sql("begin immediate" if writes(connection) else "begin")

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
