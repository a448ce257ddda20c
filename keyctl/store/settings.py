"""The store's settings in the database."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from keyctl.store.setting_names import SettingName
from keyctl.store.tables import settings


def read(connection: Connection) -> dict[str, str]:
    return {row.name: row.value for row in connection.execute(select(settings))}


def put(connection: Connection, name: SettingName, value: str) -> None:
    changed = connection.execute(update(settings).where(settings.c.name == name).values(value=value))
    if not changed.rowcount:
        connection.execute(insert(settings).values(name=name, value=value))


def remove(connection: Connection, name: SettingName) -> None:
    connection.execute(delete(settings).where(settings.c.name == name))
