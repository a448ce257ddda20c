"""Changes to keys: each is checked against the profile, and is one transaction with its audit events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from keyctl import lifecycle, policy
from keyctl.audit import changed_entries
from keyctl.errors import Refused
from keyctl.models import Actor, Key, KeyRecord
from keyctl.networks import parse_networks
from keyctl.store import events, keys, usage
from keyctl.store.database import Connection, Store
from keyctl.store.selection import Selection
from keyctl.text import checked_text
from keyctl.times import format_time, parse_when, utc_now
from keyctl.usage import recorders

_STEP = 1000  # keys


@dataclass(frozen=True)
class ScopeChange:
    """A change to a key's scopes: replace them all by `only`, or add and remove some."""

    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    only: Sequence[str] | None = None


@dataclass(frozen=True)
class Update:
    """A change to what is neither state, scopes nor expiry. None leaves a value as it is; an empty `name` removes it.

    An empty `allowed_ips` allows every address; `metadata` are `NAME=VALUE` texts, of which an empty value removes one.
    """

    name: str | None = None
    allowed_ips: Sequence[str] | None = None
    metadata: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Change:
    """A key after a change; `changed` is false if it already was as requested."""

    record: KeyRecord
    changed: bool


class KeyAdmin:
    """Revokes, locks and changes keys.

    `clock` returns the current time, aware and in UTC; `progress` is called with the number of keys that were changed
    since the last call, every 1,000 keys.

    Every method changes all selected keys or none, and returns one Change for each: in the order of the selectors, else
    of their ids. `reason` is written to the audit log: at most 500 characters on one
    line. With `dry_run`, everything is checked, the result is what would be returned, and nothing is changed.

    Every method raises NotFound for an unknown selector, UsageError for an invalid value, Refused for what the profile
    or the key's state does not allow, and StoreUnavailable or StoreBusy; then nothing was changed.
    """

    def __init__(
        self,
        store: Store,
        actor: Actor,
        *,
        clock: Callable[[], datetime] = utc_now,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock
        self._progress = progress

    def revoke(
        self,
        selection: Selection,
        *,
        if_unused_for: timedelta | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[Change]:
        """Revoke keys permanently.

        With `if_unused_for`, raises Refused if one was used within that time, or if the recorders of the store did not
        report through the whole of it.
        """
        now = self._clock()

        def values(connection: Connection, record: KeyRecord) -> Mapping[str, Any]:
            if record.key.revoked_at is not None:
                return {}
            if if_unused_for is not None:
                lifecycle.refuse_in_use(record.key, if_unused_for, now)
                recorders.refuse_unless_reported(usage.instances(connection), if_unused_for, now)
            return {"revoked_at": now, "revoked_reason": reason}

        return self._change(selection, "key.revoked", values, now=now, reason=reason, dry_run=dry_run)

    def lock(
        self,
        selection: Selection,
        *,
        duration: timedelta | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[Change]:
        """Lock keys for `duration`, or with None until they are unlocked."""
        now = self._clock()
        until = now + duration if duration is not None else None

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            lifecycle.refuse_ended(record.key, now, "locked")
            if record.key.locked(now) and record.key.locked_until is None and until is None:
                return {}
            return {"locked_at": now, "locked_until": until}

        return self._change(selection, "key.locked", values, now=now, reason=reason, dry_run=dry_run)

    def unlock(self, selection: Selection, *, reason: str | None = None, dry_run: bool = False) -> list[Change]:
        """Unlock keys. A key that is not locked stays as it is."""
        now = self._clock()

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            lifecycle.refuse_revoked(record.key, "unlocked")
            return {"locked_at": None, "locked_until": None} if record.key.locked(now) else {}

        return self._change(selection, "key.unlocked", values, now=now, reason=reason, dry_run=dry_run)

    def expire(
        self, selection: Selection, to: str, *, reason: str | None = None, dry_run: bool = False
    ) -> list[Change]:
        """Set when keys expire. `to` is a duration from now (`30d`), an RFC 3339 time with a zone, or `never`."""
        now = self._clock()
        parse_when(to, now=now)

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            key = record.key
            lifecycle.refuse_revoked(key, "given a new expiry")
            moment = policy.expiry(self._store.profile, to, created_at=key.created_at, now=now)
            if key.replaced_by and key.expires_at and (moment is None or moment > key.expires_at):
                raise Refused(
                    f"{key.prefix} was replaced and expires at {format_time(key.expires_at)}: it cannot be extended",
                    hint=f"its successor: keyctl show {key.replaced_by}",
                )
            return {"expires_at": moment}

        return self._change(selection, "key.expiry_set", values, now=now, reason=reason, dry_run=dry_run)

    def scope(
        self, selection: Selection, change: ScopeChange, *, reason: str | None = None, dry_run: bool = False
    ) -> list[Change]:
        """Add, remove or replace scopes, as far as the profile allows."""
        profile, now = self._store.profile, self._clock()
        add, remove = (policy.known_scopes(profile, names) for names in (change.add, change.remove))
        only = policy.known_scopes(profile, change.only) if change.only is not None else None
        if profile.scopes.assign == "owner_kind":
            raise Refused(f'scopes follow from the owner\'s kind in profile "{profile.name}"')

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            key = record.key
            lifecycle.refuse_revoked(key, "given new scopes")
            kept = [scope for scope in (key.scopes if only is None else only) if scope not in remove]
            wanted = tuple(dict.fromkeys((*kept, *add)))
            if profile.scopes.primary == "first" and key.scopes[:1] != wanted[:1]:
                raise Refused(
                    f"{key.scopes[0] if key.scopes else 'none'} is the primary scope of {key.prefix}, and is fixed",
                    hint="mint a key with another primary scope, and revoke this one",
                )
            policy.check_scopes(profile, wanted, record.owner)
            return {"scopes": wanted}

        return self._change(selection, "key.scopes_set", values, now=now, reason=reason, dry_run=dry_run)

    def update(
        self, selection: Selection, new: Update, *, reason: str | None = None, dry_run: bool = False
    ) -> list[Change]:
        """Change the name, the allowed networks or metadata of keys."""
        wanted: dict[str, Any] = {}
        if new.name is not None:
            wanted["name"] = checked_text("name", new.name) if new.name else None
        if new.allowed_ips is not None:
            wanted["allowed_ips"] = parse_networks(new.allowed_ips)
        pairs = policy.metadata(new.metadata)

        def values(_: Connection, record: KeyRecord) -> Mapping[str, Any]:
            if not pairs:
                return wanted
            merged = {name: value for name, value in {**record.key.metadata, **pairs}.items() if value}
            return {**wanted, "metadata": merged}

        return self._change(selection, "key.updated", values, now=self._clock(), reason=reason, dry_run=dry_run)

    def _change(
        self,
        selection: Selection,
        action: str,
        values: Callable[[Connection, KeyRecord], Mapping[str, Any]],
        *,
        now: datetime,
        reason: str | None,
        dry_run: bool,
    ) -> list[Change]:
        """Set on each selected key what `values` returns for it, in one transaction."""

        def work(connection: Connection) -> list[Change]:
            changes = []
            before = []
            written: dict[str, dict[str, Any]] = {}
            for record in keys.selected(connection, selection, now=now, for_change=True):
                wanted = values(connection, record)
                changed = {name: value for name, value in wanted.items() if getattr(record.key, name) != value}
                if changed:
                    before.append(record.key)
                    written[record.key.id] = changed
                    record = KeyRecord(Key.of({**vars(record.key), **changed}), record.owners)  # noqa: PLW2901
                changes.append(Change(record, bool(changed)))
                if len(changes) % _STEP == 0:
                    self._progress(_STEP)
            keys.set_on(connection, written)
            entries, common = changed_entries(before, list(written.values()))
            events.append_for_keys(connection, entries, common, at=now, actor=self._actor, action=action, reason=reason)
            return changes

        return self._store.write(work, dry_run=dry_run)
