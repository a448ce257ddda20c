"""The JSON object of a decision. Its keys are public: add to them, never rename them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from keyctl.cli.json_objects import key_object, owner_object
from keyctl.decision import Decision, LimitState, limits_in_force
from keyctl.http.application_headers import drop_pattern, headers_to_drop
from keyctl.http.responses import answer_decision, identity_headers
from keyctl.profiles.http import rules_of
from keyctl.profiles.limits import Limit
from keyctl.profiles.model import Profile


def decision_object(decision: Decision, profile: Profile, *, now: datetime) -> dict[str, Any]:
    record = decision.record
    rules = rules_of(profile)
    answer = answer_decision(profile, rules, decision)
    return {
        "valid": bool(decision),
        "code": str(decision.code),
        "reason": decision.reason,
        "key": key_object(record, profile, now=now) if record else None,
        "owner": owner_object(record.owner) if record and record.owner else None,
        "http": {"status": answer.status, "headers": dict(answer.headers), "body": answer.body},
        "identity": {
            "headers": identity_headers(profile, rules, decision),
            "drop": list(headers_to_drop(rules)),
            "drop_pattern": drop_pattern(rules),
        },
        "limits": _limits(decision, profile),
        "bundle": None,
    }


def _limits(decision: Decision, profile: Profile) -> list[dict[str, Any]]:
    if decision.record is None:
        return []
    if decision.limits:
        return [limit_object(state) for state in decision.limits]
    unknown = {"remaining": None, "reset_seconds": None}
    return [_facts(limit) | unknown for limit in limits_in_force(profile, decision.record)]


def limit_object(state: LimitState) -> dict[str, Any]:
    return _facts(state.limit) | {"remaining": state.remaining, "reset_seconds": round(state.reset_seconds, 3)}


def _facts(limit: Limit) -> dict[str, Any]:
    return {"requests": limit.requests, "seconds": int(limit.per.total_seconds())}
