"""What completion offers from a store: it only reads, and gives up soon. A SQLite file is read without SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from keyctl.store.location import StoreLocation
from keyctl.store.setting_names import SettingName
from keyctl.store.sqlite_file import select_rows
from keyctl.times import to_milliseconds

# The first values and the very last one: a shell inserts their common beginning, which is then that of all values.
_FIRST_AND_LAST = """
select * from (select {columns} from {table} where {condition} order by 1 limit :most) as first
union
select * from (select {columns} from {table} where {condition} order by 1 desc limit 1) as last
order by 1
"""
_LIVE = "revoked_at is null and (expires_at is null or expires_at > :now)"
_KEYS = _FIRST_AND_LAST.format(
    table="keys", columns="prefix, name", condition=f"prefix >= :first and prefix < :last and {_LIVE}"
)
_OWNERS = _FIRST_AND_LAST.format(
    table="owners", columns="handle, name", condition="handle >= :first and handle < :last"
)
_SETTING = "select value from settings where name = :name"

Select = Callable[[str, Mapping[str, object]], list[Any]]


class Suggestions:
    """Reads values of a store whose schema is not checked; `wait` is how many seconds each look may take.

    Raises StoreUnavailable, and whatever a database without these tables raises.
    """

    def __init__(self, location: StoreLocation, *, wait: float) -> None:
        file = location.file
        self._select = _select_on_server(location, wait) if file is None else partial(select_rows, file, wait=wait)

    def live_keys(self, beginning: str, *, now: datetime, most: int) -> list[tuple[str, str | None]]:
        """Return prefixes and names of keys that are neither revoked nor expired: `most`, and the last of the rest."""
        return self._select(_KEYS, _range(beginning) | {"now": to_milliseconds(now), "most": most})

    def owners(self, beginning: str, *, most: int) -> list[tuple[str, str | None]]:
        """Return handles and names of owners: `most`, and the last of the rest."""
        return self._select(_OWNERS, _range(beginning) | {"most": most})

    def profile_document(self) -> str:
        """Return the store's profile as JSON."""
        [(document,)] = self._select(_SETTING, {"name": SettingName.PROFILE})
        return str(document)


def _select_on_server(location: StoreLocation, wait: float) -> Select:
    """Import what a server needs; return a function that runs one SELECT there."""
    from sqlalchemy import text  # noqa: PLC0415 - only a store on a server needs it, and a TAB is to answer soon

    from keyctl.store.database import Database  # noqa: PLC0415 - imports SQLAlchemy

    def select(statement: str, values: Mapping[str, object]) -> list[Any]:
        database = Database(location, wait=wait)
        try:
            with database.read() as connection:
                connection.exec_driver_sql(f"set local statement_timeout = {max(1, int(wait * 1000))}")
                return [tuple(row) for row in connection.execute(text(statement), values)]
        finally:
            database.close()

    return select


def _range(beginning: str) -> dict[str, object]:
    """Return the bounds of all texts that begin so: an index serves them, on either database."""
    return {"first": beginning, "last": f"{beginning}\U0010ffff"}
