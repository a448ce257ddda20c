"""The store's settings in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from keyctl.audit import settings_detail
from keyctl.rows import RowDamaged
from keyctl.store.setting_names import SettingName
from keyctl.store.tables import settings
from keyctl.store.transaction import execute

_DIGITS = 18  # of a number


def read(connection: Connection) -> dict[str, str]:
    """Return the settings by name, without what only `read_one` reads. Raises RowDamaged for one that is not text."""
    found = every_as_written(connection)
    found.pop(SettingName.ADMIN_TOKEN_REFUSALS, None)
    if not all(isinstance(text, str) for pair in found.items() for text in pair):
        raise RowDamaged("a setting was altered outside keyctl: it cannot be read")
    return found


def every_as_written(connection: Connection) -> dict[Any, Any]:
    return {row.name: row.value for row in connection.execute(select(settings))}


def read_one(connection: Connection, name: SettingName, *, lock: bool = False) -> str | None:
    """Return one setting, or None; `lock` makes every other transaction that locks it wait for this one."""
    query = select(settings.c.value).where(settings.c.name == name)
    value: str | None = connection.execute(query.with_for_update() if lock else query).scalar()
    return value


def change(connection: Connection, values: Mapping[SettingName, str | None]) -> dict[str, Any]:
    """Set what is not None, and remove the rest; return how an event records it."""
    detail = settings_detail(read(connection), {str(name): value for name, value in values.items()})
    for name, value in values.items():
        if value is None:
            connection.execute(delete(settings).where(settings.c.name == name))
        else:
            put(connection, name, value)
    return detail


def number(kept: Mapping[str, Any], name: SettingName) -> int:
    """Return a setting that is a number; 0 if it is not set. Raises RowDamaged."""
    value = kept.get(name, "0")
    if not (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _DIGITS):
        raise RowDamaged(f"its {name} is not a number")
    return int(value)


def put(connection: Connection, name: SettingName, value: str) -> None:
    changed = connection.execute(update(settings).where(settings.c.name == name).values(value=value))
    if not changed.rowcount:
        execute(connection, insert(settings).values(name=name, value=value))
