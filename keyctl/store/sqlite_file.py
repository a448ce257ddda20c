"""A store's SQLite file: its URI, single reads, and what SQLite's errors mean. Imports no database library."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from keyctl.errors import StoreBusy, StoreUnavailable
from keyctl.regular_files import is_special
from keyctl.rows import RowDamaged
from keyctl.store import catalog

T = TypeVar("T")
NOT_UTF8 = "it holds text that is not UTF-8"


def file_uri(path: Path, *, mode: str) -> str:
    """Return SQLite's URI for a file that must exist. A plain path would create it."""
    if is_special(path):
        raise StoreUnavailable(f"{path} is not a keyctl store: it is not a regular file")
    return f"file:{quote(str(path))}?mode={mode}"


def identity(path: Path) -> tuple[int, int]:
    """Return the device and inode of the file that is at `path` now; zeros if there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def select_rows(path: Path, statement: str, values: Mapping[str, object], *, wait: float) -> list[tuple[Any, ...]]:
    """Return the rows of one SELECT; none if there is no store. Raises StoreUnavailable.

    Opens the file read-only. `wait` is how many seconds to wait for a writer to finish.
    """
    try:
        connection = sqlite3.connect(file_uri(path, mode="ro"), uri=True, timeout=wait, isolation_level=None)
        with closing(connection):

            def select() -> list[tuple[Any, ...]]:
                # A view in place of a table may have no last row.
                if not catalog.has_schema(connection.execute(catalog.SQLITE)):
                    return []
                return connection.execute(statement, values).fetchall()

            return recovering(path, select)
    except sqlite3.Error as error:
        raise (interrupted_write(path) if is_interrupted_write(error) else explain(path, error)) from error
    except RowDamaged as error:
        raise StoreUnavailable(f"the store {path} is damaged: {error}", hint="keyctl audit verify") from error


def recovering(path: Path, read: Callable[[], T]) -> T:
    """Run `read` on a read-only connection, after rolling back a write that was interrupted, if there is one.

    A process that is killed while it writes leaves a journal, which only a connection that may write can roll back.
    Where this user may not write to the file and its folder, the error remains.
    """
    try:
        return read()
    except UnicodeDecodeError:  # SQLite quotes a damaged schema in its message
        raise RowDamaged(NOT_UTF8) from None
    except sqlite3.Error as error:
        if not is_interrupted_write(error):
            raise
        try:
            with closing(sqlite3.connect(file_uri(path, mode="rw"), uri=True, timeout=0)) as connection:
                connection.execute("select 1 from sqlite_master").fetchone()
        except sqlite3.Error as failure:
            raise (failure if is_busy(failure) else error) from None
        return read()


def is_busy(error: BaseException) -> bool:
    """Return whether another process holds a lock."""
    return _code(error) == sqlite3.SQLITE_BUSY


def is_interrupted_write(error: BaseException) -> bool:
    """Return whether this error of a read-only connection says that SQLite would have to roll a write back."""
    return _code(error) == sqlite3.SQLITE_READONLY


def _code(error: BaseException) -> int:
    """Return SQLite's primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def interrupted_write(path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"a write to the store {path} was interrupted and must be rolled back, which this user may not do",
        hint=f"run as a user that may write to the store: keyctl list --store {path}",
    )


def read_settings(path: Path, *, wait: float = 5.0) -> dict[str, str]:
    """Return the settings of the store in a file, whatever its schema. Raises StoreUnavailable."""
    return dict(select_rows(path, "select name, value from settings", {}, wait=wait))


def replaced(path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store {path} was replaced or removed during the command, and nothing was changed", hint="try again"
    )


def explain(path: Path, error: BaseException | None) -> StoreUnavailable:
    """Return SQLite's error as one for an operator."""
    message = str(error)
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_DBMOVED:
        return replaced(path)
    if "locked" in message or "busy" in message:
        return StoreBusy(f"the store {path} is busy: another process is writing to it", hint="wait longer: --wait 30s")
    with suppress(PermissionError):  # below a folder that is closed to this user
        if unusable := _missing_or_folder(path):
            return unusable
    if "not a database" in message:
        return StoreUnavailable(f"{path} is not a keyctl store: it is not a SQLite database")
    if "malformed" in message or "Could not decode" in message:  # the driver's own message quotes the page
        return StoreUnavailable(
            f"the store {path} is damaged: {message.partition(' with text')[0]}",
            hint="restore it from a backup; see: keyctl help backup",
        )
    if "is full" in message:
        return StoreUnavailable(
            f"the store {path} cannot be written to: its disk is full", hint="free some space, then try again"
        )
    if "disk I/O" in message:  # also for a quota or a limit on the size of files, which SQLite does not distinguish
        return StoreUnavailable(
            f"the store {path} cannot be read or written: {message}",
            hint="check the disk, its quota and ulimit -f, and then: keyctl audit verify",
        )
    if "readonly" in message:
        return StoreUnavailable(f"the store {path} cannot be written to: it is read-only for this user")
    if "unable to open" in message:
        return StoreUnavailable(f"the store {path} cannot be opened: this user may not read it")
    return StoreUnavailable(f"the store {path} cannot be used: {message}")


def _missing_or_folder(path: Path) -> StoreUnavailable | None:
    if path.is_dir():
        return StoreUnavailable(f"{path} is a folder, not a store", hint=f"give a file: --store {path}/keys.db")
    if path.exists():
        return None
    if not path.parent.is_dir():
        return StoreUnavailable(f"there is no folder {path.parent}", hint=f"mkdir -p {path.parent}")
    return StoreUnavailable(f"there is no keyctl store at {path}", hint=f"create it: keyctl init --store {path}")
