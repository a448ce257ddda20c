"""What a transaction is marked with (whether it writes, and the audit events that it wrote), and how it writes.

The marks are execution options, because these belong to one SQLAlchemy Connection, which is one transaction here:
`Connection.info` would outlive it with the pooled connection, and an argument would go through every function between
Database.write and events.append. Where SQLite begins the transaction, in an event handler, there is nothing else.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Executable

from keyctl.rows import RowDamaged

_WRITTEN = "keyctl_written"


def write_options() -> dict[str, Any]:
    """Return the execution options of a connection that is going to write."""
    return {_WRITTEN: []}


def writes(connection: Connection) -> bool:
    return _WRITTEN in connection.get_execution_options()


def note_event(connection: Connection, seq: int, digest: str) -> None:
    """Remember an event of this transaction, so that its outcome can be looked up if the connection is lost."""
    connection.get_execution_options().get(_WRITTEN, []).append((seq, digest))


def last_event(connection: Connection) -> tuple[int, str] | None:
    events: list[tuple[int, str]] = connection.get_execution_options().get(_WRITTEN, [])
    return events[-1] if events else None


def execute(connection: Connection, statement: Executable, parameters: Any = None, *, rows: int = 1) -> None:
    """Insert or update exactly this many rows. Raises RowDamaged if it were others: a trigger may discard a change."""
    result = connection.execute(statement, parameters, execution_options={"preserve_rowcount": True})
    check_count(result.rowcount, rows)


def check_count(written: int, expected: int) -> None:
    if written != expected:
        raise RowDamaged(f"it wrote {written:,} rows instead of {expected:,}, and nothing was changed")
