"""Rate limits: how a profile and people write them, and the rules for their enforcement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from keyctl.errors import UsageError
from keyctl.profiles.reader import Table
from keyctl.text import brief
from keyctl.times import format_duration, parse_duration

if TYPE_CHECKING:
    from keyctl.profiles.model import Profile

_LIMIT = re.compile(r"([1-9][0-9]{0,11})/(.+)", re.ASCII)
_MOST_REQUESTS = 999_999_999_999  # as many as _LIMIT reads; a limiter's server writes 10**14 as 1e+14
LIMIT_HEADERS: Mapping[str, tuple[str, ...]] = {
    "x-ratelimit": ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    "ratelimit": ("RateLimit-Policy", "RateLimit"),
}


class Limit(NamedTuple):
    """A rate limit: a maximum of requests in any span of time of a length, which is whole seconds.

    Attributes:
        requests: How many requests are allowed, 1 or more.
        per: In which time.
    """

    requests: int
    per: timedelta


@lru_cache(maxsize=1024)  # read again for each request of an owner with limits of its own
def parse_limit(text: str) -> Limit:
    """Read a rate limit as people write it: `5000/1h`. Raises UsageError."""
    match = _LIMIT.fullmatch(text)
    per = parse_duration(match[2]) if match else None
    if not match or not per:
        raise UsageError(f'"{brief(text)}" is not a rate limit', hint="give requests and a duration: 5000/1h")
    return Limit(int(match[1]), per)


def parse_limits(texts: Iterable[str]) -> tuple[Limit, ...]:
    """Read rate limits. Raises UsageError, also for two limits for the same time: one of them would have no effect."""
    limits = tuple(map(parse_limit, texts))
    if (twice := _time_of_two(limits)) is not None:
        raise UsageError(
            f"two rate limits are for the same time, {format_duration(twice)}", hint="give the smaller one"
        )
    return limits


class LimitRules(NamedTuple):
    """How rate limits are enforced, where there is a limiter.

    `subject` is `key` or `owner`: whose requests are counted together. `on_failure` is `refuse` or `allow`: what
    happens when they cannot be counted. `headers` are keys of LIMIT_HEADERS. `required`: a key without limits is
    refused.
    """

    subject: str = "owner"
    on_failure: str = "refuse"
    headers: tuple[str, ...] = ()
    required: bool = False


def read_limits(plan: Table) -> tuple[Limit, ...]:
    """Read the limits of a plan."""
    limits = []
    for limit in plan.array("limits"):
        per = limit.duration("per", "1h")
        if not per:
            limit.fault("per", "must be greater than zero")
        limits.append(Limit(limit.integer("requests", minimum=1, maximum=_MOST_REQUESTS), per or timedelta(hours=1)))
        limit.finish()
    if (twice := _time_of_two(limits)) is not None:
        plan.fault("limits", f"has two for the same time, {format_duration(twice)}")
    return tuple(limits)


def read_limit_rules(root: Table) -> LimitRules:
    """Read how limits are enforced."""
    table = root.table("limits")
    rules = LimitRules(
        subject=table.text("count", "owner", choices=("owner", "key")),
        on_failure=table.text("on_failure", "refuse", choices=("refuse", "allow")),
        headers=table.texts("headers"),
        required=table.boolean("required", default=False),
    )
    for name in rules.headers:
        if name not in LIMIT_HEADERS:
            known = ", ".join(LIMIT_HEADERS)
            table.fault("headers", f'"{name[:40]}" is not one of {known}{table.suggest(name, LIMIT_HEADERS)}')
    table.finish()
    return rules


def check_owners_limits(root: Table, profile: Profile) -> None:
    """Report plans whose limits no owner can have, and an attribute `limits` of another type."""
    kinds = profile.owners.kinds.values()
    if not any("limits" in kind.attributes for kind in kinds):
        for plan in profile.plans.values():
            if plan.limits_from == "owner":
                root.fault(("plans", plan.name, "limits_from"), "needs owners with an attribute named limits")
    for kind in kinds:
        if "limits" in kind.attributes and kind.attributes["limits"].type != "limits":
            root.fault(("owners", "kinds", kind.name, "attributes", "limits"), "is not of type limits")


def check_limit_rules(root: Table, profile: Profile) -> None:
    """Report rules for limits that a key can escape, or that no key would ever meet."""
    plans = profile.plans.values()
    without = [plan.name for plan in plans if not plan.limits and plan.limits_from == "plan"]
    if "limits" in root and len(without) == len(plans):
        root.fault("limits", "is there, and no plan has limits")
    if not profile.limits.required:
        return
    for name in without:
        root.fault(("plans", name), "has no limits, and limits.required is true")
    if not profile.owners.required:
        root.fault(("limits", "required"), "needs owners.required: a key without an owner has no limits")
    if any(plan.limits_from == "owner" for plan in plans):
        for kind in profile.owners.kinds.values():
            if "limits" in kind.attributes and not kind.attributes["limits"].bundle:
                path = ("owners", "kinds", kind.name, "attributes", "limits", "bundle")
                root.fault(path, "must be true, since limits.required is: a bundle would be without them")


def _time_of_two(limits: Iterable[Limit]) -> timedelta | None:
    """Return the time that two of the limits are for; None if there are no such two."""
    seen: set[timedelta] = set()
    for limit in limits:
        if limit.per in seen:
            return limit.per
        seen.add(limit.per)
    return None
