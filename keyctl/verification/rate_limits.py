"""The last step of a verification: the rate limits of a key, where there is a limiter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.codes import Code
from keyctl.decision import Decision, LimitState, limits_in_force
from keyctl.errors import LimiterUnavailable
from keyctl.models import KeyRecord
from keyctl.profiles.limits import Limit
from keyctl.profiles.model import Profile
from keyctl.times import format_duration

if TYPE_CHECKING:
    from keyctl.limiter import Limiter


def count(limiter: Limiter, store_id: str, profile: Profile, decision: Decision, cost: int) -> Decision:
    """Count an allowed request, and refuse it if it is one too many. A refused one counts for nothing.

    The decision gets the state of the limits: of one that is allowed always, of a refusal where the profile has headers
    for them. Raises LimiterUnavailable if they cannot be counted, unless the profile allows the request then.
    """
    record = decision.record
    if record is None:
        return decision
    limits = limits_in_force(profile, record)
    if not decision:
        return _look(limiter, store_id, profile, decision, record, limits)
    if not limits:
        if not profile.limits.required:
            return decision
        reason = "the owner has no rate limits, and the profile requires them"
        return replace(decision, code=Code.RATE_LIMITED, reason=reason)
    try:
        allowed, states = limiter.count(subject_of(store_id, profile, record), limits, cost)
    except LimiterUnavailable:
        if profile.limits.on_failure == "refuse":
            raise
        return decision
    if allowed:
        return replace(decision, limits=states)
    return replace(decision, code=Code.RATE_LIMITED, reason=_reason(states, cost), limits=states)


def subject_of(store_id: str, profile: Profile, record: KeyRecord) -> str:
    """Return the name under which a key's requests are counted: its owner's, or one that its successors share."""
    if profile.limits.subject == "owner" and record.owner is not None:
        return f"{store_id}/owner/{record.owner.id}"
    return f"{store_id}/key/{record.key.lineage}"


def _look(
    limiter: Limiter,
    store_id: str,
    profile: Profile,
    decision: Decision,
    record: KeyRecord,
    limits: tuple[Limit, ...],
) -> Decision:
    if not limits or not profile.limits.headers:
        return decision
    try:
        return replace(decision, limits=limiter.look(subject_of(store_id, profile, record), limits))
    except LimiterUnavailable:  # it is in the log; the refusal does not depend on it
        return decision


def _reason(states: tuple[LimitState, ...], cost: int) -> str:
    limit = max((state for state in states if state.exceeded), key=lambda state: state.reset_seconds).limit
    allowed = f"{limit.requests} in {format_duration(limit.per)}"
    return f"a cost of {cost} exceeds {allowed}" if cost > limit.requests else f"more than {allowed}"
