"""What a store holds: keys, owners and events. Frozen; every time is an aware UTC datetime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

__all__ = ["Key", "KeyRecord", "Owner", "Status"]  # what is public


class Status(StrEnum):
    """The status of a key: the first that applies, in this order."""

    REVOKED = "revoked"
    EXPIRED = "expired"
    LOCKED = "locked"
    DISABLED = "disabled"
    RETIRING = "retiring"
    ACTIVE = "active"


@dataclass(frozen=True)
class Owner:
    """An owner of keys. Owners form a tree; a disabled one suspends its own keys and those of its descendants."""

    id: str
    handle: str
    name: str | None
    kind: str
    parent_id: str | None
    plan: str | None
    attributes: Mapping[str, Any]
    created_at: datetime
    created_by: str
    disabled_at: datetime | None = None

    @property
    def active(self) -> bool:
        return self.disabled_at is None


@dataclass(frozen=True)
class Key:
    """A key as it is stored, without its secret. `phc` is a hash of the whole key text, and is never shown either.

    `lineage` is the id of the first key of a chain of rotations, and its own id where it replaces none: what counts for
    a key and its successors together is counted by it.
    """

    id: str
    prefix: str
    phc: str = field(repr=False)
    name: str | None
    owner_id: str | None
    environment: str
    scopes: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    metadata: Mapping[str, str]
    created_at: datetime
    created_by: str
    lineage: str
    delivered_at: datetime | None = None
    expires_at: datetime | None = None
    locked_at: datetime | None = None
    locked_until: datetime | None = None
    revoked_at: datetime | None = None
    revoked_reason: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    last_used_at: datetime | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> Key:
        """Return Key(**values). All fields must be given; `values` belongs to the key from then on."""
        # A frozen dataclass sets its many fields one by one, through object.__setattr__. To set them all at once is
        # the same without slots, and every look-up does it (tests/benchmarks, "a look-up in the store").
        key = object.__new__(cls)
        object.__setattr__(key, "__dict__", values)
        return key

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at

    def locked(self, now: datetime) -> bool:
        """Whether the key is locked. A lock without an end lasts until the key is unlocked."""
        return self.locked_at is not None and (self.locked_until is None or now < self.locked_until)


class KeyRecord(NamedTuple):
    """A key with its owner and that owner's ancestors, nearest first; `owners` is empty if the key has none."""

    key: Key
    owners: tuple[Owner, ...] = ()

    @property
    def owner(self) -> Owner | None:
        return self.owners[0] if self.owners else None

    @property
    def inactive_owner(self) -> Owner | None:
        """The nearest owner that is disabled."""
        return next((owner for owner in self.owners if not owner.active), None)

    def status(self, now: datetime) -> Status:
        """Return the status of the key at a time, which the status of its owners is part of."""
        if self.key.revoked_at is not None:
            return Status.REVOKED
        if self.key.expired(now):
            return Status.EXPIRED
        if self.key.locked(now):
            return Status.LOCKED
        if self.inactive_owner is not None:
            return Status.DISABLED
        return Status.RETIRING if self.key.replaced_by else Status.ACTIVE


@dataclass(frozen=True)
class Actor:
    """Who makes a change: the operating system's user and host, and separately what `KEYCTL_ACTOR` claims."""

    user: str
    claimed: str | None = None

    def __str__(self) -> str:
        return f"{self.user} ({self.claimed})" if self.claimed else self.user


@dataclass(frozen=True)
class EventContent:
    """What an event of the audit log records. `detail` says what was set on which keys or owner."""

    at: datetime
    actor: Actor
    action: str
    reason: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Event(EventContent):
    """An event of the audit log. `seq` counts from 1; `hash` covers all other fields."""

    seq: int
    previous_hash: str
    hash: str
