"""The audit log's hash chain, and the state of every key and owner that follows from it. Pure.

Each event's hash is the SHA-256 of the previous hash and the event's own canonical JSON, so that no event can be
altered, removed or moved without breaking every later one. An event records what was set, and what that was before:
replaying all of them gives the state that the store must have. What was before is compared and never taken over, so
that a change cannot hide that a row was altered. Events never contain secrets or PHC strings; of a PHC string, only its
SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from keyctl.models import Event, EventContent, Key, Owner
from keyctl.rows import json_value
from keyctl.times import to_milliseconds

Entry = dict[str, Any]  # how an event names a key
GENESIS = "0" * 64
KEYS_PER_EVENT = 1000
_CONTEXT = "keyctl-audit-v1"
_MINTED, _REHASHED, _OWNER_ADDED = "key.minted", "key.rehashed", "owner.added"
# What a successor has from the key that it replaces.
_INHERITED = ("name", "owner_id", "environment", "scopes", "allowed_ips", "metadata")
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
    """Return how an event names a key as it was before; `changed` is what was set on this key alone."""
    entry: Entry = {"id": key.id, "prefix": key.prefix, "hash": phc_digest(key.phc)}
    return entry | _changes(key, changed) if changed else entry


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
        "settings": {name: _setting_digest(value) for name, value in after.items()},
        "was": {name: _setting_digest(before.get(name)) for name in after},
    }


def next_bundle_sequence(last: int, now: datetime) -> int:
    """Return the sequence of a bundle after the one with `last`: it rises, also where a store is an earlier copy."""
    return max(last + 1, to_milliseconds(now))


class History:
    """Replays events in order, then compares rows with them. Every check returns what is wrong, or None."""

    def __init__(self) -> None:
        self._seq = 0
        self._hash = GENESIS
        self._keys: dict[str, dict[str, Any]] = {}
        self._owners: dict[str, dict[str, Any]] = {}
        self._settings: dict[str, str | None] = {}
        self._bundle_sequence = 0
        self._bundles_valid_until = ""
        self._counters: dict[str, int] = {}  # the last serial ids

    def follow(self, event: Event) -> str | None:
        """Check and replay the next event, oldest first."""
        if event.seq != self._seq + 1:
            return f"event {self._seq + 1} is missing: event {event.seq} follows event {self._seq}"
        if event.previous_hash != self._hash:
            return f"event {event.seq} does not follow the one before it: its previous hash differs"
        if event.hash != _digest(event.previous_hash, event.seq, event):
            return f"event {event.seq} was altered: its hash does not match its content"
        self._seq, self._hash = event.seq, event.hash
        try:
            return next(self._replay(event), None)
        except (AttributeError, KeyError, TypeError):
            return f"event {event.seq} was altered: keyctl writes its detail differently"

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
        if self._settings.get(name) == _setting_digest(value):
            return None
        return f"the store's {name} was altered outside keyctl"

    def records_setting(self, name: str) -> bool:
        return name in self._settings

    def check_counters(self, counters: Mapping[str, int]) -> str | None:
        """Compare the last serial ids of keys and owners with those that were given out."""
        altered = _difference(self._counters, counters)
        return f"a counter of the store was altered outside keyctl: {altered}" if altered else None

    def missing(self) -> Iterator[str]:
        """Yield, after every row was checked, what is wrong with the rest: the rows are missing."""
        for state in self._keys.values():
            yield f"key {state['prefix']} is in the history, but missing from the store"
        for state in self._owners.values():
            yield f"owner {state['handle']} is in the history, but missing from the store"

    def _replay(self, event: Event) -> Iterator[str]:
        """Apply what an event set; yield where the state before it, as the event has it, is not what it should be."""
        common = event.detail.get("set", {})
        for entry in event.detail.get("keys", ()):
            changes = common | entry.get("set", {})
            if event.action == _MINTED:
                yield from self._create_key(event.seq, entry, changes)
            else:
                yield from self._change_key(event, entry, changes)
        if "owner" in event.detail:
            yield from self._replay_owner(event, event.detail["owner"])
        if "settings" in event.detail:
            before = event.detail.get("was", {})
            for name in sorted(before):
                if before[name] != self._settings.get(name):
                    yield f"the store's {name} was altered outside keyctl before event {event.seq}"
            self._settings |= event.detail["settings"]
        if "bundle" in event.detail:
            yield from self._replay_bundle(event, event.detail["bundle"])

    def _create_key(self, seq: int, entry: Entry, values: Mapping[str, Any]) -> Iterator[str]:
        if entry["id"] in self._keys:
            yield f"event {seq} creates key {entry['prefix']} ({entry['id']}), which existed before"
        self._count("key", entry["id"])
        replaced = self._keys.get(values.get("replaces") or "")
        if replaced:
            inherited, copied = ({name: of.get(name) for name in _INHERITED} for of in (replaced, values))
            if altered := _difference(inherited, copied):
                yield _altered_before(seq, "key", replaced["prefix"], altered)
        self._keys[entry["id"]] = {**values, "prefix": entry["prefix"], "hash": entry["hash"]}

    def _change_key(self, event: Event, entry: Entry, changes: Mapping[str, Any]) -> Iterator[str]:
        state = self._keys.get(entry["id"])
        if state is None:
            yield f"event {event.seq} changes key {entry['prefix']} ({entry['id']}), which no event created"
            return
        before = {name: entry[name] for name in ("prefix", "hash")} | entry.get("was", {})
        after = {name: state[name] for name in ("prefix", "hash")}
        if event.action == _REHASHED:
            after["hash"] = entry["hash"]
            if "was" not in entry:  # as in the first stores: the old hash is not known
                del before["hash"]
        if altered := _difference({name: state.get(name) for name in before}, before):
            yield _altered_before(event.seq, "key", state["prefix"], altered)
        state.update(changes, **after)

    def _replay_owner(self, event: Event, entry: Entry) -> Iterator[str]:
        state = self._owners.setdefault(entry["id"], {})
        if event.action == _OWNER_ADDED:
            if state:
                yield f"event {event.seq} creates owner {state['handle']} ({entry['id']}), which existed before"
            self._count("owner", entry["id"])
        elif not state:
            yield f"event {event.seq} changes owner {entry['handle']} ({entry['id']}), which no event created"
        else:
            before = {"handle": entry["handle"]} | entry.get("was", {})
            if altered := _difference({name: state.get(name) for name in before}, before):
                yield _altered_before(event.seq, "owner", state["handle"], altered)
        state |= entry["set"]

    def _replay_bundle(self, event: Event, bundle: Mapping[str, Any]) -> Iterator[str]:
        expected = next_bundle_sequence(self._bundle_sequence, event.at)
        if bundle["sequence"] != expected:
            yield f"the store's bundle_sequence was altered outside keyctl before event {event.seq}"
        self._bundle_sequence = bundle["sequence"]
        self._bundles_valid_until = max(self._bundles_valid_until, bundle["valid_until"])
        self._settings["bundle_sequence"] = _setting_digest(str(self._bundle_sequence))
        self._settings["bundle_valid_until"] = _setting_digest(self._bundles_valid_until)

    def _count(self, kind: str, row_id: str) -> None:
        if row_id.isdecimal():
            self._counters[kind] = max(self._counters.get(kind, 0), int(row_id))


def _changes(before: Key | Owner, changed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        "set": {name: json_value(value) for name, value in changed.items()},
        "was": {name: json_value(getattr(before, name)) for name in changed},
    }


def _setting_digest(value: str | None) -> str | None:
    return None if value is None else phc_digest(value)


def _digest(previous_hash: str, seq: int, content: EventContent) -> str:
    at, actor = to_milliseconds(content.at), content.actor
    body = [_CONTEXT, previous_hash, seq, at, actor.user, actor.claimed, content.action, content.reason, content.detail]
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _difference(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> str | None:
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            return f"{name} is {json.dumps(actual.get(name))}, and should be {json.dumps(expected.get(name))}"
    return None


def _altered_before(seq: int, kind: str, name: str, difference: str) -> str:
    return f"{kind} {name} was altered outside keyctl before event {seq}: {difference}"
