"""The headers about rate limits: `X-RateLimit-…`, and those of the draft 11 of the IETF.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from keyctl.codes import Code
from keyctl.decision import Decision, LimitState, limits_in_force
from keyctl.profiles.limits import Limit
from keyctl.profiles.model import Profile
from keyctl.times import format_duration


def limit_headers(profile: Profile, decision: Decision) -> dict[str, str]:
    """Return the headers that the profile asks for, as far as their values are known, and `Retry-After` of a 429."""
    headers = {}
    if (seconds := retry_after(decision)) is not None:
        headers["Retry-After"] = str(seconds)
    if decision.record is None or not profile.limits.headers:
        return headers
    limits = limits_in_force(profile, decision.record)
    if limits and "x-ratelimit" in profile.limits.headers:
        headers |= _x_ratelimit(limits, decision.limits)
    if limits and "ratelimit" in profile.limits.headers:
        headers |= _ratelimit(limits, decision.limits)
    return headers


def retry_after(decision: Decision) -> int | None:
    """Return the seconds after which a request that was refused for its rate would be allowed; None for any other."""
    refusing = [state.reset_seconds for state in decision.limits if state.exceeded]
    if decision.code is not Code.RATE_LIMITED or not refusing:
        return None
    return max(1, math.ceil(max(refusing)))


def _x_ratelimit(limits: Sequence[Limit], states: Sequence[LimitState]) -> dict[str, str]:
    """Return the three headers, about one limit: the one that refuses, else the one that will refuse first.

    Without a limiter, the first limit is known and nothing else. The reset is in Unix time, as it is elsewhere.
    """
    if not states:
        return {"X-RateLimit-Limit": str(limits[0].requests)}
    nearest = min(states, key=lambda state: (not state.exceeded, state.remaining, -state.reset_seconds))
    return {
        "X-RateLimit-Limit": str(nearest.limit.requests),
        "X-RateLimit-Remaining": str(nearest.remaining),
        "X-RateLimit-Reset": str(math.ceil(time.time() + nearest.reset_seconds)),
    }


def _ratelimit(limits: Sequence[Limit], states: Sequence[LimitState]) -> dict[str, str]:
    """Return the policies, and how much of each is left where it is known."""
    policies = [f"{_name(limit)};q={limit.requests};w={int(limit.per.total_seconds())}" for limit in limits]
    left = [f"{_name(one.limit)};r={one.remaining};t={math.ceil(one.reset_seconds)}" for one in states]
    return {"RateLimit-Policy": ", ".join(policies)} | ({"RateLimit": ", ".join(left)} if left else {})


def _name(limit: Limit) -> str:
    return f'"{format_duration(limit.per)}"'
