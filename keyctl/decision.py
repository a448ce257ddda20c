"""The whole law of verification, once a secret is proven: pure, and in one place.

What comes before (shape, checksum, look-up, secret) is the verifier's; it answers with the same codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from keyctl.models import KeyRecord, Owner
from keyctl.profiles.model import Profile
from keyctl.times import format_time


class Code(StrEnum):
    """The canonical answers. Names are public: add to them, never rename them."""

    VALID = "VALID"
    MISSING_API_KEY = "MISSING_API_KEY"
    INVALID_API_KEY = "INVALID_API_KEY"
    KEY_REVOKED = "KEY_REVOKED"
    KEY_EXPIRED = "KEY_EXPIRED"
    KEY_LOCKED = "KEY_LOCKED"
    OWNER_INACTIVE = "OWNER_INACTIVE"
    FORBIDDEN_SCOPE = "FORBIDDEN_SCOPE"
    FORBIDDEN_IP = "FORBIDDEN_IP"
    FORBIDDEN_ENVIRONMENT = "FORBIDDEN_ENVIRONMENT"
    FORBIDDEN_OWNER = "FORBIDDEN_OWNER"

    @property
    def exit_code(self) -> int:
        return _EXIT_AND_STATUS[self][0]

    @property
    def http_status(self) -> int:
        return _EXIT_AND_STATUS[self][1]


_EXIT_AND_STATUS = {
    Code.VALID: (0, 200),
    Code.MISSING_API_KEY: (10, 401),
    Code.INVALID_API_KEY: (11, 401),
    Code.KEY_REVOKED: (12, 401),
    Code.KEY_EXPIRED: (13, 401),
    Code.KEY_LOCKED: (14, 403),
    Code.OWNER_INACTIVE: (15, 403),
    Code.FORBIDDEN_SCOPE: (16, 403),
    Code.FORBIDDEN_IP: (17, 403),
    Code.FORBIDDEN_ENVIRONMENT: (18, 403),
    Code.FORBIDDEN_OWNER: (24, 403),
}


@dataclass(frozen=True)
class Request:
    """What the key is asked to open. What is None or empty is not asked."""

    scopes: tuple[str, ...] = ()
    environment: str | None = None
    ip: str | None = None
    resource_owner: str | None = None


@dataclass(frozen=True)
class Decision:
    """The answer of a verification. Falsy unless the key is allowed, so that `if decision:` fails closed.

    `reason` is for the operator, never for the API's caller. `record` is None unless the secret was proven.
    """

    code: Code
    reason: str | None = None
    record: KeyRecord | None = None

    def __bool__(self) -> bool:
        return self.code is Code.VALID


def decide(
    profile: Profile,
    record: KeyRecord,
    request: Request,
    *,
    now: datetime,
    resource_owners: tuple[Owner, ...] = (),
) -> Decision:
    """Judge a key whose secret is proven. The first rule that refuses is the answer.

    `resource_owners` is the owner that `request.resource_owner` names with those above it; empty if there is none.
    """
    key = record.key

    def refuse(code: Code, reason: str) -> Decision:
        return Decision(code, reason, record)

    if key.revoked_at is not None:
        because = f": {key.revoked_reason}" if key.revoked_reason else ""
        return refuse(Code.KEY_REVOKED, f"revoked at {format_time(key.revoked_at)}{because}")
    if key.expires_at is not None and key.expired(now):
        return refuse(Code.KEY_EXPIRED, f"expired at {format_time(key.expires_at)}")
    if key.locked(now):
        until = f"until {format_time(key.locked_until)}" if key.locked_until else "until it is unlocked"
        return refuse(Code.KEY_LOCKED, f"locked {until}")
    if record.inactive_owner:
        return refuse(Code.OWNER_INACTIVE, f"owner {record.inactive_owner.handle} is disabled")
    if request.environment is not None and request.environment != key.environment:
        return refuse(Code.FORBIDDEN_ENVIRONMENT, f"the key is for {key.environment}, not {request.environment}")
    in_force = scopes_in_force(profile, key.scopes, record.owner)
    if profile.scopes.required and not in_force:
        return refuse(Code.INVALID_API_KEY, "no recognised scope")
    if key.allowed_ips and not _within(request.ip, key.allowed_ips):
        return refuse(Code.FORBIDDEN_IP, f"{request.ip} is not allowed" if request.ip else "no address was given")
    if request.resource_owner is not None and not _owner_reached(profile, record, resource_owners):
        return refuse(Code.FORBIDDEN_OWNER, f"the key does not reach what belongs to {request.resource_owner}")
    for scope in request.scopes:
        if scope not in in_force:
            return refuse(Code.FORBIDDEN_SCOPE, f"missing scope {scope}")
    return Decision(Code.VALID, None, record)


def scopes_in_force(profile: Profile, scopes: Iterable[str], owner: Owner | None) -> tuple[str, ...]:
    """Return the scopes that count now: the key's and what they imply, as far as the owner's kind and plan allow.

    The key's own come first, in their order. Scopes that the profile no longer lists do not count.
    """
    catalogue = profile.scopes.catalogue
    kind, plan = (owner.kind, owner.plan) if owner else (None, None)
    in_force = dict.fromkeys(
        scope for scope in scopes if scope in catalogue and catalogue[scope].available_to(kind, plan)
    )
    unexplored = list(in_force)
    while unexplored:
        for glob in catalogue[unexplored.pop(0)].implies:
            for name, scope in catalogue.items():
                if name not in in_force and fnmatchcase(name, glob) and scope.available_to(kind, plan):
                    in_force[name] = None
                    unexplored.append(name)
    return tuple(in_force)


def _within(ip: str | None, networks: tuple[str, ...]) -> bool:
    if ip is None:
        return False
    from keyctl.networks import contain  # noqa: PLC0415 - only keys with an allow list pay for it

    return contain(networks, ip)


def _owner_reached(profile: Profile, record: KeyRecord, resource_owners: tuple[Owner, ...]) -> bool:
    if record.owner is None or not resource_owners:
        return False
    within = resource_owners if profile.owners.isolation == "subtree" else resource_owners[:1]
    return any(owner.id == record.owner.id for owner in within)
