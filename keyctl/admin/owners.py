"""Changes to owners: each is one transaction with its audit event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from keyctl import policy
from keyctl.audit import new_owner_entry, owner_entry
from keyctl.errors import Refused
from keyctl.models import Actor, EventContent, Owner
from keyctl.profiles.model import Profile
from keyctl.store import counters, events, owners
from keyctl.store.database import Connection, Store
from keyctl.store.reach import NO_REACH, Reach, of_owner
from keyctl.text import checked_text
from keyctl.times import utc_now


@dataclass(frozen=True)
class NewOwner:
    """An owner to be added. `attributes` are `NAME=VALUE` texts; None is the profile's default."""

    handle: str
    kind: str | None = None
    name: str | None = None
    parent: str | None = None
    plan: str | None = None
    attributes: Sequence[str] = ()


@dataclass(frozen=True)
class OwnerChange:
    """An owner after a change; `changed` is false if it already was as requested.

    `reach` is what stops, or works again, when the owner is disabled or enabled.
    """

    owner: Owner
    changed: bool
    reach: Reach = NO_REACH


class OwnerAdmin:
    """Adds, changes, disables and enables owners. `clock` returns the current time, aware and in UTC.

    A handle may also be the owner's id. `reason` is written to the audit log. With `dry_run`, everything is checked,
    the result is what would be returned, and nothing is changed. Every method raises NotFound for an unknown owner,
    UsageError for an invalid value, Refused for what the profile does not allow, and StoreUnavailable or StoreBusy;
    then nothing was changed.
    """

    def __init__(self, store: Store, actor: Actor, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock

    def add(
        self, new: NewOwner, *, ensure: bool = False, reason: str | None = None, dry_run: bool = False
    ) -> OwnerChange:
        """Add an owner. Raises Refused if it exists; with `ensure`, that one is returned as it is."""

        def work(connection: Connection) -> OwnerChange:
            existing = owners.find(connection, new.handle)
            if existing and not ensure:
                raise Refused(f'the owner "{new.handle}" already exists', hint="to accept an existing owner: --ensure")
            if existing:
                return OwnerChange(existing, changed=False)
            added = create_owner(
                connection, self._store.profile, new, actor=self._actor, now=self._clock(), reason=reason
            )
            return OwnerChange(added, changed=True)

        return self._store.write(work, dry_run=dry_run)

    def update(
        self,
        handle: str,
        *,
        name: str | None = None,
        parent: str | None = None,
        plan: str | None = None,
        attributes: Sequence[str] = (),
        reason: str | None = None,
        dry_run: bool = False,
    ) -> OwnerChange:
        """Change what is not None; an empty `name`, `parent` or `plan` removes it.

        `attributes` are `NAME=VALUE` texts, of which an empty value removes one; those not named stay.
        """
        profile = self._store.profile

        def changes(connection: Connection, owner: Owner) -> dict[str, Any]:
            kind = policy.owner_kind(profile, owner.kind)
            wanted: dict[str, Any] = {}
            if name is not None:
                wanted["name"] = checked_text("name", name) if name else None
            if plan is not None:
                wanted["plan"] = policy.plan(profile, plan) if plan else None
            if parent is not None:
                above = owners.get(connection, parent, lock=True) if parent else None
                policy.parent(profile, kind, above)
                if above and owner.id in {one.id for one in owners.with_ancestors(connection, above.handle)}:
                    raise Refused(f"{above.handle} is a descendant of {owner.handle}: it cannot be its parent")
                wanted["parent_id"] = above.id if above else None
            if attributes:
                wanted["attributes"] = policy.attributes(kind, attributes, owner.attributes)
            if "plan" in wanted or "attributes" in wanted:
                policy.owner_limits(profile, wanted.get("plan", owner.plan), wanted.get("attributes", owner.attributes))
            return wanted

        return self._change(handle, "owner.updated", changes, reason=reason, dry_run=dry_run)

    def disable(self, handle: str, *, reason: str | None = None, dry_run: bool = False) -> OwnerChange:
        """Suspend the keys of an owner and of all its descendants, until it is enabled again."""
        return self._change(
            handle,
            "owner.disabled",
            lambda _, owner: {"disabled_at": self._clock()} if owner.active else {},
            with_reach=True,
            reason=reason,
            dry_run=dry_run,
        )

    def enable(self, handle: str, *, reason: str | None = None, dry_run: bool = False) -> OwnerChange:
        """Enable a disabled owner."""
        return self._change(
            handle,
            "owner.enabled",
            lambda *_: {"disabled_at": None},
            with_reach=True,
            reason=reason,
            dry_run=dry_run,
        )

    def _change(
        self,
        handle: str,
        action: str,
        changes: Callable[[Connection, Owner], Mapping[str, Any]],
        *,
        with_reach: bool = False,
        reason: str | None,
        dry_run: bool,
    ) -> OwnerChange:
        def work(connection: Connection) -> OwnerChange:
            owner = owners.get(connection, handle, lock=True)
            wanted = changes(connection, owner)
            changed = {name: value for name, value in wanted.items() if getattr(owner, name) != value}
            if not changed:
                return OwnerChange(owner, changed=False)
            now = self._clock()
            reached = of_owner(connection, owner, now=now) if with_reach else NO_REACH
            owners.set_columns(connection, owner.id, **changed)
            detail = {"owner": owner_entry(owner, changed)}
            events.append(connection, EventContent(now, self._actor, action, reason, detail))
            return OwnerChange(replace(owner, **changed), changed=True, reach=reached)

        return self._store.write(work, dry_run=dry_run)


def imagine_owner(profile: Profile, new: NewOwner, *, actor: Actor, now: datetime, above: Owner | None = None) -> Owner:
    """Check a new owner against the profile; return it without an id. Raises UsageError or Refused."""
    kind = policy.owner_kind(profile, new.kind)
    policy.parent(profile, kind, above)
    plan, attributes = policy.plan(profile, new.plan), policy.attributes(kind, new.attributes)
    policy.owner_limits(profile, plan, attributes)
    return Owner(
        id="",
        handle=policy.handle(new.handle),
        name=checked_text("name", new.name) if new.name else None,
        kind=kind.name,
        parent_id=above.id if above else None,
        plan=plan,
        attributes=attributes,
        created_at=now,
        created_by=str(actor),
    )


def create_owner(
    connection: Connection, profile: Profile, new: NewOwner, *, actor: Actor, now: datetime, reason: str | None
) -> Owner:
    """Add an owner and its event in the caller's transaction."""
    above = owners.get(connection, new.parent) if new.parent else None
    imagined = imagine_owner(profile, new, actor=actor, now=now, above=above)
    owner = replace(imagined, id=counters.new_ids(connection, "owner", profile.owner_ids, now=now)[0])
    owners.add(connection, owner)
    detail = {"owner": new_owner_entry(owner)}
    events.append(connection, EventContent(now, actor, "owner.added", reason, detail))
    return owner
