"""Stores that are altered past keyctl."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from keyctl.admin.owners import NewOwner
from keyctl.store.selection import Selection
from tests import postgres
from tests.stores import Opened


def fill(opened: Opened) -> None:
    """Do a bit of everything: two keys that stay, one with all that a key can have, and what happens to others."""
    opened.owners.add(NewOwner("acme", name="Acme"))
    opened.owners.add(NewOwner("below", parent="acme"))
    opened.mint(name="plain")
    opened.mint(name="rich", owner="below", scopes=["read"], expires="30d", metadata=["team=x"], allowed_ips=["::/64"])
    [gone], [locked] = opened.mint(name="gone"), opened.mint(name="locked")
    opened.admin.revoke(Selection.named(gone.record.key.id), reason="leaked")
    opened.admin.lock(Selection.named(locked.record.key.id), duration=timedelta(hours=1))
    opened.rotate(opened.mint(name="rotated")[0].record.key.prefix, grace=timedelta(hours=1))


def tamper(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)  # foreign keys are off, as in any tool that does not switch them on
    for statement in statements:
        assert connection.execute(statement).rowcount != 0, statement
    connection.commit()
    connection.close()


def alter(opened: Opened, *statements: str) -> None:
    """Run SQL past keyctl, on either database, as an account that may do anything."""
    if opened.store.location.file:
        tamper(opened.path, *statements)
    else:
        postgres.run(
            opened.store.location.url, "; ".join(["set local session_replication_role = replica", *statements])
        )


class Saved:
    """A copy of all that is in a store, which can be put back: what a backup is."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._copy = sqlite3.connect(":memory:")
        if opened.store.location.file:
            with closing(sqlite3.connect(opened.path)) as store:
                store.backup(self._copy)
        else:
            self._contents = postgres.contents(opened.store.location.url)

    def put_back(self) -> None:
        if self._opened.store.location.file:
            with closing(sqlite3.connect(self._opened.path)) as store:
                self._copy.backup(store)
        else:
            alter(self._opened, self._contents)
        self._opened.store.reload()

    def close(self) -> None:
        self._copy.close()
