"""When keys were last used: recorded, not audited. Only this column changes, and only to a later time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, or_, select, update

from keyctl.store.setting_names import SettingName
from keyctl.store.tables import keys, settings
from keyctl.times import from_milliseconds, to_milliseconds


def record(connection: Connection, key_id: str, *, at: datetime) -> None:
    moment = to_milliseconds(at)
    connection.execute(
        update(keys)
        .where(keys.c.id == key_id, or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < moment))
        .values(last_used_at=moment)
    )
    if recorded_since(connection) is None:
        connection.execute(insert(settings).values(name=SettingName.USAGE_RECORDED_SINCE, value=str(moment)))


def recorded_since(connection: Connection) -> datetime | None:
    """Return since when use is recorded; None if it never was."""
    value = connection.execute(
        select(settings.c.value).where(settings.c.name == SettingName.USAGE_RECORDED_SINCE)
    ).scalar()
    return from_milliseconds(int(value)) if value else None
