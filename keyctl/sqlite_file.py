"""How a store's SQLite file is named and glanced at, with next to nothing imported."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote


def file_uri(path: Path, *, mode: str) -> str:
    """Return SQLite's URI for a file that must exist. A plain path would create it."""
    return f"file:{quote(str(path))}?mode={mode}"


def select_rows(path: Path, statement: str, values: Mapping[str, object], *, wait: float) -> list[tuple[Any, ...]]:
    """Return the rows of one SELECT, whatever the store's schema. Raises sqlite3.Error.

    Opens the file read-only. `wait` is how many seconds to wait for a writer to finish.
    """
    connection = sqlite3.connect(file_uri(path, mode="ro"), uri=True, timeout=wait, isolation_level=None)
    with closing(connection):
        return connection.execute(statement, values).fetchall()
