"""Replays the audit log, and compares the store with the state that follows from it. Pure.

An event records what was set, and what that was before: replaying all of them gives the state that the store must have.
What was before is compared and never taken over, so that a change cannot hide that a row was altered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from keyctl.audit import (
    GENESIS,
    Entry,
    event_digest,
    key_state,
    owner_state,
    phc_digest,
    setting_digest,
)
from keyctl.models import Event, Key, Owner
from keyctl.text import brief

_MINTED, _REHASHED, _OWNER_ADDED = "key.minted", "key.rehashed", "owner.added"
# What a successor has from the key that it replaces.
_INHERITED = ("name", "owner_id", "environment", "scopes", "allowed_ips", "metadata")
_SERIAL_DIGITS = 18  # as many as both databases count
_LONGEST_VALUE = 200  # characters, in a message


class History:
    """Replays events in order, then compares rows with them. Every check returns what is wrong, as lines of text.

    After a fault it continues from the event as it is written, so that one altered event does not hide others.
    """

    def __init__(self) -> None:
        self._seq = 0
        self._hash: str | None = GENESIS  # None after an event that cannot be read
        self._keys: dict[str, dict[str, Any]] = {}
        self._owners: dict[str, dict[str, Any]] = {}
        self._settings: dict[str, str | None] = {}
        self._counters: dict[str, int] = {}  # the last serial ids, of the rows

    # ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, event: Event) -> list[str]:
        """Check and replay the next event, oldest first."""
        faults = self._gap(event.seq)
        if not faults and self._hash is not None and event.previous_hash != self._hash:
            faults.append(f"event {event.seq} does not follow the one before it: its previous hash differs")
        self._seq, self._hash = event.seq, event.hash
        try:
            if event.hash != event_digest(event.previous_hash, event.seq, event):
                faults.append(f"event {event.seq} was altered: its hash does not match its content")
            faults.extend(self._replay(event))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            faults.append(f"event {event.seq} was altered: keyctl writes its detail differently")
        return faults

    def skip(self, seq: Any) -> list[str]:
        """Continue after an event that cannot be read."""
        if not isinstance(seq, int):
            return []
        faults = self._gap(seq)
        self._seq, self._hash = seq, None
        return faults

    def check_head(self, head: tuple[int, str] | None) -> list[str]:
        """Compare the end of the log with the head that is stored separately."""
        if head is None:
            return ["the log's head is missing, or there are several"]
        seq, digest = head
        if seq > self._seq:
            return [f"event {self._seq + 1} is missing: the log should continue to event {seq}"]
        if seq < self._seq or self._hash not in (None, digest):
            return [f"the log's head was altered: it does not match event {self._seq}, the last one"]
        return []

    def _gap(self, seq: int) -> list[str]:
        if seq == self._seq + 1:
            return []
        return [f"event {self._seq + 1} is missing: event {seq} follows event {self._seq}"]

    # ── rows: each is given once; `missing` returns those that were not ──────────────────────────────────────────

    def check_key(self, key: Key) -> list[str]:
        """Compare one key with its history."""
        self._count("key", key.id)
        expected = self._keys.pop(key.id, None)
        if expected is None:
            return [f"key {key.prefix} ({key.id}) is in the store, but no event created it"]
        if expected.pop("prefix") != key.prefix:
            return [f"the prefix of key {key.id} differs from its history"]
        if expected.pop("hash") != phc_digest(key.phc):
            return [f"the hash of key {key.prefix} ({key.id}) differs from its history"]
        altered = _difference(expected, key_state(key))
        return [f"key {key.prefix} ({key.id}) was altered outside keyctl: {altered}"] if altered else []

    def check_owner(self, owner: Owner) -> list[str]:
        self._count("owner", owner.id)
        expected = self._owners.pop(owner.id, None)
        if expected is None:
            return [f"owner {owner.handle} is in the store, but no event created it"]
        altered = _difference(expected, owner_state(owner))
        return [f"owner {owner.handle} was altered outside keyctl: {altered}"] if altered else []

    def skip_key(self, key_id: Any) -> list[str]:
        """Leave out a key that cannot be read: it is not missing."""
        self._count("key", key_id)
        self._keys.pop(key_id, None)
        return []

    def skip_owner(self, owner_id: Any) -> list[str]:
        self._count("owner", owner_id)
        self._owners.pop(owner_id, None)
        return []

    def check_setting(self, name: str, value: Any) -> list[str]:
        """Compare one of the store's settings, or None if it is not set, with its history."""
        if isinstance(value, str | None) and self._settings.get(name) == setting_digest(value):
            return []
        return [f"the store's {name} was altered outside keyctl"]

    def records_setting(self, name: str) -> bool:
        return name in self._settings

    def check_counters(self, counters: Mapping[str, int]) -> list[str]:
        """Compare the last serial ids of keys and owners, after every row was checked, with those of the rows."""
        altered = _difference(self._counters, counters)
        return [f"a counter of the store was altered outside keyctl: {altered}"] if altered else []

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

    def _create_key(self, seq: int, entry: Entry, values: Mapping[str, Any]) -> Iterator[str]:
        if entry["id"] in self._keys:
            yield f"event {seq} creates key {entry['prefix']} ({entry['id']}), which existed before"
            return
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
        state = self._owners.get(entry["id"])
        if event.action == _OWNER_ADDED:
            if state is None:
                self._owners[entry["id"]] = {"handle": entry["handle"], **entry["set"]}
            else:
                yield f"event {event.seq} creates owner {state['handle']} ({entry['id']}), which existed before"
        elif state is None:
            yield f"event {event.seq} changes owner {entry['handle']} ({entry['id']}), which no event created"
        else:
            before = {"handle": entry["handle"]} | entry.get("was", {})
            if altered := _difference({name: state.get(name) for name in before}, before):
                yield _altered_before(event.seq, "owner", state["handle"], altered)
            state |= entry["set"]

    def _count(self, kind: str, row_id: object) -> None:
        if isinstance(row_id, str) and row_id.isascii() and row_id.isdecimal() and len(row_id) <= _SERIAL_DIGITS:
            self._counters[kind] = max(self._counters.get(kind, 0), int(row_id))


def _difference(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> str | None:
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            return f"{name} is {_shown(actual.get(name))}, and should be {_shown(expected.get(name))}"
    return None


def _shown(value: Any) -> str:
    return brief(json.dumps(value), _LONGEST_VALUE)


def _altered_before(seq: int, kind: str, name: str, difference: str) -> str:
    return f"{kind} {name} was altered outside keyctl before event {seq}: {difference}"
