"""Looks keys up in a SQLite store with the standard library alone, so that verification does not import SQLAlchemy.

Opens the file read-only. A write that was interrupted is rolled back first, where this user may write.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from keyctl.errors import StoreUnavailable
from keyctl.models import KeyRecord, Owner
from keyctl.rows import KEY_COLUMNS, OWNER_COLUMNS, RowDamaged, decode_owner, key_of_columns
from keyctl.store import catalog
from keyctl.store.opening import check_revision, damaged, read_rules
from keyctl.store.setting_names import SettingName
from keyctl.store.sqlite_file import (
    explain,
    file_uri,
    identity,
    interrupted_write,
    is_busy,
    is_interrupted_write,
    recovering,
)

T = TypeVar("T")
_readers: WeakSet[SqliteReader] = WeakSet()
_registering = threading.Lock()
_inherited: list[sqlite3.Connection] = []  # SQLite allows a child neither to use nor to close them
_closed = sqlite3.connect(":memory:", check_same_thread=False)
_closed_cursor = _closed.cursor()
_closed.close()
_LONGEST_PAUSE = 0.05  # seconds between attempts while another process commits
_CACHE_KIB = 16 * 1024  # of the file, at most (tests/benchmarks, "a look-up in the store")

_KEY = f"select {', '.join(KEY_COLUMNS)} from keys where prefix = ?"  # noqa: S608 - names of our own
# Without what changes with every wrong admin token: a Verifier would look everything up again.
_SETTINGS = f"select name, value from settings where name <> '{SettingName.ADMIN_TOKEN_REFUSALS}'"  # noqa: S608 - as above
_ANCESTORS = f"""
with recursive chain(id, depth) as (
    select id, 0 from owners where {{start}}
    union all
    select owners.parent_id, depth + 1 from chain join owners on owners.id = chain.id
        where owners.parent_id is not null and depth < 1000
)
select {", ".join(f"owners.{name}" for name in OWNER_COLUMNS)}
    from chain join owners on owners.id = chain.id order by depth
"""  # noqa: S608 - names of our own


class SqliteReader:
    """Reads keys from a SQLite file. `wait` is how many seconds to wait for a writer to finish.

    It reads the file that was at `path` when it was opened or last refreshed; a Verifier refreshes it.

    Raises StoreUnavailable if the file is not a store or cannot be read, StoreBusy, and ConfigurationInvalid if its
    schema is not this version's.
    """

    def __init__(self, path: Path, *, wait: float = 5.0) -> None:
        self._path = path
        self._wait = wait
        # The connection is one thread's at a time; SQLite's own locks are between processes. It is held for one
        # attempt and never during a pause, so that no thread waits for as long as another one does.
        self._lock = threading.Lock()
        self._settings: dict[str, str] = {}
        self._identity: tuple[int, int] | None = None
        self._connection, self._cursor = _closed, _closed_cursor
        with _registering:
            _readers.add(self)
        self._open(None)

    def find(self, prefix: str, *, deadline: float | None = None) -> KeyRecord | None:
        try:  # as `_look` does, without its calls (tests/benchmarks, "a look-up in the store")
            with self._lock:
                return self._find(prefix)
        except (sqlite3.Error, RowDamaged, UnicodeDecodeError):
            return self._look(self._find, prefix, deadline=deadline)

    def find_owners(self, handle: str, *, deadline: float | None = None) -> tuple[Owner, ...]:
        return self._look(self._ancestors, "handle = ?", handle, deadline=deadline)

    def owners_mentioning(self, text: str, *, deadline: float | None = None) -> list[tuple[Owner, ...]]:
        return self._look(self._owners_mentioning, text, deadline=deadline)

    def check(self, now: datetime) -> None:
        """Do nothing: unlike a bundle, a store is never out of date."""

    def refresh(self, now: datetime, *, deadline: float | None = None) -> bool:  # noqa: ARG002 - bundles need `now`
        """Switch to the file that is at the path now, and read the rules again; return whether either changed."""
        before = self._settings
        # A file that was replaced or removed stays readable, as it was, to a process that has it open.
        another = identity(self._path) != self._identity
        if another:
            self._open(deadline)
        else:
            self._use(self._look(lambda: _settings(self._connection), deadline=deadline))
        return another or self._settings is not before

    def close(self) -> None:
        with self._lock:  # to close a connection that another thread is using ends the process
            self._connection.close()

    # ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, deadline: float | None) -> None:
        """Open the file that is at the path now. Until everything succeeds, the one before stays open."""
        file = identity(self._path)
        connection = self._look(self._connect, deadline=deadline)
        try:
            self._look(connection.execute, f"pragma cache_size = -{_CACHE_KIB}", deadline=deadline)
            check_revision(str(self._path), self._look(_revision, connection, deadline=deadline))
            self._use(self._look(_settings, connection, deadline=deadline))
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._connection.close()
            # One cursor for all look-ups. `prefix` is unique: after the only row, no lock is held.
            self._connection, self._cursor, self._identity = connection, connection.cursor(), file

    def _connect(self) -> sqlite3.Connection:
        # Without SQLite's own waiting, which would hold this process's lock too.
        return sqlite3.connect(
            file_uri(self._path, mode="ro"), uri=True, timeout=0, isolation_level=None, check_same_thread=False
        )

    def _use(self, settings: dict[str, str]) -> None:
        if settings != self._settings:
            rules = read_rules(str(self._path), settings)
            self.profile, self.formats, self.hash_parameters, self.foreign_hashes = rules
            self.store_id = settings.get(SettingName.STORE_ID, "")
            self._settings = settings  # last: if the rules cannot be read, the next refresh tries again

    def _look(self, look: Callable[..., T], *args: Any, deadline: float | None) -> T:
        """Run `look` with the connection locked, until the deadline while the database is; explain its errors."""
        end = time.monotonic() + self._wait if deadline is None else deadline
        pause = 0.001
        while True:
            try:
                with self._lock:
                    return recovering(self._path, lambda: look(*args))
            except (sqlite3.Error, RowDamaged) as error:
                left = end - time.monotonic()
                if left <= 0 or not is_busy(error):
                    raise self._meaning(error) from error
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _meaning(self, error: sqlite3.Error | RowDamaged) -> StoreUnavailable:
        if isinstance(error, RowDamaged):
            return damaged(str(self._path), str(error))
        if is_interrupted_write(error):
            return interrupted_write(self._path)
        return explain(self._path, error)

    # ── its rows ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _find(self, prefix: str) -> KeyRecord | None:
        row = self._cursor.execute(_KEY, (prefix,)).fetchone()
        if row is None:
            return None
        key = key_of_columns(row)
        above = self._ancestors("id = ?", key.owner_id) if key.owner_id else ()
        if (key.owner_id and not above) or (above and above[-1].parent_id):
            # To continue would ignore an owner that may be disabled.
            raise RowDamaged(f"an owner of key {key.prefix} is missing, or is its own ancestor")
        return KeyRecord(key, above)

    def _ancestors(self, start: str, value: str) -> tuple[Owner, ...]:
        # All rows at once: an unfinished statement would keep its lock for as long as an error refers to it.
        rows = self._connection.execute(_ANCESTORS.format(start=start), (value,)).fetchall()
        return tuple(decode_owner(dict(zip(OWNER_COLUMNS, row, strict=True))) for row in rows)

    def _owners_mentioning(self, text: str) -> list[tuple[Owner, ...]]:
        rows = self._connection.execute(
            "select id from owners where instr(attributes, ?)", (json.dumps(text, ensure_ascii=False),)
        )
        return [self._ancestors("id = ?", owner_id) for (owner_id,) in rows.fetchall()]

    # ── fork ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def hold(self) -> None:
        """Before a fork, wait until no thread is using the connection.

        The child gets a copy of what SQLite knows of the file's locks, but none of the locks: after a copy that was
        taken during a look-up, it would read what another process is writing.
        """
        self._lock.acquire()

    def release(self) -> None:
        self._lock.release()

    def let_go(self) -> None:
        """In the child, leave the parent's connection alone: the next refresh opens another one."""
        _inherited.append(self._connection)
        self._connection, self._cursor = _closed, _closed_cursor
        self._identity = None
        self._lock.release()


def _revision(connection: sqlite3.Connection) -> str | None:
    if not catalog.has_schema(connection.execute(catalog.SQLITE)):
        return None
    row = connection.execute("select version_num from alembic_version").fetchone()
    return row[0] if row else None


def _settings(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute(_SETTINGS))


# ── fork: the same readers are held before, and released after it ────────────────────────────────────────────────────

_held: list[SqliteReader] = []


def _before_fork() -> None:
    _registering.acquire()
    _held.extend(_readers)
    for reader in _held:
        reader.hold()


def _after_fork(then: Callable[[SqliteReader], None]) -> None:
    while _held:
        then(_held.pop())
    _registering.release()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(SqliteReader.release),
    after_in_child=lambda: _after_fork(SqliteReader.let_go),
)
