"""Restores a store from a backup. What ended since then stays ended, and the audit log only grows.

A restore over an existing store is a change like any other, and the log has it on top of all that happened since the
backup. Rows that were altered or removed outside keyctl are written again as the log has them, as far as the log, the
rows and the backup still know them. Afterwards the whole store is verified, or nothing is changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from keyctl import hashing
from keyctl.admin.merge import ENDS, is_logged, logged_key, logged_owner, merged_key, merged_owner
from keyctl.audit import Entry, key_entry, owner_entry
from keyctl.errors import CheckFailed, ConfigurationInvalid, Refused, StoreUnavailable
from keyctl.history import History
from keyctl.models import Actor, EventContent, Key, Owner
from keyctl.store import events, restoring, schema, settings
from keyctl.store.copying import check_arrived, copy_rows
from keyctl.store.database import DEFAULT_WAIT, Connection, Database, schema_revision
from keyctl.store.integrity import check_in
from keyctl.store.location import StoreLocation
from keyctl.store.new_file import write_to
from keyctl.store.replay import replay
from keyctl.store.setting_names import SettingName

_HINT = "give a file that keyctl db backup wrote"


@dataclass(frozen=True)
class OpenBackup:
    """A backup that was verified, and is read as it was then."""

    path: Path
    connection: Connection
    settings: dict[str, str]
    seq: int
    hash: str

    @property
    def store_id(self) -> str:
        return self.settings[SettingName.STORE_ID]

    def accepts_token(self, presented: str | None) -> bool:
        """Return whether this is the backup's admin token, or it has none."""
        phc = self.settings.get(SettingName.ADMIN_TOKEN)
        return phc is None or bool(presented and hashing.verify(presented, phc))


@dataclass
class Restored:
    """What a restore did, or with `dry_run` would do: keys by their prefixes, owners by their handles.

    Attributes:
        created: There was no store.
        log_continued: The backup is newer than the store: its log and its settings replace those of the store.
        missing: They are in the log and the backup, and were not in the store.
        changed: Their name, scopes, networks, metadata or end change.
        ended: They were revoked, locked or expire earlier since the backup, and stay so.
        newer: They are not in the backup, and stay as they are.
        removed: The log says that they were removed, once they had ended: they do not come back.
        repaired: They differed from the log, and are written again; what no event created is removed.
    """

    created: bool = False
    log_continued: bool = False
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    newer: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    @property
    def changes_store(self) -> bool:
        return bool(self.log_continued or self.missing or self.changed or self.owners or self.repaired)


def holds_store(location: StoreLocation, *, wait: float = DEFAULT_WAIT, patient: bool = False) -> bool:
    """Return whether there is a store, rather than nothing, or empty tables."""
    if location.file is not None and not os.path.lexists(location.file):
        return False
    database = Database(location, wait=wait, patient=patient)
    try:
        with database.read() as connection:
            return schema_revision(connection) is not None and bool(settings.read(connection))
    finally:
        database.close()


@contextmanager
def open_backup(path: Path) -> Iterator[OpenBackup]:
    """Open and verify a backup. Raises CheckFailed, StoreUnavailable, or ConfigurationInvalid for another schema."""
    if not path.is_file():
        raise StoreUnavailable(f"there is no backup {path}, or it is not a regular file", hint=_HINT)
    database = Database(StoreLocation.of_file(path))
    try:
        with database.snapshot() as connection:
            if schema_revision(connection) is None:
                raise ConfigurationInvalid(f"{path} is not a backup: it holds no keyctl store", hint=_HINT)
            verdict = check_in(connection, str(path))
            if verdict.fault is not None:
                raise CheckFailed(f"the backup {path} was altered: {verdict.fault}", hint=_HINT)
            seq, digest = events.head(connection) or (0, "")
            yield OpenBackup(path, connection, settings.read(connection), seq, digest)
    except StoreUnavailable as error:
        if str(path) in error.message:
            error.hint = _HINT
        raise
    finally:
        database.close()


def restore(
    backup: OpenBackup,
    to: StoreLocation,
    actor: Actor,
    *,
    now: datetime,
    wait: float = DEFAULT_WAIT,
    patient: bool = False,
    reason: str | None = None,
    dry_run: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Restored:
    """Restore a backup where there is no store, or over an earlier or later state of the same store.

    Raises Refused if there is another store, or one whose log does not continue the backup's, or the reverse;
    CheckFailed if the log of the store was altered, or a row that neither the log nor the backup can replace.
    """

    def work(target: Connection, database: Database) -> Restored:
        if schema.prepare(target):
            check_arrived(target, copy_rows(backup.connection, target, database, on_rows=on_rows))
            _note(target)
            return Restored(created=True)
        restored = Restored()
        _refuse_another(backup, target, to)
        if _is_ahead(backup, target, to):
            restoring.replace_log(backup.connection, target, database)
            restored.log_continued = True
        history, fault = replay(target)
        if fault is None:
            merge = _Merge(backup.connection, target, history, restored)
            merge.run()
            if restored.changes_store:
                _note(target)
                merge.append_events(now, actor, reason)
            fault = check_in(target, str(to)).fault
        if fault is not None:
            raise CheckFailed(
                f"the store {to} was altered in a way that cannot be repaired, and nothing was changed: {fault}",
                hint="restore to another place, then revoke there what is revoked here; see: keyctl help backup",
            )
        return restored

    def _note(target: Connection) -> None:
        detail = {"from": str(backup.path), "event": {"seq": backup.seq, "hash": backup.hash}}
        events.append(target, EventContent(now, actor, "store.restored", reason, detail))

    return write_to(to, work, wait=wait, patient=patient, dry_run=dry_run)


class _Merge:
    """Writes the rows of a restore, then their events."""

    def __init__(self, backup: Connection, target: Connection, history: History, restored: Restored) -> None:
        self._backup, self._target, self._history, self._restored = backup, target, history, restored
        self._entries: list[Entry] = []
        self._owner_entries: list[Entry] = []

    def run(self) -> None:
        written, removed = self._owners()
        restoring.write_owners(self._target, written, removed)
        restoring.write_keys(self._target, *self._keys())
        restoring.remove_owners(self._target, removed)
        self._restored.repaired += removed
        self._restored.repaired += restoring.repair_settings(
            self._backup, self._target, self._history.setting_digests()
        )
        self._restored.repaired += restoring.repair_counters(self._target, self._history.last_ids())

    def append_events(self, now: datetime, actor: Actor, reason: str | None) -> None:
        for entry in self._owner_entries:
            events.append(self._target, EventContent(now, actor, "owner.restored", reason, {"owner": entry}))
        events.append_for_keys(
            self._target, self._entries, {}, at=now, actor=actor, action="key.restored", reason=reason
        )

    def _keys(self) -> tuple[list[Key], list[str]]:
        """Return the keys to write, and the ids of those that the log does not have, or no longer."""
        restored, states = self._restored, self._history.key_states()
        written, removed = [], []
        for key_id, stored, saved, is_exact in restoring.key_versions(self._backup, self._target):
            state = states.get(key_id)
            if state is None:
                removed.append(key_id)
                known = saved or stored
                if key_id in self._history.removed_keys() and (stored is None or restored.log_continued):
                    restored.removed.append(known.prefix if known else key_id)
                else:
                    restored.repaired.append(key_id)
                continue
            if stored is None and saved is None:
                continue  # the check that follows reports it
            if is_exact and stored == saved and is_logged(stored, state):
                continue
            logged = logged_key(key_id, state, stored, saved)
            key = merged_key(logged, stored, saved)
            changed = _changed(logged, key)
            if changed:
                self._entries.append(key_entry(logged, changed))
            is_there = is_exact and key == stored
            if not is_there:
                written.append(key)
            if changed or not is_there:
                kind = restored.changed if changed or restored.log_continued else restored.repaired
                (restored.missing if stored is None else kind).append(key.prefix)
            if saved is None:
                restored.newer.append(key.prefix)
            elif _changed(saved, key).keys() & ENDS:
                restored.ended.append(key.prefix)
        return written, removed

    def _owners(self) -> tuple[list[Owner], list[str]]:
        """Return the owners to write, and the ids of those that no event created."""
        restored, states = self._restored, self._history.owner_states()
        written, removed = [], []
        for owner_id, stored, saved, is_exact in restoring.owner_versions(self._backup, self._target):
            state = states.get(owner_id)
            if state is None:
                removed.append(owner_id)
                continue
            logged = logged_owner(owner_id, state)
            owner = merged_owner(logged, stored, saved)
            changed = _changed(logged, owner)
            if changed:
                self._owner_entries.append(owner_entry(logged, changed))
            is_there = is_exact and owner == stored
            if not is_there:
                written.append(owner)
            if changed or not is_there:
                kind = restored.owners if changed or restored.log_continued else restored.repaired
                kind.append(owner.handle)
        return written, removed


def _changed(before: Key | Owner, after: Key | Owner) -> dict[str, Any]:
    return {name: value for name, value in vars(after).items() if getattr(before, name) != value}


def _refuse_another(backup: OpenBackup, target: Connection, to: StoreLocation) -> None:
    found = settings.read(target).get(SettingName.STORE_ID)
    if found != backup.store_id:
        raise Refused(
            f"the store {to} is {found}, and {backup.path} is a backup of {backup.store_id}: nothing was changed",
            hint=f"restore to a place without a store: keyctl db restore {backup.path} --store FILE.db",
        )


def _is_ahead(backup: OpenBackup, target: Connection, to: StoreLocation) -> bool:
    """Return whether the backup's log continues the store's. Raises Refused if neither continues the other."""
    seq, digest = events.head(target) or (0, "")
    ahead = backup.seq > seq
    same = (
        restoring.hash_of_event(backup.connection, seq) == digest
        if ahead
        else restoring.hash_of_event(target, backup.seq) == backup.hash
    )
    if not same:
        raise Refused(
            f"the logs of the store {to} and of {backup.path} differ before event {min(seq, backup.seq) + 1}: "
            "neither continues the other, and nothing was changed",
            hint=f"restore to a place without a store: keyctl db restore {backup.path} --store FILE.db",
        )
    return ahead
