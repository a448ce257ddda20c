"""A store in the memory of this process, for the tests of applications. No file, no server: it ends when it is closed.

It is SQLite with the tables of every other store, and the same code reads and changes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cache
from typing import NoReturn

from sqlalchemy import Connection, event

from keyctl.errors import StoreUnavailable
from keyctl.hashing import Scheme
from keyctl.models import Actor
from keyctl.profiles.model import Profile
from keyctl.store.database import CONNECTIONS, Database, Store
from keyctl.store.location import SQLITE, StoreLocation
from keyctl.store.schema import ddl, fill
from keyctl.store.sqlite_engine import memory_engine


class StoreInMemory(Store):
    """A new store that holds no key. Its threads take turns, and a child of fork has a copy."""

    def __init__(self, profile: Profile, hash_parameters: Scheme, *, actor: Actor, now: datetime) -> None:
        self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=_Memory)
        self._away = False
        engine, location = memory_engine(self._memory), StoreLocation(SQLITE + ":memory:")
        try:
            self._memory.executescript(_tables())
            Database(location, engine=engine).write(
                lambda connection: fill(connection, profile, hash_parameters, actor=actor, now=now)
            )
            super().__init__(location, engine=engine)
        except BaseException:
            self._memory.end()
            raise
        event.listen(engine, "checkout", self._refuse_while_away)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be a store that cannot be reached."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        with self.read() as connection:
            yield connection

    def close(self) -> None:
        self._guard = self._refuse_closed
        with ExitStack() as ended:
            # Waits for the transactions of other threads: to close a connection that is in use ends the process.
            for _ in range(CONNECTIONS):
                ended.enter_context(self._free)
            super().close()
            self._memory.end()

    def _refuse_closed(self) -> NoReturn:
        raise StoreUnavailable(f"the store {self.location} is closed")

    def _refuse_while_away(self, *_: object) -> None:
        if self._away:
            raise StoreUnavailable(f"the store {self.location} cannot be reached: a test made it unavailable")


class _Memory(sqlite3.Connection):
    """The only connection to a database, which ends with it: what the pool closes stays open."""

    def close(self) -> None:
        pass

    def end(self) -> None:
        super().close()


@cache
def _tables() -> str:
    # Alembic writes the statements once in a process, and not for the store of every test.
    return ddl("sqlite")
