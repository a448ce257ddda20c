"""The audit log's hash chain, and the state of every key and owner that follows from it. Pure.

Each event's hash is the SHA-256 of the previous hash and the event's own canonical JSON, so that no event can be
altered, removed or moved without breaking every later one. An event records what was set: replaying all of them gives
the state that the store must have. Events never contain secrets or PHC strings; of a PHC string, only its SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any

from keyctl.models import Event, EventContent, Key, Owner
from keyctl.rows import json_value
from keyctl.times import to_milliseconds

Entry = dict[str, Any]  # how an event names a key
GENESIS = "0" * 64
KEYS_PER_EVENT = 1000
_CONTEXT = "keyctl-audit-v1"
# An event has the identity of a row next to its state; use is recorded, not audited.
_NOT_STATE = {"id", "prefix", "phc", "last_used_at"}


def chain(previous_hash: str, seq: int, content: EventContent) -> Event:
    """Return the event that follows the one with `previous_hash` (GENESIS for the first)."""
    digest = _digest(previous_hash, seq, content)
    return Event(**vars(content), seq=seq, previous_hash=previous_hash, hash=digest)


def key_state(key: Key) -> dict[str, Any]:
    """Return everything about a key that only an audited change may alter, as JSON values."""
    return {f.name: json_value(getattr(key, f.name)) for f in fields(key) if f.name not in _NOT_STATE}


def owner_state(owner: Owner) -> dict[str, Any]:
    return {f.name: json_value(getattr(owner, f.name)) for f in fields(owner) if f.name != "id"}


def phc_digest(phc: str) -> str:
    return sha256(phc.encode()).hexdigest()


def key_entry(key: Key, changed: Mapping[str, Any] | None = None) -> Entry:
    """Return how an event names a key; `changed` is what was set on this key alone."""
    entry: Entry = {"id": key.id, "prefix": key.prefix, "hash": phc_digest(key.phc)}
    if changed:
        entry["set"] = {name: json_value(value) for name, value in changed.items()}
    return entry


class History:
    """Replays events in order, then compares rows with them. Every check returns what is wrong, or None."""

    def __init__(self) -> None:
        self._seq = 0
        self._hash = GENESIS
        self._keys: dict[str, dict[str, Any]] = {}
        self._owners: dict[str, dict[str, Any]] = {}
        self._settings: dict[str, str] = {}

    def follow(self, event: Event) -> str | None:
        """Check and replay the next event, oldest first."""
        if event.seq != self._seq + 1:
            return f"event {self._seq + 1} is missing: event {event.seq} follows event {self._seq}"
        if event.previous_hash != self._hash:
            return f"event {event.seq} does not follow the one before it: its previous hash differs"
        if event.hash != _digest(event.previous_hash, event.seq, event):
            return f"event {event.seq} was altered: its hash does not match its content"
        self._seq, self._hash = event.seq, event.hash
        self._replay(event.detail)
        return None

    def check_head(self, seq: int, digest: str) -> str | None:
        """Compare the end of the log with the head that is stored separately."""
        if (seq, digest) == (self._seq, self._hash):
            return None
        if seq > self._seq:
            return f"event {self._seq + 1} is missing: the log should continue to event {seq}"
        return f"the log's head was altered: it does not match event {self._seq}, the last one"

    def check_key(self, key: Key) -> str | None:
        """Compare one key with its history. Each key is given once; `missing` returns those that were not given."""
        expected = self._keys.pop(key.id, None)
        if expected is None:
            return f"key {key.prefix} ({key.id}) is in the store, but no event created it"
        if expected.pop("prefix") != key.prefix:
            return f"the prefix of key {key.id} differs from its history"
        if expected.pop("hash") != phc_digest(key.phc):
            return f"the hash of key {key.prefix} ({key.id}) differs from its history"
        if altered := _difference(expected, key_state(key)):
            return f"key {key.prefix} ({key.id}) was altered outside keyctl: {altered}"
        return None

    def check_owner(self, owner: Owner) -> str | None:
        expected = self._owners.pop(owner.id, None)
        if expected is None:
            return f"owner {owner.handle} is in the store, but no event created it"
        if altered := _difference(expected, owner_state(owner)):
            return f"owner {owner.handle} was altered outside keyctl: {altered}"
        return None

    def check_setting(self, name: str, value: str | None) -> str | None:
        """Compare one of the store's settings, or None if it is not set, with its history."""
        if self._settings.get(name) == (None if value is None else phc_digest(value)):
            return None
        return f"the store's {name} was altered outside keyctl"

    def missing(self) -> Iterator[str]:
        """Yield, after every row was checked, what is wrong with the rest: the rows are missing."""
        for state in self._keys.values():
            yield f"key {state['prefix']} is in the history, but missing from the store"
        for state in self._owners.values():
            yield f"owner {state['handle']} is in the history, but missing from the store"

    def _replay(self, detail: Mapping[str, Any]) -> None:
        common = detail.get("set", {})
        for entry in detail.get("keys", ()):
            state = self._keys.setdefault(entry["id"], {})
            state |= common | entry.get("set", {}) | {"prefix": entry["prefix"], "hash": entry["hash"]}
        if "owner" in detail:
            self._owners.setdefault(detail["owner"]["id"], {}).update(detail["owner"]["set"])
        self._settings |= detail.get("settings", {})


def _digest(previous_hash: str, seq: int, content: EventContent) -> str:
    at, actor = to_milliseconds(content.at), content.actor
    body = [_CONTEXT, previous_hash, seq, at, actor.user, actor.claimed, content.action, content.reason, content.detail]
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _difference(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> str | None:
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            return f"{name} is {json.dumps(actual.get(name))}, and should be {json.dumps(expected.get(name))}"
    return None
