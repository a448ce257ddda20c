"""The audit log's hash chain, and what its events record. Pure.

Each event's hash is the SHA-256 of the previous hash and the event's own canonical JSON, so that no event can be
altered, removed or moved without breaking every later one. An event records what was set, and what that was before.
Events never contain secrets or PHC strings; of a PHC string, only its SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from hashlib import sha256
from typing import Any

from keyctl.models import Event, EventContent, Key, Owner
from keyctl.rows import json_value
from keyctl.times import to_milliseconds

Entry = dict[str, Any]  # how an event names a key
GENESIS = "0" * 64
KEYS_PER_EVENT = 1000
REMOVED = "key.removed"
_CONTEXT = "keyctl-audit-v1"
# What is compared of a key that is removed, and how its owner's events are found afterwards.
LAST_STATE = ("owner_id", "expires_at", "revoked_at")
# An event has the identity of a row next to its state; use is recorded, not audited.
_NOT_STATE = {"id", "prefix", "phc", "last_used_at"}


def chain(previous_hash: str, seq: int, content: EventContent) -> Event:
    """Return the event that follows the one with `previous_hash` (GENESIS for the first)."""
    digest = event_digest(previous_hash, seq, content)
    return Event(**vars(content), seq=seq, previous_hash=previous_hash, hash=digest)


def event_digest(previous_hash: str, seq: int, content: EventContent) -> str:
    """Return the hash that an event must have."""
    at, actor = to_milliseconds(content.at), content.actor
    body = [_CONTEXT, previous_hash, seq, at, actor.user, actor.claimed, content.action, content.reason, content.detail]
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def key_state(key: Key) -> dict[str, Any]:
    """Return everything about a key that only an audited change may alter, as JSON values.

    The lineage of a key that replaces none is None: keys that are minted together then have the same state.
    """
    state = {f.name: json_value(getattr(key, f.name)) for f in fields(key) if f.name not in _NOT_STATE}
    return state | {"lineage": key.lineage if key.lineage != key.id else None}


def owner_state(owner: Owner) -> dict[str, Any]:
    return {f.name: json_value(getattr(owner, f.name)) for f in fields(owner) if f.name != "id"}


def phc_digest(phc: str) -> str:
    return sha256(phc.encode()).hexdigest()


def setting_digest(value: str | None) -> str | None:
    return None if value is None else phc_digest(value)


def key_entry(key: Key, changed: Mapping[str, Any] | None = None) -> Entry:
    """Return how an event names a key as it was before; `changed` is what was set on this key alone."""
    entry: Entry = {"id": key.id, "prefix": key.prefix, "hash": phc_digest(key.phc)}
    return entry | _changes(key, changed) if changed else entry


def entries(event: Event) -> list[Entry]:
    """Return how an event names keys. What was altered so that it names none is omitted."""
    named = event.detail.get("keys")
    return [one for one in named if _names_key(one)] if isinstance(named, list) else []


def changed_entries(keys: Sequence[Key], changes: Sequence[Mapping[str, Any]]) -> tuple[list[Entry], dict[str, Any]]:
    """Return how an event names keys as they were before, and what was set on all of them, if that was the same."""
    if len(keys) < 2 or any(changed != changes[0] for changed in changes):
        return [key_entry(key, changed) for key, changed in zip(keys, changes, strict=True)], {}
    return [key_entry(key) | {"was": _values(key, changes[0])} for key in keys], _json(changes[0])


def removed_entry(key: Key) -> Entry:
    """Return how an event names a key that it removes: with those of LAST_STATE that are set."""
    last = {name: json_value(value) for name in LAST_STATE if (value := getattr(key, name)) is not None}
    return key_entry(key) | {"was": last}


def rehashed_entry(key: Key, phc: str) -> Entry:
    """Return how an event names a key whose hash is replaced by `phc`: the only change of a hash that is replayed."""
    return key_entry(key) | {"hash": phc_digest(phc), "was": {"hash": phc_digest(key.phc)}}


def owner_entry(owner: Owner, changed: Mapping[str, Any]) -> Entry:
    """Return how an event names an owner as it was before; `changed` is what was set."""
    return {"id": owner.id, "handle": owner.handle, **_changes(owner, changed)}


def new_owner_entry(owner: Owner) -> Entry:
    return {"id": owner.id, "handle": owner.handle, "set": owner_state(owner)}


def settings_detail(before: Mapping[str, str], after: Mapping[str, str | None]) -> dict[str, Any]:
    """Return how an event records the settings `after`, None where one was removed, and what they were before."""
    return {
        "settings": {name: setting_digest(value) for name, value in after.items()},
        "was": {name: setting_digest(before.get(name)) for name in after},
    }


def _changes(before: Key | Owner, changed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {"set": _json(changed), "was": _values(before, changed)}


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json_value(value) for name, value in values.items()}


def _values(of: Key | Owner, names: Iterable[str]) -> dict[str, Any]:
    return {name: json_value(getattr(of, name)) for name in names}


def _names_key(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in ("id", "prefix"))
