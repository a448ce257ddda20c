"""Compares a description with what a store has: which steps lead from one to the other. Pure.

A key is identified by its name within its owner and environment. Only live keys count: not revoked, not expired, not
replaced by a successor, and delivered. A new one whose delivery is not recorded may still be on its way, for a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from keyctl import policy
from keyctl.desired.description import DescribedKey, DescribedOwner, Description
from keyctl.errors import Refused, UsageError
from keyctl.models import Key, Owner
from keyctl.profiles.model import Profile
from keyctl.times import NEVER, format_time

DELIVERY_TIME = timedelta(minutes=10)  # after which a key that was not delivered is one of a run that was killed

Identity = tuple[str | None, str, str | None]  # owner's handle, environment, name


@dataclass(frozen=True)
class Existing:
    """What a store has: all owners, and the keys that are neither revoked nor expired."""

    owners: tuple[Owner, ...]
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Difference:
    """One field, before and after. None is no value."""

    field: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class OwnerStep:
    """An owner to be added, or changed if it is there."""

    described: DescribedOwner
    differences: tuple[Difference, ...]
    added: bool


@dataclass(frozen=True)
class KeyStep:
    """A key to be minted, or changed if `prefix` names one. `owner` and `environment` are those in force."""

    described: DescribedKey
    owner: str | None
    environment: str
    differences: tuple[Difference, ...]
    key_id: str | None = None
    prefix: str | None = None
    others: frozenset[str] = frozenset()  # ids of live keys of this identity that do not count


@dataclass(frozen=True)
class Revocation:
    """A key that is not described."""

    key_id: str
    prefix: str
    name: str | None
    owner: str | None
    environment: str


@dataclass(frozen=True)
class Plan:
    """The steps, in the order in which they are taken, and what else was found.

    `undescribed` are live keys that the file does not describe; they are revoked only if `prune` is true. `expired` are
    described keys that have expired at the time that is described: nothing is to be done. `faults` are of the
    description, `conflicts` of the keys in the store: with either, the steps are incomplete.
    """

    owners: tuple[OwnerStep, ...] = ()
    changes: tuple[KeyStep, ...] = ()
    new_keys: tuple[KeyStep, ...] = ()
    undescribed: tuple[Revocation, ...] = ()
    prune: bool = False
    expired: tuple[DescribedKey, ...] = ()
    undescribed_owners: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    @property
    def revocations(self) -> tuple[Revocation, ...]:
        return self.undescribed if self.prune else ()

    @property
    def size(self) -> int:
        """The number of steps."""
        return len(self.owners) + len(self.changes) + len(self.new_keys) + len(self.revocations)


def make_plan(
    profile: Profile, description: Description, existing: Existing, *, now: datetime, prune: bool = False
) -> Plan:
    """Return the steps, and everything that is wrong."""
    faults = list(description.faults)
    owners = _Owners(profile, description, existing, faults)
    keys = _Keys(profile, existing, owners, now, faults)
    owner_steps = owners.steps()
    for described in description.keys:
        keys.compare(described)
    named = {owner.handle for owner in description.owners} | {
        key.owner or profile.default_owner for key in description.keys
    }
    return Plan(
        owners=tuple(owner_steps),
        changes=tuple(keys.changes),
        new_keys=tuple(keys.new),
        undescribed=tuple(keys.undescribed()),
        prune=prune,
        expired=tuple(keys.expired),
        undescribed_owners=tuple(owner.handle for owner in existing.owners if owner.handle not in named),
        faults=tuple(faults),
        conflicts=tuple(keys.conflicts),
    )


class _Owners:
    def __init__(self, profile: Profile, description: Description, existing: Existing, faults: list[str]) -> None:
        self._profile = profile
        self._faults = faults
        self._existing = {owner.handle: owner for owner in existing.owners}
        self._handles = {owner.id: owner.handle for owner in existing.owners}
        self._described = {owner.handle: owner for owner in reversed(description.owners)}

    def __contains__(self, handle: str) -> bool:
        return handle in self._described or handle in self._existing

    def steps(self) -> list[OwnerStep]:
        """Return the steps for owners: parents before their children."""
        found = []
        for handle in self._parents_first():
            described = self._described[handle]
            owner = self._existing.get(handle)
            if described.parent and described.parent not in self:
                self._faults.append(f'{described.path}.parent: no owner "{described.parent}" here or in the store')
            with collected(self._faults, described.path):
                differences = tuple(self._changed(described, owner) if owner else self._new(described))
                if differences or owner is None:
                    found.append(OwnerStep(described, differences, added=owner is None))
        return found

    def _parents_first(self) -> Iterator[str]:
        done: set[str] = set()
        for handle in reversed(self._described):
            branch: list[str] = []
            at: str | None = handle
            while at and at in self._described and at not in done and at not in branch:
                branch.append(at)
                at = self._described[at].parent
            if at in branch:
                self._faults.append(f"{self._described[handle].path}.parent: {at} would be its own ancestor")
            done.update(branch)
            yield from reversed(branch)

    def _new(self, described: DescribedOwner) -> Iterator[Difference]:
        profile = self._profile
        kind = policy.owner_kind(profile, described.kind)
        attributes = policy.attributes(kind, pairs(described.attributes, empty=False))
        yield Difference("kind", None, kind.name)
        for name, value in (
            ("name", described.name),
            ("parent", described.parent),
            ("plan", policy.plan(profile, described.plan or None)),
        ):
            if value:
                yield Difference(name, None, value)
        for name, value in attributes.items():
            yield Difference(f"attributes.{name}", None, _shown(value))
        if described.disabled:
            yield Difference("disabled", None, "true")

    def _changed(self, described: DescribedOwner, owner: Owner) -> Iterator[Difference]:
        if described.kind not in (None, owner.kind):
            raise Refused(f'the owner {owner.handle} exists, and its kind is "{owner.kind}": a kind cannot be changed')
        parent = self._handles.get(owner.parent_id) if owner.parent_id else None
        if described.plan:
            policy.plan(self._profile, described.plan)
        for name, old, new in (
            ("name", owner.name, described.name),
            ("parent", parent, described.parent),
            ("plan", owner.plan, described.plan),
        ):
            if new is not None and (new or None) != old:
                yield Difference(name, old, new or None)
        if described.attributes:
            kind = policy.owner_kind(self._profile, owner.kind)
            wanted = policy.attributes(kind, pairs(described.attributes), owner.attributes)
            for name in described.attributes:
                if wanted.get(name) != owner.attributes.get(name):
                    yield Difference(f"attributes.{name}", _shown(owner.attributes.get(name)), _shown(wanted.get(name)))
        if described.disabled is not None and described.disabled == owner.active:
            yield Difference("disabled", _shown(not owner.active), _shown(described.disabled))


class _Keys:
    def __init__(self, profile: Profile, existing: Existing, owners: _Owners, now: datetime, faults: list[str]) -> None:
        self._profile = profile
        self._owners = owners
        self._now = now
        self._faults = faults
        self._live = existing.keys
        handles = {owner.id: owner.handle for owner in existing.owners}
        self._handles = {key.id: handles[key.owner_id] if key.owner_id else None for key in existing.keys}
        self._current: defaultdict[Identity, list[Key]] = defaultdict(list)
        self._of_identity: defaultdict[Identity, list[Key]] = defaultdict(list)
        for key in existing.keys:
            identity = (self._handles[key.id], key.environment, key.name)
            self._of_identity[identity].append(key)
            if is_current(key):
                self._current[identity].append(key)
        self._seen: dict[Identity, str] = {}
        self._described: set[str] = set()  # lineages
        self.changes: list[KeyStep] = []
        self.new: list[KeyStep] = []
        self.expired: list[DescribedKey] = []
        self.conflicts: list[str] = []

    def compare(self, described: DescribedKey) -> None:
        path, profile = described.path, self._profile
        owner = described.owner or profile.default_owner
        if owner is None and profile.owners.required:
            self._faults.append(f'{path}: a key needs an owner in profile "{profile.name}"')
        if owner is not None and owner not in self._owners and described.owner:
            self._faults.append(f'{path}.owner: no owner "{owner}" here or in the store')
        environment = self._environment(described)
        with collected(self._faults, f"{path}.scopes"):
            policy.known_scopes(profile, described.scopes or ())
        if environment is None or not described.name:
            return
        identity = (owner, environment, described.name)
        if identity in self._seen:
            self._faults.append(f"{path}: {name_of(*identity)} is described in {self._seen[identity]} already")
            return
        self._seen[identity] = path
        keys = self._current[identity]
        self._described.update(key.lineage for key in keys)
        if len(keys) > 1:
            prefixes = ", ".join(key.prefix for key in keys[:5])
            self.conflicts.append(f"{path}: {len(keys)} live keys are called {name_of(*identity)}: {prefixes}")
        elif keys:
            self._compare(described, owner, keys[0])
        elif pending := [key for key in self._of_identity[identity] if self._is_pending(key)]:
            self.conflicts.append(
                f"{path}: {pending[0].prefix} is being delivered as {name_of(*identity)} by another process, "
                f"or that was killed: retry later, or: keyctl revoke {pending[0].prefix}"
            )
        elif described.expires and described.expires.at and described.expires.at <= self._now:
            self.expired.append(described)
        else:
            others = frozenset(key.id for key in self._of_identity[identity])
            self.new.append(KeyStep(described, owner, environment, tuple(_of_new(described)), others=others))

    def _is_pending(self, key: Key) -> bool:
        return key.delivered_at is None and key.replaces is None and self._now - key.created_at < DELIVERY_TIME

    def _environment(self, described: DescribedKey) -> str | None:
        try:
            return policy.environment(self._profile, described.environment)
        except UsageError as error:
            self._faults.append(f"{described.path}.environment: {error.message}")
            return None

    def _compare(self, described: DescribedKey, owner: str | None, key: Key) -> None:
        differences = tuple(self._changed(described, key))
        if differences:
            self.changes.append(KeyStep(described, owner, key.environment, differences, key.id, key.prefix))

    def _changed(self, described: DescribedKey, key: Key) -> Iterator[Difference]:
        if described.scopes is not None and described.scopes != key.scopes:
            yield Difference("scopes", _shown(key.scopes), _shown(described.scopes))
        if described.expires is not None:
            moment = described.expires.moment(key.created_at)
            if moment != key.expires_at:
                if moment is not None and moment <= self._now:
                    self._faults.append(
                        f"{described.path}.expires: {format_time(moment)} is in the past, and {key.prefix} is valid"
                    )
                yield Difference("expires", _time(key.expires_at), _time(moment))
        if described.allowed_ips is not None and described.allowed_ips != key.allowed_ips:
            yield Difference("allowed_ips", _networks(key.allowed_ips), _networks(described.allowed_ips))
        for name, value in described.metadata.items():
            if (value or None) != key.metadata.get(name):
                yield Difference(f"metadata.{name}", key.metadata.get(name), value or None)
        if described.locked is not None and described.locked != key.locked(self._now):
            yield Difference("locked", _shown(key.locked(self._now)), _shown(described.locked))

    def undescribed(self) -> Iterator[Revocation]:
        """Yield the keys that are not described. What a described key was rotated from ends by itself."""
        for key in self._live:
            if key.lineage not in self._described:
                yield Revocation(key.id, key.prefix, key.name, self._handles[key.id], key.environment)


def is_current(key: Key) -> bool:
    """Return whether a live key is the one of its name: it has no successor, and was delivered."""
    return key.replaced_by is None and key.delivered_at is not None


def name_of(owner: str | None, environment: str, name: str | None) -> str:
    """Return the identity of a key, for people."""
    return f"{f'{owner}/' if owner else ''}{name or '(no name)'} ({environment})"


@contextmanager
def collected(faults: list[str], path: str) -> Iterator[None]:
    """Collect an error about what is at a path, in place of raising it."""
    try:
        yield
    except (UsageError, Refused) as error:
        hint = f": {error.hint}" if error.hint and error.hint.startswith("did you mean") else ""
        faults.append(f"{path}: {error.message}{hint}")


def _of_new(described: DescribedKey) -> Iterator[Difference]:
    if described.scopes is not None:
        yield Difference("scopes", None, _shown(described.scopes))
    if described.expires is not None:
        after = described.expires
        yield Difference("expires", None, _time(after.at) if after.lifetime is None else f"after {after.text}")
    if described.allowed_ips:
        yield Difference("allowed_ips", None, _networks(described.allowed_ips))
    for name, value in described.metadata.items():
        if value:
            yield Difference(f"metadata.{name}", None, value)
    if described.locked:
        yield Difference("locked", None, "true")


def pairs(values: Mapping[str, str], *, empty: bool = True) -> list[str]:
    """Return `NAME=VALUE` texts; without `empty`, those that have a value."""
    return [f"{name}={value}" for name, value in values.items() if value or empty]


def _time(moment: datetime | None) -> str:
    return format_time(moment) if moment else NEVER


def _networks(networks: Sequence[str]) -> str:
    return ", ".join(networks) or "any"


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) or not isinstance(value, Sequence):
        return str(value)
    return ", ".join(map(str, value)) or "none"
