"""The JSON objects that scripts rely on. Keys are public: add to them, never rename them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from keyctl.decision import scopes_in_force
from keyctl.models import Event, KeyRecord, Owner
from keyctl.profiles.model import Profile
from keyctl.times import format_time


def key_object(record: KeyRecord, profile: Profile, *, now: datetime) -> dict[str, Any]:
    key = record.key
    return {
        "id": key.id,
        "prefix": key.prefix,
        "name": key.name,
        "owner": record.owner.handle if record.owner else None,
        "environment": key.environment,
        "scopes": list(key.scopes),
        "effective_scopes": list(scopes_in_force(profile, key.scopes, record.owner)),
        "allowed_ips": list(key.allowed_ips),
        "metadata": dict(key.metadata),
        "status": str(record.status(now)),
        "owner_active": record.inactive_owner is None if record.owner else None,
        "created_at": format_time(key.created_at),
        "created_by": key.created_by,
        "delivered_at": _time(key.delivered_at),
        "expires_at": _time(key.expires_at),
        "locked_at": _time(key.locked_at) if key.locked(now) else None,
        "locked_until": _time(key.locked_until) if key.locked(now) else None,
        "revoked_at": _time(key.revoked_at),
        "revoked_reason": key.revoked_reason,
        "replaced_by": key.replaced_by,
        "replaces": key.replaces,
        "lineage": key.lineage,
        "last_used_at": _time(key.last_used_at),
    }


def owner_object(owner: Owner) -> dict[str, Any]:
    return {
        "id": owner.id,
        "handle": owner.handle,
        "name": owner.name,
        "kind": owner.kind,
        "parent_id": owner.parent_id,
        "plan": owner.plan,
        "attributes": dict(owner.attributes),
        "active": owner.active,
        "created_at": format_time(owner.created_at),
        "created_by": owner.created_by,
        "disabled_at": _time(owner.disabled_at),
    }


def event_object(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": format_time(event.at),
        "actor": event.actor.user,
        "claimed_actor": event.actor.claimed,
        "action": event.action,
        "reason": event.reason,
        "detail": dict(event.detail),
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    }


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
