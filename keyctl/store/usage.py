"""When keys were last used: recorded, not audited. Only this column changes, and only to a later time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, or_, select, update

from keyctl.rows import RowDamaged
from keyctl.store.setting_names import SettingName
from keyctl.store.settings import number
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
    """Return since when use is recorded; None if it never was. Raises RowDamaged."""
    name = SettingName.USAGE_RECORDED_SINCE
    value = connection.execute(select(settings.c.value).where(settings.c.name == name)).scalar()
    try:
        return None if value is None else from_milliseconds(number({name: value}, name))
    except OverflowError:
        raise RowDamaged(f"its {name} is not a time") from None
