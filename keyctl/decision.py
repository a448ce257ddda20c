"""The conditions that a key itself must meet once its secret is verified: pure, and in one place.

What comes before (shape, checksum, look-up, secret) and after (a route for the request, rate limits) is the verifier's;
it answers with the same codes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

from keyctl.answer import Answer
from keyctl.codes import Code
from keyctl.errors import StoreUnavailable, UsageError
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.limits import Limit, parse_limit
from keyctl.profiles.model import Profile
from keyctl.times import format_time

__all__ = ["Decision", "LimitState", "Request"]


@dataclass(frozen=True)
class Request:
    """What a key must permit. What is None, and no scopes, is not checked.

    Attributes:
        scopes: Scopes that must all be in force; `read|write` requires one of the two.
        environment: The environment that the key must be for.
        ip: The caller's address. A key with allowed networks is refused without one.
        resource_owner: The handle of the owner of the requested resource, which the key's owner must reach.
    """

    scopes: tuple[str, ...] = ()
    environment: str | None = None
    ip: str | None = None
    resource_owner: str | None = None


class Platform(Protocol):
    """How the profile in force answers over HTTP."""

    def response(self, decision: Decision) -> Answer: ...

    def identity(self, decision: Decision) -> Mapping[str, str]: ...


class LimitState(NamedTuple):
    """A rate limit of a key, and how much of it is left.

    Attributes:
        limit: The requests that are allowed in a time: `limit.requests`, `limit.per`.
        remaining: How many of them are left, 0 or more.
        reset_seconds: Seconds until there are more: until the oldest request is older than `limit.per`, or, where this
            limit refuses the request, until it would allow it. 0 if none was made in that time.
        exceeded: Whether this limit refuses the request.
    """

    limit: Limit
    remaining: int
    reset_seconds: float
    exceeded: bool = False


@dataclass(frozen=True)
class Decision:
    """The answer of a verification. Falsy unless the key is allowed, so that `if decision:` fails closed.

    Attributes:
        code: The answer, with its HTTP status.
        reason: Why, for the operator's log; never for the caller of the API.
        record: The key (`record.key`) and its owner (`record.owner`); None unless the secret was verified.
        missing_scope: The first scope that is required and not in force.
        origin: The `Origin` of an HTTP request.
        preflight: Whether the request was a browser's CORS preflight, which carries no key.
        limits: The rate limits of the key and what is left of them; empty without a limiter.
        platform: The profile that was in force. Private.
    """

    code: Code
    reason: str | None = None
    record: KeyRecord | None = None
    missing_scope: str | None = None
    origin: str | None = None
    preflight: bool = False
    limits: tuple[LimitState, ...] = ()
    platform: Platform | None = field(default=None, repr=False, compare=False)

    @classmethod
    def without_reason(cls, code: Code, record: KeyRecord, platform: Platform | None) -> Decision:
        """Return Decision(code, None, record, platform=platform). Private."""
        # A frozen dataclass sets its fields one by one, through object.__setattr__. To set them all at once is the
        # same, and every answer does it (tests/benchmarks, "Verifier, the same key again").
        decision = object.__new__(cls)
        object.__setattr__(decision, "__dict__", {**_DEFAULTS, "code": code, "record": record, "platform": platform})
        return decision

    def __bool__(self) -> bool:
        return self.code is Code.VALID

    def response(self) -> Answer:
        """Return the HTTP response that the platform's profile has for this decision. It has no reason in it.

        Returns:
            The status, headers and body of a refusal. Of an allowed request, the headers that the application's own
            response must have besides its own (rate limits, CORS); or the whole response to a preflight.

        Raises:
            ProfileInvalid: The profile has faults in its rules for HTTP.
        """
        return self._platform().response(self)

    @property
    def identity(self) -> Mapping[str, str]:
        """The headers that the profile adds to an allowed request (`http.identity`); empty for a refusal."""
        return self._platform().identity(self)

    def _platform(self) -> Platform:
        if self.platform is None:
            raise ValueError("only the decisions of a Verifier have responses")
        return self.platform


_DEFAULTS = vars(Decision(Code.VALID))


def check_cost(cost: object) -> None:
    """Raise UsageError unless this is how many requests one may count as."""
    if type(cost) is not int or cost < 1:
        raise UsageError(f"the cost of a request must be a whole number of 1 or more, not {cost!r}")


def decide(
    profile: Profile,
    record: KeyRecord,
    request: Request,
    *,
    now: datetime,
    resource_owners: tuple[Owner, ...] = (),
    in_force: Collection[str] | None = None,
    platform: Platform | None = None,
) -> Decision:
    """Decide about a key whose secret was verified. The first condition that fails is the answer.

    `resource_owners` is the owner that `request.resource_owner` names with those above it; empty if there is none.
    `in_force` is the result of `scopes_in_force`, where it is known already.
    """
    key = record.key

    def refuse(code: Code, reason: str) -> Decision:
        return Decision(code, reason, record, platform=platform)

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
    if in_force is None:
        in_force = scopes_in_force(profile, key.scopes, record.owner)
    if profile.scopes.required and not in_force:
        return refuse(Code.INVALID_API_KEY, "no recognised scope")
    if key.allowed_ips and not _within(request.ip, key.allowed_ips):
        return refuse(Code.FORBIDDEN_IP, f"{request.ip} is not allowed" if request.ip else "no address was given")
    if request.resource_owner is not None and not _owner_reached(profile, record, resource_owners):
        return refuse(Code.FORBIDDEN_OWNER, f"the key does not reach what belongs to {request.resource_owner}")
    if request.scopes and (missing := missing_scope(request.scopes, in_force)):
        return Decision(Code.FORBIDDEN_SCOPE, missing.reason, record, missing.scope, platform=platform)
    return Decision.without_reason(Code.VALID, record, platform)


class MissingScope(NamedTuple):
    """A scope that is required and not in force: of a choice, the first one. `reason` names all of them."""

    scope: str
    reason: str


def missing_scope(required: Iterable[str], in_force: Collection[str]) -> MissingScope | None:
    """Return the first of the required scopes that is not in force; None if all are. `read|write` is a choice."""
    for scope in required:
        either = scope.split("|")
        if not any(one in in_force for one in either):
            return MissingScope(either[0], f"missing scope {' or '.join(either)}")
    return None


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


def limits_in_force(profile: Profile, record: KeyRecord) -> tuple[Limit, ...]:
    """Return the rate limits of a key: its owner's plan's, or the owner's own (attribute `limits`: `5000/1h`).

    Raises StoreUnavailable if the owner's own cannot be read. They are checked when they are set, but the attribute may
    be one of an earlier profile, of another type, or altered outside keyctl.
    """
    owner = record.owner
    plan = profile.plans.get(owner.plan) if owner and owner.plan else None
    if owner is None or plan is None:
        return ()
    if plan.limits_from == "plan":
        return plan.limits
    texts = owner.attributes.get("limits", [])
    try:
        if not isinstance(texts, list):
            raise TypeError
        return tuple(map(parse_limit, texts))
    except (TypeError, UsageError):
        raise StoreUnavailable(
            f"the rate limits of owner {owner.handle} cannot be read",
            hint=f"keyctl owner update {owner.handle} --attr limits=5000/1h",
        ) from None


def _within(ip: str | None, networks: tuple[str, ...]) -> bool:
    if ip is None:
        return False
    from keyctl.networks import contain  # noqa: PLC0415 - only keys with an allow list need it

    return contain(networks, ip)


def _owner_reached(profile: Profile, record: KeyRecord, resource_owners: tuple[Owner, ...]) -> bool:
    if record.owner is None or not resource_owners:
        return False
    within = resource_owners if profile.owners.isolation == "subtree" else resource_owners[:1]
    return any(owner.id == record.owner.id for owner in within)
