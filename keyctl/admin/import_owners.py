"""The owners of keys that are imported: those of the store, and new ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from keyctl import policy
from keyctl.admin.owners import NewOwner, imagine_owner
from keyctl.audit import new_owner_entry
from keyctl.errors import Refused
from keyctl.exchange.records import OwnerLine
from keyctl.models import Actor, EventContent, Owner
from keyctl.store import counters, events, owners
from keyctl.store.database import Connection, Store

_MOST_REMEMBERED = 20_000


class ImportedOwners:
    """Finds owners by handle; new ones are imagined first, and created when the keys are.

    `create`: an owner that is not known is a new one.
    """

    def __init__(self, store: Store, actor: Actor, now: datetime, *, create: bool) -> None:
        self._store = store
        self._actor = actor
        self._now = now
        self._create = create
        self._known: dict[str, Owner] = {}
        self.new: dict[str, tuple[Owner, str | None]] = {}  # in order, each with the handle of its parent

    def add(self, line: OwnerLine) -> None:
        """Take an owner of a line. One that the store has stays as it is. Raises ValueError, UsageError or Refused."""
        if line.handle in self.new:
            raise ValueError(f"the owner {line.handle} is there twice")
        self.look_up([line.handle, *([line.parent] if line.parent else [])])
        if line.handle in self._known:
            return
        above = self.find(line.parent) if line.parent is not None else None
        profile = self._store.profile
        kind = policy.owner_kind(profile, line.kind)
        pairs = [f"{name}={_text(value)}" for name, value in line.attributes.items()]
        attributes = policy.attributes(kind, pairs, {})
        if attributes != line.attributes:
            raise ValueError("attributes have a value of another type than the profile says")
        policy.owner_limits(profile, line.plan, attributes)
        imagined = imagine_owner(
            profile,
            NewOwner(line.handle, kind=kind.name, name=line.name, plan=line.plan, attributes=pairs),
            actor=self._actor,
            now=self._now,
            above=above,
        )
        made = replace(
            imagined,
            attributes=attributes,
            plan=line.plan,
            created_at=line.created_at,
            disabled_at=line.disabled_at,
        )
        self.new[line.handle] = (made, line.parent)

    def look_up(self, handles: Iterable[str]) -> None:
        """Read owners of the store, before they are found."""
        missing = [one for one in dict.fromkeys(handles) if one not in self._known and one not in self.new]
        if len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        with self._store.read() as connection:
            self._known |= owners.by_handles(connection, missing)

    def find(self, handle: str) -> Owner:
        """Return an owner that was looked up, or a new one. Raises ValueError."""
        if handle in self._known:
            return self._known[handle]
        if handle not in self.new:
            if not self._create:
                raise ValueError(f'there is no owner "{handle}": add it, or give --create-owner')
            profile = self._store.profile
            self.new[handle] = (imagine_owner(profile, NewOwner(handle), actor=self._actor, now=self._now), None)
        return self.new[handle][0]

    def create(self, connection: Connection, *, reason: str | None) -> int:
        """Add the new owners with their events, in the caller's transaction; return how many."""
        ids: dict[str, str] = {}
        for handle, (imagined, parent) in self.new.items():
            if owners.find(connection, handle):
                raise Refused(f'another process added the owner "{handle}"', hint="retry the command")
            parent_id = None
            if parent is not None:
                parent_id = ids.get(parent) or owners.get(connection, parent).id
            new_id = counters.new_ids(connection, "owner", self._store.profile.owner_ids, now=self._now)[0]
            made = replace(imagined, id=new_id, parent_id=parent_id)
            ids[handle] = made.id
            owners.add(connection, made)
            detail = {"owner": new_owner_entry(made)}
            events.append(connection, EventContent(self._now, self._actor, "owner.added", reason, detail))
        return len(ids)

    def ids(self, connection: Connection, handles: set[str]) -> dict[str, str]:
        """Return the ids of owners by handle, in the caller's transaction. Raises Refused if one is gone."""
        found = {handle: owner.id for handle, owner in owners.by_handles(connection, sorted(handles)).items()}
        if missing := handles - found.keys():
            raise Refused(f'the owner "{min(missing)}" was changed by another process', hint="retry the command")
        return found


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
