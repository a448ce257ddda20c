"""Opens SQLite through SQLAlchemy."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

from keyctl.store.sqlite_file import file_uri
from keyctl.store.transaction import writes


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

    return engine
