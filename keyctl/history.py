"""Replays the audit log, and compares the store with the state that follows from it. Pure.

An event records what was set, and what that was before: replaying all of them gives the state that the store must have.
What was before is compared and never taken over, so that a change cannot hide that a row was altered.

A checkpoint holds a digest of all rows. From it on, later events are enough: a row as it is now, and what they say that
it was before, give the row at the checkpoint, whose digest is compared. Not so if a key was removed since: its event
does not have the whole row, and all events are read again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from keyctl.audit import (
    GENESIS,
    LAST_STATE,
    REMOVED,
    Entry,
    event_digest,
    key_state,
    owner_state,
    phc_digest,
    setting_digest,
)
from keyctl.models import Event, Key, Owner
from keyctl.text import brief
from keyctl.times import format_time, to_milliseconds

_CREATED = {"key.minted", "key.imported"}
_REHASHED, _OWNER_ADDED = "key.rehashed", "owner.added"
# What a successor has from the key that it replaces.
_INHERITED = ("name", "owner_id", "environment", "scopes", "allowed_ips", "metadata")
_SERIAL_DIGITS = 18  # as many as both databases count
_LONGEST_VALUE = 200  # characters, in a message


class Position(NamedTuple):
    """The end of a store's log, and the digest of every key, owner and setting at that time."""

    store_id: str
    seq: int
    hash: str
    states: str


@dataclass(frozen=True)
class Checkpoint:
    """A position that was recorded elsewhere, after the store was verified, so that it can be compared later."""

    position: Position
    at: datetime

    def __str__(self) -> str:
        return f"the checkpoint of {format_time(self.at)}"


class History:
    """Replays events in order, then compares rows with them. Every check returns what is wrong, as lines of text.

    After a fault it continues from the event as it is written, so that one altered event does not hide others.
    `checkpoints` are compared with the events that they name. With `start`, one of them, the first event must be the
    one that it names, and only later ones are replayed.
    """

    def __init__(self, checkpoints: Iterable[Checkpoint] = (), *, start: Checkpoint | None = None) -> None:
        self._start = start
        self._seq = start.position.seq - 1 if start else 0
        self._hash = None if start else GENESIS  # None after an event that was not read
        self._keys: dict[str, _State] = {}
        self._removed: dict[str, int] = {}  # the ids of keys, and the event that removed each
        self._owners: dict[str, _State] = {}
        self._settings = _State({}, complete=start is None)
        self._counters: dict[str, int] = {}  # the last serial ids, of the rows
        self._states, self._states_at_start = _Digest(), _Digest()
        self._knows_start = True
        self._checkpoints: defaultdict[int, list[Checkpoint]] = defaultdict(list)
        for one in checkpoints:
            self._checkpoints[one.position.seq].append(one)

    def key_states(self) -> dict[str, Mapping[str, Any]]:
        """Return what each key must be, by its id: its `key_state`, its prefix and the digest of its hash."""
        return {key_id: state.now for key_id, state in self._keys.items()}

    def removed_keys(self) -> Collection[str]:
        """Return the ids of the keys that were removed, and must not be in the store."""
        return self._removed.keys()

    def owner_states(self) -> dict[str, Mapping[str, Any]]:
        """Return what each owner must be, by its id: its `owner_state`."""
        return {owner_id: state.now for owner_id, state in self._owners.items()}

    def setting_digests(self) -> Mapping[str, str | None]:
        """Return the digest of each setting; None for one that was removed."""
        return self._settings.now

    def last_ids(self) -> Mapping[str, int]:
        """Return the last serial ids of the keys and owners that were created."""
        for kind, states in (("key", self._keys), ("owner", self._owners)):
            for row_id in states:
                self._count(kind, row_id)
        return self._counters

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
            if self._start is None or event.seq > self._start.position.seq:
                faults.extend(self._replay(event))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            faults.append(f"event {event.seq} was altered: keyctl writes its detail differently")
        faults += [
            f"event {event.seq} is not the one of {one}: the log was rewritten, or continued from an earlier copy"
            for one in self._checkpoints.pop(event.seq, ())
            if one.position.hash != event.hash
        ]
        return faults

    def skip(self, seq: Any) -> list[str]:
        """Continue after an event that cannot be read."""
        if not isinstance(seq, int):
            return []
        faults = self._gap(seq)
        self._seq, self._hash = seq, None
        return faults

    def check_end(self, head: tuple[int, str] | None) -> list[str]:
        """Compare the end of the log with the head that is stored separately, and with the checkpoints."""
        faults = [
            f"event {seq} of {one} is missing: the log was truncated, or is an earlier copy"
            for seq, checkpoints in sorted(self._checkpoints.items())
            for one in checkpoints
        ]
        if head is None:
            return ["the log's head is missing, or there are several", *faults]
        seq, digest = head
        if seq > self._seq:
            return [f"event {self._seq + 1} is missing: the log should continue to event {seq}", *faults]
        if seq < self._seq or self._hash not in (None, digest):
            return [f"the log's head was altered: it does not match event {self._seq}, the last one", *faults]
        return faults

    def _gap(self, seq: int) -> list[str]:
        if seq == self._seq + 1:
            return []
        return [f"event {self._seq + 1} is missing: event {seq} follows event {self._seq}"]

    # ── rows: settings, owners, then keys, each once and in ascending order ──────────────────────────────────────

    def check_setting(self, name: str, value: Any) -> list[str]:
        """Compare one of the store's settings, or None if it is not set, with its history."""
        if not isinstance(value, str | None):
            return [f"the store's {name} was altered outside keyctl: it cannot be read"]
        found = {name: setting_digest(value)}
        altered = self._settings.meet(found)
        self._states.add("setting", name, found)
        if not self._settings.complete:
            self._states_at_start.add("setting", name, {name: self._settings.before.get(name)})
        return [f"the store's {name} was altered outside keyctl"] if altered else []

    def records_setting(self, name: str) -> bool:
        return name in self._settings.now or not self._settings.complete

    def check_owner(self, owner: Owner) -> list[str]:
        """Compare one owner with its history."""
        self._count("owner", owner.id)
        state = self._take(self._owners, owner.id)
        if state is None:
            return [f"owner {owner.handle} is in the store, but no event created it"]
        altered = self._compare("owner", owner.id, state, owner_state(owner))
        return [f"owner {owner.handle} was altered outside keyctl: {altered}"] if altered else []

    def check_key(self, key: Key) -> list[str]:
        self._count("key", key.id)
        if key.id in self._removed:
            return [f"key {key.prefix} ({key.id}) is in the store, but event {self._removed[key.id]} removed it"]
        state = self._take(self._keys, key.id)
        if state is None:
            return [f"key {key.prefix} ({key.id}) is in the store, but no event created it"]
        found = {"prefix": key.prefix, "hash": phc_digest(key.phc), **key_state(key)}
        altered = self._compare("key", key.id, state, found)
        if state.now["prefix"] != key.prefix:
            return [f"the prefix of key {key.id} differs from its history"]
        if state.now["hash"] != found["hash"]:
            return [f"the hash of key {key.prefix} ({key.id}) differs from its history"]
        return [f"key {key.prefix} ({key.id}) was altered outside keyctl: {altered}"] if altered else []

    def skip_owner(self, owner_id: Any) -> list[str]:
        """Pass over an owner that cannot be read: it is not missing."""
        self._count("owner", owner_id)
        self._owners.pop(owner_id, None)
        return []

    def skip_key(self, key_id: Any) -> list[str]:
        self._count("key", key_id)
        self._keys.pop(key_id, None)
        return []

    def missing(self) -> Iterator[str]:
        """Yield, after every row was checked, what is wrong with the rest: the rows are missing."""
        for key_id, state in self._keys.items():
            yield f"key {state.now.get('prefix', key_id)} is in the history, but missing from the store"
        for owner_id, state in self._owners.items():
            yield f"owner {state.now.get('handle', owner_id)} is in the history, but missing from the store"

    def check_counters(self, counters: Mapping[str, int]) -> list[str]:
        """Compare the last serial ids of keys and owners, after every row was checked, with those of the rows."""
        altered = _difference(self._counters, counters)
        return [f"a counter of the store was altered outside keyctl: {altered}"] if altered else []

    def check_states(self) -> list[str]:
        """Compare, after every row was checked, what the rows were at the start with the digest in that checkpoint."""
        if self._start is None or (self._knows_start and self._states_at_start.hex() == self._start.position.states):
            return []
        return [f"a key, owner or setting is not what it was at {self._start}, and no later event says so"]

    def position(self, store_id: str) -> Position:
        """Return, after every row was checked, what a checkpoint records."""
        return Position(store_id, self._seq, self._hash or "", self._states.hex())

    def _take(self, states: dict[str, _State], row_id: str) -> _State | None:
        state = self._known(states, row_id)
        states.pop(row_id, None)
        return state

    def _known(self, states: dict[str, _State], row_id: str) -> _State | None:
        """Return what is known of a row. After a checkpoint that is at first nothing, and no reason to think it new."""
        if self._start is not None and row_id not in states:
            states[row_id] = _State({}, complete=False)
        return states.get(row_id)

    def _compare(self, kind: str, row_id: str, state: _State, found: Mapping[str, Any]) -> str | None:
        state.meet(found)
        self._states.add(kind, row_id, found)
        if not state.complete:
            self._states_at_start.add(kind, row_id, state.before)
        return _difference(state.now, found)

    # ── what an event does ───────────────────────────────────────────────────────────────────────────────────────

    def _replay(self, event: Event) -> Iterator[str]:
        """Apply what an event set; yield where the state before it, as the event has it, is not what it should be."""
        common = event.detail.get("set", {})
        for entry in event.detail.get("keys", ()):
            changes = common | entry.get("set", {})
            if event.action in _CREATED:
                yield from self._create_key(event.seq, entry, changes)
            elif event.action == REMOVED:
                yield from self._remove_key(event, entry)
            else:
                yield from self._change_key(event, entry, changes)
        if "owner" in event.detail:
            yield from self._replay_owner(event, event.detail["owner"])
        if "settings" in event.detail:
            before = event.detail.get("was", {})
            for name in sorted(before):
                if self._settings.meet({name: before[name]}):
                    yield f"the store's {name} was altered outside keyctl before event {event.seq}"
            self._settings.set(event.detail["settings"])

    def _create_key(self, seq: int, entry: Entry, values: Mapping[str, Any]) -> Iterator[str]:
        if entry["id"] in self._keys or entry["id"] in self._removed:
            yield f"event {seq} creates key {entry['prefix']} ({entry['id']}), which existed before"
            return
        lineage = None
        if values.get("replaces"):
            replaced = self._known(self._keys, values["replaces"])
            lineage = values.get("lineage") or (replaced and replaced.now.get("lineage")) or values["replaces"]
            inherited = {name: values.get(name) for name in _INHERITED}
            inherited["lineage"] = lineage if lineage != values["replaces"] else None
            altered = replaced.meet(inherited) if replaced else None
            if replaced and altered:
                yield _altered_before(seq, "key", replaced.now.get("prefix", values["replaces"]), altered)
        created = {**values, "lineage": lineage, "prefix": entry["prefix"], "hash": entry["hash"]}
        self._keys[entry["id"]] = _State(created, complete=True)

    def _change_key(self, event: Event, entry: Entry, changes: Mapping[str, Any]) -> Iterator[str]:
        state = self._known(self._keys, entry["id"]) if entry["id"] not in self._removed else None
        if state is None:
            before = f"event {removed} removed" if (removed := self._removed.get(entry["id"])) else "no event created"
            yield f"event {event.seq} changes key {entry['prefix']} ({entry['id']}), which {before}"
            return
        before = {name: entry[name] for name in ("prefix", "hash")} | entry.get("was", {})
        if event.action == _REHASHED and "was" not in entry:  # as in the first stores: the old hash is not known
            del before["hash"]
        if altered := state.meet(before):
            yield _altered_before(event.seq, "key", state.now["prefix"], altered)
        kept = {"prefix": state.now["prefix"], "hash": state.now["hash"]}
        state.set({**changes, **kept, **({"hash": entry["hash"]} if event.action == _REHASHED else {})})

    def _remove_key(self, event: Event, entry: Entry) -> Iterator[str]:
        was = dict.fromkeys(LAST_STATE) | entry["was"]
        yield from self._change_key(event, {**entry, "was": was}, {})
        state = self._keys.pop(entry["id"], None)
        if state is None:
            return
        # It may be removed only once it has ended: altering a row must not be a way to get rid of it.
        expires_at = state.now.get("expires_at")
        if state.now.get("revoked_at") is None and not (expires_at and expires_at <= to_milliseconds(event.at)):
            yield f"event {event.seq} removes key {entry['prefix']} ({entry['id']}), which had not ended"
        self._removed[entry["id"]] = event.seq
        self._knows_start &= state.complete
        self._count("key", entry["id"])

    def _replay_owner(self, event: Event, entry: Entry) -> Iterator[str]:
        if event.action == _OWNER_ADDED:
            if entry["id"] in self._owners:
                yield f"event {event.seq} creates owner {entry['handle']} ({entry['id']}), which existed before"
            else:
                self._owners[entry["id"]] = _State({"handle": entry["handle"], **entry["set"]}, complete=True)
            return
        state = self._known(self._owners, entry["id"])
        if state is None:
            yield f"event {event.seq} changes owner {entry['handle']} ({entry['id']}), which no event created"
            return
        if altered := state.meet({"handle": entry["handle"]} | entry.get("was", {})):
            yield _altered_before(event.seq, "owner", state.now["handle"], altered)
        state.set(entry["set"])

    def _count(self, kind: str, row_id: object) -> None:
        if isinstance(row_id, str) and row_id.isascii() and row_id.isdecimal() and len(row_id) <= _SERIAL_DIGITS:
            self._counters[kind] = max(self._counters.get(kind, 0), int(row_id))


class _State:
    """What is known of one row.

    `now` is what it must be. A row is complete if an event that was read created it: then `now` is all of it. Else
    `before` is what it was at the checkpoint, as far as that was mentioned since.
    """

    def __init__(self, values: dict[str, Any], *, complete: bool) -> None:
        self.now = values
        self.before: dict[str, Any] = {}
        self.complete = complete

    def meet(self, found: Mapping[str, Any]) -> str | None:
        """Compare values with what they must be, and return the difference; learn those that are mentioned first."""
        if not self.complete:
            first = {name: value for name, value in found.items() if name not in self.now}
            self.now |= first
            self.before |= first
        return _difference({name: self.now.get(name) for name in found}, found)

    def set(self, values: Mapping[str, Any]) -> None:
        if not self.complete:
            # What is set on many keys at once (a delivery, or its failure) was not set before, and has no "was".
            self.before |= dict.fromkeys(values.keys() - self.now.keys())
        self.now |= values


class _Digest:
    """A SHA-256 over rows in their order. What is not set is left out: a later version may have more columns."""

    def __init__(self) -> None:
        self._hash = sha256()

    def add(self, kind: str, row_id: str, values: Mapping[str, Any]) -> None:
        if present := {name: value for name, value in values.items() if value is not None}:
            line = json.dumps([kind, row_id, present], sort_keys=True, separators=(",", ":"))
            self._hash.update(line.encode() + b"\n")

    def hex(self) -> str:
        return self._hash.hexdigest()


def _difference(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> str | None:
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            return f"{name} is {_shown(actual.get(name))}, and should be {_shown(expected.get(name))}"
    return None


def _shown(value: Any) -> str:
    return brief(json.dumps(value), _LONGEST_VALUE)


def _altered_before(seq: int, kind: str, name: str, difference: str) -> str:
    return f"{kind} {name} was altered outside keyctl before event {seq}: {difference}"
