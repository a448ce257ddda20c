"""Makes sure that one key of a name exists and that a file holds it, however often and from however many processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from keyctl import hashing, lifecycle, policy
from keyctl.admin.delivery import Delivery, Minted
from keyctl.admin.issuing import Issuer
from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.admin.owners import NewOwner
from keyctl.admin.rotation import KeyRotator
from keyctl.audit import key_entry
from keyctl.errors import Refused, StoreBusy
from keyctl.keyformat import MalformedKey
from keyctl.models import Actor, Key, KeyRecord, Status
from keyctl.networks import parse_networks
from keyctl.pepper import Peppers
from keyctl.store import events, keys, owners
from keyctl.store.database import Connection, Store
from keyctl.store.selection import Filters, Selection
from keyctl.text import checked_text
from keyctl.times import utc_now

_PAUSE = 0.05  # seconds between two looks at what another process is delivering


class Outcome(StrEnum):
    UNCHANGED = "unchanged"
    MINTED = "minted"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Place:
    """Where the key is to be.

    `read` returns the text that may be a key, or None. `deliver` returns a delivery to the place, which replaces
    another key there if it is given True. `name` is for messages.
    """

    name: str
    read: Callable[[], str | None]
    deliver: Callable[[bool], Delivery[Minted]]


@dataclass(frozen=True)
class Ensured:
    """The key that the place holds. `old` is the one that it replaced; `differences` say what is not as requested."""

    record: KeyRecord
    outcome: Outcome
    old: KeyRecord | None = None
    differences: Sequence[str] = ()


@dataclass(frozen=True)
class _Seen:
    """The keys of the name that are in force or locked, and the key of this store that the place holds."""

    records: tuple[KeyRecord, ...]
    held: KeyRecord | None
    at: datetime

    @property
    def active(self) -> list[KeyRecord]:
        return [one for one in self.records if one.status(self.at) is Status.ACTIVE]

    @property
    def holds_active(self) -> bool:
        return self.held is not None and any(one.key.id == self.held.key.id for one in self.active)


class _Overtaken(Exception):
    """Another process minted or replaced a key of the name."""


class KeyEnsurer:
    """Ensures keys. `wait` is how many seconds to wait for a key that another process is delivering.

    The store decides who mints: that there is no other key of the name is checked in the transaction that creates one,
    under the lock of the audit log, which every change takes. The others find the key of the first one in the file.
    """

    def __init__(
        self,
        store: Store,
        actor: Actor,
        *,
        peppers: Peppers | None = None,
        clock: Callable[[], datetime] = utc_now,
        wait: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wait = wait
        self._peppers = peppers
        self._issuer = Issuer(store, actor, peppers, clock=clock, on_hashed=lambda: None)
        self._minter = KeyMinter(store, actor, peppers=peppers, clock=clock)
        self._rotator = KeyRotator(store, actor, peppers=peppers, clock=clock)

    def ensure(
        self, new: NewKey, place: Place, *, rotate: bool = False, reason: str | None = None, dry_run: bool = False
    ) -> Ensured:
        """Return the active key with the name, owner and environment of `new`, once `place` holds it.

        If there is none, it is minted. If there is one that the place does not hold, Refused is raised, or with
        `rotate` the key is replaced, with the profile's grace period. A key whose delivery was never recorded counts
        as lost once it was watched for as long as this waits: it is revoked. Raises Refused too if there are several
        such keys, or if the only one is locked, and StoreBusy if other processes keep changing them.
        """
        new = self._completed(new)
        first_seen: dict[str, float] = {}
        end = time.monotonic() + max(self._wait, 1.0) * 4
        while True:
            seen = self._look(new, place)
            now = time.monotonic()
            # Another process may be delivering them at this moment.
            pending = [one for one in seen.active if one.key.delivered_at is None]
            waited = min((now - first_seen.setdefault(one.key.id, now) for one in pending), default=self._wait)
            try:
                if waited >= self._wait or dry_run:
                    if seen.holds_active:
                        return self._unchanged(seen, new, reason=reason, dry_run=dry_run)
                    return self._act(new, place, seen, pending, rotate=rotate, reason=reason, dry_run=dry_run)
            except _Overtaken as error:
                if now >= end:
                    raise StoreBusy(
                        f'other processes keep changing the keys named "{new.name}"', hint="retry the command"
                    ) from error
            time.sleep(_PAUSE)

    def _act(
        self,
        new: NewKey,
        place: Place,
        seen: _Seen,
        lost: Sequence[KeyRecord],
        *,
        rotate: bool,
        reason: str | None,
        dry_run: bool,
    ) -> Ensured:
        lost_ids = {one.key.id for one in lost}
        current = [one for one in seen.active if one.key.id not in lost_ids]
        if len(current) > 1:
            raise Refused(
                f'{len(current)} active keys are named "{new.name}", and {place.name} holds none of them: '
                + ", ".join(one.key.prefix for one in current),
                hint=f"revoke all but one, such as: keyctl revoke {current[-1].key.prefix}",
            )
        if current and not rotate:
            raise Refused(
                f'{current[0].key.prefix} is named "{new.name}", and {place.name} does not hold it',
                hint="add --replace to rotate it, or put the key there",
            )
        if current:
            return self._replace(current[0], place, seen, lost_ids, new, reason=reason, dry_run=dry_run)
        if locked := [one for one in seen.records if one.status(seen.at) is Status.LOCKED]:
            prefix = locked[0].key.prefix
            raise Refused(
                f'{prefix} is named "{new.name}", and is locked',
                hint=f"keyctl unlock {prefix}, or to mint another: keyctl revoke {prefix}",
            )
        [minted] = self._minter.mint(
            new,
            place.deliver(rotate or _is_of(seen.held, new)),
            check=lambda connection, made: self._claim(connection, new, made, lost_ids),
            reason=reason,
            dry_run=dry_run,
        )
        self._refuse_if_revoked(minted, place)
        return Ensured(minted, Outcome.MINTED)

    def _replace(
        self,
        old: KeyRecord,
        place: Place,
        seen: _Seen,
        lost_ids: Collection[str],
        new: NewKey,
        *,
        reason: str | None,
        dry_run: bool,
    ) -> Ensured:
        try:
            [rotation] = self._rotator.rotate(
                Selection.named(old.key.id),
                place.deliver(True),
                expires=new.expires,
                revoking=lost_ids,
                reason=reason,
                dry_run=dry_run,
            )
        except Refused as error:
            if {one.key.id for one in self._look(new, place).active} != {one.key.id for one in seen.active}:
                raise _Overtaken from error
            raise
        return Ensured(rotation.new, Outcome.REPLACED, rotation.old, self._differences(rotation.new, new))

    def _unchanged(self, seen: _Seen, new: NewKey, *, reason: str | None, dry_run: bool) -> Ensured:
        """Return the key that the place holds; record its delivery if the process that delivered it could not."""
        held = next(one for one in seen.active if seen.held is not None and one.key.id == seen.held.key.id)
        if held.key.delivered_at is None and not dry_run:
            replaced = next((one for one in seen.records if one.key.id == held.key.replaces), None)
            if replaced is None:
                self._store.write(lambda connection: self._note_delivered(connection, held))
            else:
                try:
                    self._rotator.finish(held, replaced, reason=reason)
                except Refused as error:
                    raise _Overtaken from error
        return Ensured(held, Outcome.UNCHANGED, None, self._differences(held, new))

    def _note_delivered(self, connection: Connection, held: KeyRecord) -> None:
        events.head(connection, lock=True)
        if keys.get(connection, held.key.id).key.delivered_at is None:
            self._issuer.note_delivered(connection, [key_entry(held.key)], at=self._clock())

    def _claim(self, connection: Connection, new: NewKey, made: Sequence[Key], lost_ids: Collection[str]) -> None:
        """Make sure, in the transaction that mints, that no other key came up; revoke those that were lost."""
        now, own = self._clock(), {key.id for key in made}
        named = [one for one in self._named(connection, new, now) if one.key.id not in own]
        active = [one for one in named if one.status(now) is Status.ACTIVE]
        lost = [one for one in active if one.key.id in lost_ids and one.key.delivered_at is None]
        if len(lost) != len(active):
            raise _Overtaken
        if lost:
            self._issuer.revoke_in(connection, lost, now=now, reason=lifecycle.UNDELIVERED)

    def _refuse_if_revoked(self, minted: KeyRecord, place: Place) -> None:
        """Raise Refused if this process was so slow that another one took its key for lost."""
        with self._store.read() as connection:
            found = keys.by_ids(connection, [minted.key.id]).get(minted.key.id)
        if found is not None and found.key.revoked_at is not None:
            raise Refused(
                f"another process revoked {minted.key.prefix} while it was delivered: {place.name} may hold it",
                hint="run the command again with --replace",
            )

    # ── what is there ────────────────────────────────────────────────────────────────────────────────────────────

    def _completed(self, new: NewKey) -> NewKey:
        """Return the key with what the profile adds. Raises UsageError for an invalid name or environment."""
        profile = self._store.profile
        if new.owner is None and profile.default_owner is not None:
            new = replace(new, owner=NewOwner(profile.default_owner), create_owner=True)
        return replace(
            new,
            name=checked_text("name", new.name or ""),
            environment=policy.environment(profile, new.environment),
        )

    def _look(self, new: NewKey, place: Place) -> _Seen:
        now = self._clock()
        with self._store.read() as connection:
            if new.owner is not None and not new.create_owner:
                owners.get(connection, new.owner.handle)
            records = tuple(self._named(connection, new, now))
        # Read after the store: a key that was delivered by then is there.
        text = place.read()
        with self._store.read() as connection:
            return _Seen(records, self._held(connection, text), now)

    def _named(self, connection: Connection, new: NewKey, now: datetime) -> list[KeyRecord]:
        """Return the keys of the name, owner and environment that are in force or locked."""
        owner = owners.find(connection, new.owner.handle) if new.owner is not None else None
        if new.owner is not None and owner is None:
            return []
        filters = Filters(
            statuses=(Status.ACTIVE, Status.LOCKED),
            owner_ids=(owner.id,) if owner is not None else (),
            environments=(new.environment or "",),
            names=(new.name or "",),  # a part of the name, or a pattern: what matches exactly is chosen below
        )
        found = keys.selected(connection, Selection(None, filters), now=now)
        return [one for one in found if one.key.name == new.name and one.key.owner_id == (owner.id if owner else None)]

    def _held(self, connection: Connection, text: str | None) -> KeyRecord | None:
        """Return the key of this store that a text is, if its hash proves it."""
        for key_format in self._store.formats if text is not None else ():
            try:
                prefix = key_format.parse(text or "").prefix
            except MalformedKey:
                continue
            record = keys.find(connection, prefix)
            if record is not None and hashing.verify(
                text or "", record.key.phc, own=self._store.hash_parameters, peppers=self._peppers
            ):
                return record
        return None

    def _differences(self, record: KeyRecord, new: NewKey) -> list[str]:
        """Return in what a key is not as requested. A lifetime is for new keys: it is not compared with a time."""
        key = record.key
        found = []
        if new.scopes is not None:
            wanted = policy.scopes(self._store.profile, new.scopes, record.owner)
            if set(wanted) != set(key.scopes):
                found.append(f"its scopes are {_listed(key.scopes)}, not {_listed(wanted)}")
        networks = parse_networks(new.allowed_ips)
        if new.allowed_ips and set(networks) != set(key.allowed_ips):
            found.append(f"its networks are {_listed(key.allowed_ips)}, not {_listed(networks)}")
        for name, value in policy.metadata(new.metadata).items():
            if key.metadata.get(name) != value:
                found.append(f"its metadata {name} is {key.metadata.get(name, 'not set')}, not {value}")
        if new.expires is not None and (new.expires == "never") != (key.expires_at is None):
            found.append("it never expires" if key.expires_at is None else "it expires")
        return found


def _is_of(held: KeyRecord | None, new: NewKey) -> bool:
    """Return whether a key that is no longer in force was one of the name: a new one may take its place."""
    return held is not None and held.key.name == new.name


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "none"
