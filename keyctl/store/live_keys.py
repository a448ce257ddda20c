"""All keys that are neither revoked nor expired, and those of one name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, null, select

from keyctl.models import Key
from keyctl.rows import decode_key
from keyctl.store.selection import is_live
from keyctl.store.tables import keys


def live(connection: Connection, *, now: datetime) -> list[Key]:
    """Return the keys that are neither revoked nor expired, in the order of their prefixes."""
    query = select(keys).where(*is_live(now)).order_by(keys.c.prefix)
    return [decode_key(row) for row in connection.execute(query).mappings()]


def ids_of_name(
    connection: Connection, name: str, *, owner_id: str | None, environment: str, now: datetime
) -> set[str]:
    """Return the ids of the live keys with this name, owner and environment."""
    owner = keys.c.owner_id == owner_id if owner_id else keys.c.owner_id.is_(null())
    query = select(keys.c.id).where(*is_live(now), keys.c.name == name, owner, keys.c.environment == environment)
    return set(connection.execute(query).scalars())
