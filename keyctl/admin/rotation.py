"""Rotation: a new key replaces another, which ends only after the new one was delivered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from keyctl import lifecycle, policy
from keyctl.admin.delivery import Delivery, Successor
from keyctl.admin.issuing import Issuer
from keyctl.audit import key_entry, key_state
from keyctl.errors import Refused
from keyctl.keyformat import GeneratedKey
from keyctl.models import Actor, Key, KeyRecord
from keyctl.pepper import Peppers
from keyctl.store import counters, events, keys
from keyctl.store.database import Connection, Store
from keyctl.store.selection import Selection
from keyctl.times import later, utc_now


class Rotation(NamedTuple):
    """A new key and the one that it replaces, both as they are after the delivery."""

    new: KeyRecord
    old: KeyRecord


class _Drawn(NamedTuple):
    """A key that is to be replaced, and the text of its successor."""

    old: KeyRecord
    text: GeneratedKey


class KeyRotator:
    """Rotates keys. `peppers` are needed where the store uses one; `clock` returns the current time in UTC."""

    def __init__(
        self,
        store: Store,
        actor: Actor,
        *,
        peppers: Peppers | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock
        self._issuer = Issuer(store, actor, peppers, clock=clock, on_hashed=lambda: None)

    def rotate(
        self,
        selection: Selection,
        delivery: Delivery[Successor],
        *,
        grace: timedelta | None = None,
        expires: str | None = None,
        revoking: Collection[str] = (),
        reason: str | None = None,
        dry_run: bool = False,
    ) -> list[Rotation]:
        """Replace each selected key with a new one that has the same owner, environment, scopes, networks and metadata.

        All of them are replaced, or none. An old key stays valid until all new ones were delivered: it is then revoked
        if `grace` is zero, else it expires after `grace` (None: the profile's), and never later than before. `expires`
        is when the new keys expire, as in NewKey; None gives each as long a lifetime as its old key had.

        A successor from an earlier rotation whose delivery was not recorded may be in use all the same: it is revoked
        only if its id is in `revoking`, else Refused is raised. See `undelivered_successors`.

        Returns the keys, without the new ones' texts. Raises NotFound for an unknown selector, Refused for a key that
        cannot be rotated, and NotDelivered if the texts could not be delivered; the new keys are then revoked, and the
        old ones are unchanged.
        """
        now = self._clock()
        if grace is None:
            grace = self._store.profile.lifetime.grace
        drawn = self._draw(selection, now)
        hashes = {} if dry_run else self._issuer.hash([one.text for one in drawn])

        def work(connection: Connection) -> list[Rotation]:
            chosen = Selection.named(*(one.old.key.id for one in drawn))
            current = keys.selected(connection, chosen, now=now, for_change=True) if drawn else []
            if keys.taken(connection, [one.text.prefix for one in drawn]):
                raise Refused("another process minted a key with the same prefix", hint="retry the command")
            self._revoke_undelivered(connection, current, revoking, now=now)
            ids = counters.new_ids(connection, "key", self._store.profile.key_ids, now=now, count=len(drawn))
            rotations, successors = [], []
            for one, old, new_id in zip(drawn, current, ids, strict=True):
                lifecycle.refuse_unrotatable(old, now)
                if old.key.scopes != one.old.key.scopes:
                    raise Refused(f"{old.key.prefix} was changed by another process", hint="retry the command")
                new = replace(
                    old.key,
                    id=new_id,
                    prefix=one.text.prefix,
                    phc=hashes.get(one.text.prefix, ""),
                    created_at=now,
                    created_by=str(self._actor),
                    delivered_at=None,
                    expires_at=self._successor_expiry(old.key, expires, now),
                    locked_at=None,
                    locked_until=None,
                    replaces=old.key.id,
                    last_used_at=None,
                )
                retired = replace(old.key, **lifecycle.end_of_replaced(old.key, new_id, grace, now))
                successors.append(new)
                rotations.append(
                    Rotation(KeyRecord(replace(new, delivered_at=now), old.owners), KeyRecord(retired, old.owners))
                )
            if not dry_run and successors:
                keys.add(connection, successors)
                entries = [key_entry(new) | {"set": key_state(new)} for new in successors]
                events.append_for_keys(
                    connection, entries, {}, at=now, actor=self._actor, action="key.minted", reason=reason
                )
                delivery.prepare(
                    [Successor(two.new, one.text.text, two.old) for one, two in zip(drawn, rotations, strict=True)]
                )
            return rotations

        rotations = self._issuer.commit(work, delivery, dry_run=dry_run)
        if not dry_run and rotations:
            new = [one.new for one in rotations]
            overtaken: list[Rotation] = []

            def retire(connection: Connection) -> None:
                overtaken[:] = self._retire(connection, rotations, grace, now=now, reason=reason)

            self._issuer.hand_over(delivery, new)
            self._issuer.after_delivery(new, retire, finish=_finish_by_hand(rotations))
            _refuse_overtaken(overtaken)
        return rotations

    def finish(self, new: KeyRecord, old: KeyRecord, *, reason: str | None = None) -> None:
        """End a key, with the profile's grace period, whose successor was delivered though that was not recorded.

        Raises Refused if another process did so, or revoked the successor.
        """
        now, grace = self._clock(), self._store.profile.lifetime.grace
        _refuse_overtaken(
            self._store.write(
                lambda connection: self._retire(connection, [Rotation(new, old)], grace, now=now, reason=reason)
            )
        )

    def undelivered_successors(self, selection: Selection) -> list[KeyRecord]:
        """Return the successors of keys whose delivery was not recorded: a command was killed, or its store failed."""
        with self._store.read() as connection:
            selected = keys.selected(connection, selection, now=self._clock())
            return keys.undelivered_successors(connection, [one.key.id for one in selected])

    def _draw(self, selection: Selection, now: datetime) -> list[_Drawn]:
        """Draw a new text for each selected key, in their order. Raises Refused for one that cannot be rotated."""
        with self._store.read() as connection:
            selected = keys.selected(connection, selection, now=now)
        alike: dict[tuple[str, tuple[str, ...]], list[KeyRecord]] = {}
        for record in selected:
            lifecycle.refuse_unrotatable(record, now)
            policy.check_successor(self._store.profile, record.key)
            alike.setdefault((record.key.environment, record.key.scopes[:1]), []).append(record)
        texts = {
            record.key.id: text
            for records in alike.values()
            for record, text in zip(records, self._issuer.draw(records[0].key, len(records)), strict=True)
        }
        return [_Drawn(record, texts[record.key.id]) for record in selected]

    def _revoke_undelivered(
        self, connection: Connection, current: Sequence[KeyRecord], revoking: Collection[str], *, now: datetime
    ) -> None:
        earlier = keys.undelivered_successors(connection, [one.key.id for one in current])
        for one in earlier:
            if one.key.id not in revoking:
                old = next(record.key for record in current if record.key.id == one.key.replaces)
                raise Refused(
                    f"{one.key.prefix}, from another rotation of {old.prefix}, may have been delivered",
                    hint=f"if it was: {_finish(old)}; if not: keyctl rotate {old.prefix} --yes",
                )
        self._issuer.revoke_in(connection, earlier, now=now, reason=lifecycle.UNDELIVERED)

    def _successor_expiry(self, old: Key, expires: str | None, now: datetime) -> datetime | None:
        if expires is not None:
            return policy.expiry(self._store.profile, expires, created_at=now, now=now)
        maximum = self._store.profile.lifetime.maximum
        lifetime = old.expires_at - old.created_at if old.expires_at else maximum
        return later(now, min(lifetime, maximum or lifetime)) if lifetime else None

    def _retire(
        self,
        connection: Connection,
        rotations: Sequence[Rotation],
        grace: timedelta,
        *,
        now: datetime,
        reason: str | None,
    ) -> list[Rotation]:
        """End the old keys; return those that another process replaced after the new ones were committed."""
        every = Selection.named(*(record.key.id for one in rotations for record in one))
        current = {record.key.id: record.key for record in keys.selected(connection, every, now=now, for_change=True)}
        changes: dict[str, dict[str, Any]] = {}
        overtaken = []
        for one in rotations:
            new, old = current[one.new.key.id], current[one.old.key.id]
            if new.revoked_at is not None or old.replaced_by is not None:
                overtaken.append(one)
                continue
            changes[new.id] = {"delivered_at": now}
            changes[old.id] = lifecycle.end_of_replaced(old, new.id, grace, now)
        keys.set_on(connection, changes)
        entries = [key_entry(current[key_id], changed) for key_id, changed in changes.items()]
        events.append_for_keys(connection, entries, {}, at=now, actor=self._actor, action="key.rotated", reason=reason)
        return overtaken


def _refuse_overtaken(overtaken: Sequence[Rotation]) -> None:
    if overtaken:
        old, new = (
            ", ".join(record.key.prefix for record in part)
            for part in ([one.old for one in overtaken], [one.new for one in overtaken])
        )
        raise Refused(
            f"another process rotated {old} first: {new}, which was just delivered, is revoked",
            hint=f"keyctl show {overtaken[0].old.key.prefix}",
        )


def _finish_by_hand(rotations: Sequence[Rotation]) -> str:
    old, new = rotations[0].old.key, rotations[0].new.key
    commands = "; ".join(_finish(one.old.key) for one in rotations)
    return f"finish the rotation: {commands}; rotating {old.prefix} again would revoke {new.prefix}"


def _finish(old: Key) -> str:
    """Return the commands that end a key after its successor was delivered."""
    return f"keyctl revoke {old.prefix}, or keyctl expire {old.prefix} --to TIME"
