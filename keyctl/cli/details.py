"""A key and an owner as lists of facts, for `show`."""

from __future__ import annotations

from datetime import datetime

from keyctl.decision import scopes_in_force
from keyctl.models import KeyRecord, Owner, Status
from keyctl.profiles.model import Profile
from keyctl.times import describe_relative, format_time


def key_facts(record: KeyRecord, profile: Profile, *, now: datetime) -> list[tuple[str, str]]:
    key, owner = record.key, record.owner
    in_force = scopes_in_force(profile, key.scopes, owner)
    status = str(record.status(now))
    if key.revoked_at is not None and key.revoked_reason:
        status += f": {key.revoked_reason}"
    if record.status(now) is Status.LOCKED:
        status += f" until {when(key.locked_until, now, never='unlocked')}"
    return [
        ("prefix", key.prefix),
        ("id", key.id),
        ("name", key.name or ""),
        ("status", status),
        ("owner", (owner.handle + ("" if not record.inactive_owner else " (disabled)")) if owner else ""),
        ("environment", key.environment),
        ("scopes", ", ".join(key.scopes)),
        *([("effective scopes", ", ".join(in_force))] if in_force != key.scopes else []),
        ("allowed ips", ", ".join(key.allowed_ips) or "any"),
        *((f"meta {name}", value) for name, value in key.metadata.items()),
        ("created", f"{when(key.created_at, now)} by {key.created_by}"),
        *([] if key.delivered_at else [("delivered", "never: the key was not written out")]),
        ("expires", when(key.expires_at, now, never="never")),
        ("last used", when(key.last_used_at, now, never="never recorded")),
        *([("revoked", when(key.revoked_at, now))] if key.revoked_at else []),
        *([("replaces", key.replaces)] if key.replaces else []),
        *([("replaced by", key.replaced_by)] if key.replaced_by else []),
    ]


def owner_facts(owner: Owner, *, parent: str | None, now: datetime) -> list[tuple[str, str]]:
    return [
        ("handle", owner.handle),
        ("id", owner.id),
        ("kind", owner.kind),
        ("name", owner.name or ""),
        ("status", "active" if owner.active else f"disabled {when(owner.disabled_at, now)}"),
        *([("parent", parent)] if parent else []),
        *([("plan", owner.plan)] if owner.plan else []),
        *((f"attr {name}", _text(value)) for name, value in owner.attributes.items()),
        ("created", f"{when(owner.created_at, now)} by {owner.created_by}"),
    ]


def when(moment: datetime | None, now: datetime, *, never: str = "never") -> str:
    return f"{format_time(moment)} ({describe_relative(moment, now=now)})" if moment else never


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)


def example_prefix(profile: Profile) -> str:
    """Return the prefix of an example key, with an ellipsis instead of the secret."""
    key_format = profile.key_format
    env = next(iter(profile.environments))
    scope = key_format.scopes[0] if key_format.has("scope") else None
    return f"{key_format.generate(env=env, scope=scope)[0].prefix}…"
