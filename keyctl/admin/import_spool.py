"""Keeps the lines of an import that were accepted, until all of them were: in a file, so that memory stays flat.

The file has no name, and is gone when it is closed. It holds hashes, and no key.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from keyctl.models import Key
from keyctl.rows import decode_key, encode_key


class Accepted(NamedTuple):
    """A key that may be imported. What the store gives it (ids, its owner's too) is empty; `owner` is a handle."""

    line: int
    key: Key
    owner: str | None


class Spool:
    """Accepted keys in the order of their lines; a prefix is accepted once."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        for statement in (
            "pragma journal_mode = off",
            "pragma synchronous = off",
            "pragma cache_size = -8192",
            "create table accepted (line integer primary key, prefix text not null, owner text, key text not null)",
            "create unique index by_prefix on accepted (prefix)",
            "begin",
        ):
            self._file.execute(statement)
        self.count = 0

    def add(self, accepted: Accepted) -> int | None:
        """Keep a key; return the line that has its prefix already, if there is one."""
        row = (accepted.line, accepted.key.prefix, accepted.owner, json.dumps(encode_key(accepted.key)))
        added = self._file.execute("insert or ignore into accepted values (?, ?, ?, ?)", row)
        if added.rowcount:
            self.count += 1
            return None
        found = self._file.execute("select line from accepted where prefix = ?", (accepted.key.prefix,)).fetchone()
        first: int = found[0]
        return first

    def batches(self, size: int) -> Iterator[Sequence[Accepted]]:
        """Yield all keys, `size` at a time."""
        after = 0
        query = "select line, owner, key from accepted where line > ? order by line limit ?"
        while rows := self._file.execute(query, (after, size)).fetchall():
            yield [Accepted(line, decode_key(_row(text)), owner) for line, owner, text in rows]
            after = rows[-1][0]

    def close(self) -> None:
        self._file.close()


def _row(text: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(text)
    return row
