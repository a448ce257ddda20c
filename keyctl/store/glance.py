"""One look into a store, for somebody who will not wait: a TAB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from keyctl.store.database import Database
from keyctl.store.location import StoreLocation


def glance(
    location: StoreLocation, statement: str, values: Mapping[str, object], *, wait: float
) -> list[tuple[Any, ...]]:
    """Return the rows of one SELECT. `wait` is how many seconds the server may take for it."""
    database = Database(location, wait=wait)
    try:
        with database.read() as connection:
            if location.file is None:
                connection.exec_driver_sql(f"set local statement_timeout = {max(1, int(wait * 1000))}")
            return [tuple(row) for row in connection.execute(text(statement), values)]
    finally:
        database.close()
