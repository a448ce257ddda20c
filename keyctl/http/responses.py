"""The HTTP responses of a platform: to a request, to minting or revoking a key, and to adding an owner. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from keyctl.answer import Answer
from keyctl.codes import Code
from keyctl.decision import Decision, limits_in_force, scopes_in_force
from keyctl.http.limit_headers import limit_headers, retry_after
from keyctl.models import KeyRecord, Owner
from keyctl.profiles.http import Cors, HttpRules, Response
from keyctl.profiles.model import Profile
from keyctl.profiles.placeholders import fill_header, fill_json
from keyctl.times import format_time

# The messages for callers where the profile has none. They disclose no more than the code itself.
_MESSAGES = {
    Code.MISSING_API_KEY: "An API key is required",
    Code.INVALID_API_KEY: "The API key is not valid",
    Code.KEY_REVOKED: "The API key has been revoked",
    Code.KEY_EXPIRED: "The API key has expired",
    Code.KEY_LOCKED: "The API key is locked",
    Code.OWNER_INACTIVE: "The account is inactive",
    Code.FORBIDDEN_SCOPE: "The API key does not have the required scope",
    Code.FORBIDDEN_IP: "The API key is not allowed from this address",
    Code.FORBIDDEN_ENVIRONMENT: "The API key is for another environment",
    Code.FORBIDDEN_OWNER: "The API key has no access to this resource",
    Code.RATE_LIMITED: "Too many requests",
    Code.UNTRUSTED_BUNDLE: "API keys cannot be verified at the moment",
    Code.INSECURE_TRANSPORT: "HTTPS is required",
    Code.AMBIGUOUS_CREDENTIALS: "Send exactly one API key",
    Code.BAD_REQUEST: "The request is malformed",
    Code.NO_ROUTE: "Not found",
    Code.FORBIDDEN_ORIGIN: "The origin is not allowed",
}

_UNAVAILABLE = "UNAVAILABLE"  # in place of a code, since there is no decision
_RETRY_AFTER = "1"  # seconds: a store is locked, a server restarted, or all cores are hashing


def answer_decision(profile: Profile, rules: HttpRules, decision: Decision) -> Answer:
    """Return what the platform answers to a request. It never contains the operator's reason."""
    origin = decision.origin
    if rules.cors and decision.preflight and decision.code is not Code.UNTRUSTED_BUNDLE:
        return _answer_preflight(rules, rules.cors, origin if decision else None)
    reason = (decision.reason or "").replace(" ", "_")
    template = rules.responses.get(f"{decision.code}.{reason}") or rules.responses.get(decision.code)
    if template is None:
        template = Response(decision.code.http_status, {}, None)
    template = template._replace(headers={**rules.headers, **template.headers})
    facts = decision_facts(profile, decision) if _has_placeholders(template) else {}
    answer = _fill(template, facts, default_body=_default_body(decision.code))
    named = {name.lower() for name in answer.headers}
    own = {name: value for name, value in limit_headers(profile, decision).items() if name.lower() not in named}
    answer = answer._replace(headers={**answer.headers, **own})
    if decision.code is Code.UNTRUSTED_BUNDLE:
        answer = _retry_soon(answer)
    if rules.cors and origin is not None:
        allowed = decision.record is not None and lists_origin(decision.record.owners[:1], rules.cors, origin)
        answer = answer._replace(headers={**answer.headers, **_cors_headers(origin if allowed else None)})
    return answer


def answer_unavailable(rules: HttpRules) -> Answer:
    """Return what the platform answers while keys cannot be verified: as for a bundle that cannot be trusted.

    The caller is asked to try again (`Retry-After`), and does not learn why.
    """
    code = Code.UNTRUSTED_BUNDLE
    template = rules.responses.get(code) or Response(code.http_status, {}, None)
    template = template._replace(headers={**rules.headers, **template.headers})
    body = json.dumps({"error": {"code": _UNAVAILABLE, "message": _MESSAGES[code]}})
    return _retry_soon(_fill(template, {"code": _UNAVAILABLE}, default_body=body))


def _retry_soon(answer: Answer) -> Answer:
    """Return the answer with a `Retry-After`, if it is a 503 that has none."""
    if answer.status != HTTPStatus.SERVICE_UNAVAILABLE or any(name.lower() == "retry-after" for name in answer.headers):
        return answer
    return answer._replace(headers={**answer.headers, "Retry-After": _RETRY_AFTER})


def _answer_preflight(rules: HttpRules, cors: Cors, origin: str | None) -> Answer:
    if origin is None:
        code = Code.FORBIDDEN_ORIGIN
        template = rules.responses.get(code) or Response(code.http_status, {}, None)
        refusal = _fill(template, {"code": str(code)}, default_body=_default_body(code))
        return refusal._replace(headers={**refusal.headers, **_cors_headers(None)})
    headers = {
        **_cors_headers(origin),
        "Access-Control-Allow-Methods": ", ".join(cors.methods),
        "Access-Control-Allow-Headers": ", ".join(cors.headers),
    }
    return Answer(HTTPStatus.NO_CONTENT, headers, None)


def answer_administration(
    profile: Profile, rules: HttpRules, name: str, record: KeyRecord, *, text: str | None = None
) -> Answer | None:
    """Return the platform's own answer to minting (`minted`, with the key's text) or revoking (`revoked`) a key."""
    template = rules.responses.get(name)
    if template is None:
        return None
    facts = {**decision_facts(profile, Decision(Code.VALID, None, record)), "key.text": text}
    return _fill(template, facts, default_body=None)


def answer_owner(rules: HttpRules, owner: Owner, *, added: bool) -> Answer | None:
    """Return the platform's own answer to adding an owner (`owner_added`), or to finding that it is there.

    That is `owner_found`, or the same where the profile has no other.
    """
    template = rules.responses.get("owner_added")
    if not added:
        template = rules.responses.get("owner_found", template)
    return None if template is None else _fill(template, _owner_facts(owner), default_body=None)


def identity_headers(profile: Profile, rules: HttpRules, decision: Decision) -> dict[str, str]:
    """Return the headers that a gateway adds to an allowed request. Empty unless a key was verified."""
    if not decision or decision.record is None or not rules.identity:
        return {}
    facts = decision_facts(profile, decision)
    filled = {name: fill_header(template, facts) for name, template in rules.identity.items()}
    return {name: value for name, value in filled.items() if value is not None}


def lists_origin(owners: Iterable[Owner], cors: Cors, origin: str) -> bool:
    """Return whether one of `owners` lists the origin. Origins are compared as browsers write them (RFC 6454)."""
    listed = (owner.attributes.get(cors.origins_from) for owner in owners)
    # Another kind of owner may have a text of this name, and `in` would find the origin anywhere inside it.
    return any(isinstance(origins, list) and origin in origins for origins in listed)


def decision_facts(profile: Profile, decision: Decision) -> dict[str, Any]:
    """Return the values of the placeholders. Serial ids are numbers."""
    facts: dict[str, Any] = {"code": str(decision.code), "missing_scope": decision.missing_scope}
    facts["retry_after"] = retry_after(decision)
    record = decision.record
    if record is None:
        return facts
    key, owner = record.key, record.owner
    facts |= {
        "key.id": _id(key.id),
        "key.prefix": key.prefix,
        "key.name": key.name,
        "key.environment": key.environment,
        "key.scopes": list(key.scopes),
        "key.primary_scope": key.scopes[0] if key.scopes else None,
        "key.created_at": _whole_seconds(key.created_at),
        "key.expires_at": _whole_seconds(key.expires_at),
        "scopes": list(scopes_in_force(profile, key.scopes, owner)),
    }
    if owner:
        facts |= _owner_facts(owner)
    for limit in limits_in_force(profile, record)[:1]:
        facts |= {"limit.requests": limit.requests, "limit.seconds": int(limit.per.total_seconds())}
    return facts


def _owner_facts(owner: Owner) -> dict[str, Any]:
    return {
        "owner.id": _id(owner.id),
        "owner.handle": owner.handle,
        "owner.name": owner.name,
        "owner.kind": owner.kind,
        "owner.plan": owner.plan,
        **{f"owner.attributes.{name}": value for name, value in owner.attributes.items()},
    }


def _fill(template: Response, facts: Mapping[str, Any], *, default_body: str | None) -> Answer:
    body = fill_json(template.body, facts) if template.body is not None else default_body
    headers = {name: fill_header(value, facts) for name, value in template.headers.items()}
    known = {name: value for name, value in headers.items() if value is not None}
    typed = any(name.lower() == "content-type" for name in known)
    return Answer(template.status, {**({} if typed else _json_headers(body)), **known}, body or None)


def _has_placeholders(template: Response) -> bool:
    return any("${" in text for text in (*template.headers.values(), template.body or ""))


def _json_headers(body: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json"} if body else {}


def _cors_headers(origin: str | None) -> dict[str, str]:
    # Vary even if the origin is refused: a cache must not serve this answer to a page of another origin.
    return {**({"Access-Control-Allow-Origin": origin} if origin else {}), "Vary": "Origin"}


def _default_body(code: Code) -> str | None:
    message = _MESSAGES.get(code)
    return json.dumps({"error": {"code": str(code), "message": message}}) if message else None


def _id(stored: str) -> str | int:
    # recognized by its form: a store whose profile was changed holds ids of both schemes
    return int(stored) if stored.isdecimal() else stored


def _whole_seconds(moment: datetime | None) -> str | None:
    return format_time(moment.replace(microsecond=0)) if moment else None
