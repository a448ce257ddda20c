"""What a key's state allows. Pure; every `refuse_…` raises Refused or returns nothing.

A revocation is permanent; a lock is not. A key is replaced once, and then expires no later than before.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from keyctl.errors import Refused
from keyctl.models import Key, KeyRecord
from keyctl.times import describe_relative, format_duration, format_time

ROTATED = "rotated"
UNDELIVERED = "undelivered"


def end_of_replaced(old: Key, successor_id: str, grace: timedelta, now: datetime) -> dict[str, Any]:
    """Return the changes that end a replaced key: now, or after the grace period, and never later than before."""
    if old.revoked_at is not None:
        return {"replaced_by": successor_id}
    if not grace:
        return {"replaced_by": successor_id, "revoked_at": now, "revoked_reason": ROTATED}
    end = now + grace
    return {"replaced_by": successor_id, "expires_at": min(end, old.expires_at) if old.expires_at else end}


def refuse_revoked(key: Key, what: str) -> None:
    if key.revoked_at is not None:
        raise Refused(f"{key.prefix} is permanently revoked: it cannot be {what}", hint="mint a new key: keyctl mint")


def refuse_ended(key: Key, now: datetime, what: str) -> None:
    refuse_revoked(key, what)
    if key.expires_at is not None and key.expired(now):
        raise Refused(f"{key.prefix} expired {describe_relative(key.expires_at, now=now)}: it cannot be {what}")


def refuse_inactive(record: KeyRecord) -> None:
    if record.inactive_owner:
        raise Refused(
            f"the owner {record.inactive_owner.handle} is disabled",
            hint=f"keyctl owner enable {record.inactive_owner.handle}",
        )


def refuse_unrotatable(record: KeyRecord, now: datetime) -> None:
    key = record.key
    refuse_ended(key, now, "rotated")
    if key.locked(now):
        raise Refused(f"{key.prefix} is locked: it cannot be rotated", hint=f"keyctl unlock {key.prefix}")
    if key.replaced_by:
        raise Refused(f"{key.prefix} was already replaced", hint=f"its successor: keyctl show {key.replaced_by}")
    refuse_inactive(record)


def refuse_in_use(key: Key, unused_for: timedelta, now: datetime) -> None:
    length = format_duration(unused_for)
    if key.last_used_at is not None and key.last_used_at > now - unused_for:
        ago = describe_relative(key.last_used_at, now=now)
        raise Refused(
            f"{key.prefix} was last used {ago}, at {format_time(key.last_used_at)}: less than {length} ago",
            hint="move its clients to another key first",
        )
