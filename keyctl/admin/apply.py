"""Brings owners and keys to what is described: everything is checked before the first change.

The changes of owners and keys are one transaction; then new keys are minted, one after the other, since each is
delivered or revoked; then what is to be revoked is, in one transaction. A run that was interrupted leaves a part of the
steps, and the next run takes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from keyctl.admin.delivery import Delivery, Minted
from keyctl.admin.keys import KeyAdmin, ScopeChange, Update
from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.admin.owners import NewOwner, OwnerAdmin
from keyctl.desired.description import DescribedKey, Description, DescriptionInvalid
from keyctl.desired.plan import Existing, KeyStep, OwnerStep, Plan, make_plan, name_of, pairs
from keyctl.errors import KeyctlError, NotFound, Refused, UsageError
from keyctl.models import Actor, Key, KeyRecord
from keyctl.pepper import Peppers
from keyctl.store import live_keys, owners
from keyctl.store.database import Connection, Store
from keyctl.store.joined import JoinedStore
from keyctl.store.selection import Selection
from keyctl.times import format_time, utc_now


class Applier:
    """Plans and takes the steps that lead to a description, whose file is called `source`.

    `peppers` are needed to mint where the store uses one. `clock` returns the current time, aware and in UTC.
    """

    def __init__(
        self,
        store: Store,
        actor: Actor,
        source: str,
        *,
        peppers: Peppers | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._actor = actor
        self._source = source
        self._reason = f"apply {source}"
        self._peppers = peppers
        self._clock = clock

    def plan(self, description: Description, *, prune: bool = False) -> Plan:
        """Return the steps, all of them checked; nothing is changed.

        Raises DescriptionInvalid with every fault of the description, and Refused with everything that the profile or
        the state of a key or an owner does not allow.
        """
        if prune and not description.keys and not description.faults:
            raise Refused(
                f"{self._source} describes no key: --prune would revoke every key", hint="to revoke keys: keyctl revoke"
            )

        def work(connection: Connection) -> Plan:
            plan = self._compare(connection, description, prune=prune)
            if plan.faults:
                raise DescriptionInvalid(self._source, plan.faults)
            if plan.conflicts:
                raise self._refused(plan.conflicts)
            self._check(connection, plan)
            return plan

        return self._store.write(work, dry_run=True)

    def carry_out(
        self,
        description: Description,
        plan: Plan,
        deliver: Callable[[KeyStep], Delivery[Minted]],
        on_minted: Callable[[KeyStep, KeyRecord], None] = lambda *_: None,
    ) -> None:
        """Take the steps of a plan. `deliver` returns where a new key goes; `on_minted` is called after each.

        Raises Refused if the store has changed since: then nothing, or after the first new key only a part of the
        steps, was taken. Raises NotDelivered if a key could not be delivered; it is revoked then.
        """

        def work(connection: Connection) -> None:
            if self._compare(connection, description, prune=plan.prune) != plan:
                raise self._changed()
            self._change(connection, plan)

        self._store.write(work)
        minter = KeyMinter(self._store, self._actor, peppers=self._peppers, clock=self._clock)
        for step in plan.new_keys:
            delivery = deliver(step)
            [record] = minter.mint(
                _new_key(step),
                delivery,
                check=partial(self._check_alone, step),
                reason=self._reason,
            )
            if step.described.locked:
                KeyAdmin(self._store, self._actor, clock=self._clock).lock(
                    Selection.named(record.key.id), reason=self._reason
                )
            on_minted(step, record)
        if plan.revocations:
            self._store.write(lambda connection: self._prune(connection, description, plan))

    # ── the steps ────────────────────────────────────────────────────────────────────────────────────────────────

    def _compare(self, connection: Connection, description: Description, *, prune: bool) -> Plan:
        now = self._clock()
        existing = read_existing(connection, now=now)
        return make_plan(self._store.profile, description, existing, now=now, prune=prune)

    def _change(self, connection: Connection, plan: Plan) -> None:
        store = JoinedStore(self._store, connection)
        for owner in plan.owners:
            self._apply_owner(store, owner)
        for key in plan.changes:
            self._apply_key(store, key)

    def _prune(self, connection: Connection, description: Description, plan: Plan) -> None:
        if self._compare(connection, description, prune=True).revocations != plan.revocations:
            raise self._changed()
        self._revoke(JoinedStore(self._store, connection), plan)

    def _check(self, connection: Connection, plan: Plan) -> None:
        """Take all steps in a transaction that is not committed, but for hashes and deliveries."""
        store = JoinedStore(self._store, connection)
        errors: list[tuple[str, KeyctlError]] = []
        failed: set[str] = set()

        def attempt(path: str, step: Callable[[], object], owner: str | None = None) -> None:
            if owner in failed:
                return  # a consequence
            try:
                step()
            except (UsageError, NotFound, Refused) as error:
                errors.append((path, error))
                failed.add(path)

        for one in plan.owners:
            attempt(one.described.path, partial(self._apply_owner, store, one), one.described.parent)
            if one.described.path in failed:
                failed.add(one.described.handle)
        for key in plan.changes:
            attempt(key.described.path, partial(self._apply_key, store, key), key.owner)
        minter = KeyMinter(store, self._actor, peppers=self._peppers, clock=self._clock)
        for key in plan.new_keys:
            attempt(
                key.described.path,
                partial(minter.mint, _new_key(key), _Nowhere(), reason=self._reason, dry_run=True),
                key.owner,
            )
        attempt("--prune", lambda: self._revoke(store, plan))
        if errors:
            self._raise(errors)

    def _apply_owner(self, store: Store, step: OwnerStep) -> None:
        described, admin = step.described, OwnerAdmin(store, self._actor, clock=self._clock)
        changed = {one.field for one in step.differences}
        if step.added:
            new = NewOwner(
                described.handle,
                kind=described.kind,
                name=described.name or None,
                parent=described.parent or None,
                plan=described.plan or None,
                attributes=pairs(described.attributes, empty=False),
            )
            admin.add(new, reason=self._reason)
        elif changed - {"disabled"}:
            given: dict[str, Any] = {
                name: getattr(described, name) for name in ("name", "parent", "plan") if name in changed
            }
            attributes = {
                name: value for name, value in described.attributes.items() if f"attributes.{name}" in changed
            }
            admin.update(described.handle, **given, attributes=pairs(attributes), reason=self._reason)
        if "disabled" in changed:
            (admin.disable if described.disabled else admin.enable)(described.handle, reason=self._reason)

    def _apply_key(self, store: Store, step: KeyStep) -> None:
        described, admin = step.described, KeyAdmin(store, self._actor, clock=self._clock)
        selection, reason = Selection.named(step.key_id or ""), self._reason
        changed = {one.field: one for one in step.differences}
        metadata = {name: value for name, value in described.metadata.items() if f"metadata.{name}" in changed}
        if "allowed_ips" in changed or metadata:
            networks = described.allowed_ips if "allowed_ips" in changed else None
            admin.update(selection, Update(allowed_ips=networks, metadata=pairs(metadata)), reason=reason)
        if "scopes" in changed:
            admin.scope(selection, ScopeChange(only=described.scopes), reason=reason)
        if "expires" in changed:
            admin.expire(selection, changed["expires"].new or "", reason=reason)
        if "locked" in changed:
            (admin.lock if described.locked else admin.unlock)(selection, reason=reason)

    def _revoke(self, store: Store, plan: Plan) -> None:
        if plan.revocations:
            selection = Selection.named(*(one.key_id for one in plan.revocations))
            KeyAdmin(store, self._actor, clock=self._clock).revoke(selection, reason=self._reason)

    # ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_alone(self, step: KeyStep, connection: Connection, made: Sequence[Key]) -> None:
        """Raise Refused if another process has minted the same key: two runs at once must not leave two keys."""
        [own] = made
        now = self._clock()
        others = live_keys.ids_of_name(
            connection, own.name or "", owner_id=own.owner_id, environment=own.environment, now=now
        )
        if others - step.others - {own.id}:
            raise Refused(
                f"another process has minted {name_of(step.owner, step.environment, own.name)}",
                hint="retry the command",
            )

    def _changed(self) -> Refused:
        return Refused("the store was changed by another process since it was compared", hint="retry the command")

    def _raise(self, errors: Sequence[tuple[str, KeyctlError]]) -> None:
        faults = [f"{path}: {error.message}" for path, error in errors]
        if any(not isinstance(error, Refused) for _, error in errors):
            raise DescriptionInvalid(self._source, faults)
        raise self._refused(faults)

    def _refused(self, reasons: Sequence[str]) -> Refused:
        lines = "".join(f"\n  {reason}" for reason in reasons)
        return Refused(
            f"{self._source} cannot be applied, and nothing was changed:{lines}", hint="see: keyctl help apply"
        )


def read_existing(connection: Connection, *, now: datetime) -> Existing:
    """Return what a description is compared with."""
    return Existing(tuple(owners.every(connection)), tuple(live_keys.live(connection, now=now)))


def _new_key(step: KeyStep) -> NewKey:
    described = step.described
    return NewKey(
        name=described.name,
        owner=NewOwner(described.owner) if described.owner else None,
        environment=step.environment,
        scopes=described.scopes,
        expires=_expires(described),
        allowed_ips=described.allowed_ips or (),
        metadata=pairs(described.metadata, empty=False),
    )


def _expires(described: DescribedKey) -> str | None:
    expires = described.expires
    if expires is None:
        return None
    return format_time(expires.at) if expires.at else expires.text


class _Nowhere:
    """The delivery of keys that are not minted."""

    def prepare(self, minted: Sequence[Minted]) -> None: ...

    def hand_over(self) -> None: ...

    def abandon(self) -> None: ...
