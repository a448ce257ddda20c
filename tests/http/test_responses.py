from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.codes import Code
from keyctl.decision import Decision, limits_in_force
from keyctl.http.responses import (
    Answer,
    answer_administration,
    answer_decision,
    answer_owner,
    answer_unavailable,
    identity_headers,
    lists_origin,
)
from keyctl.models import KeyRecord
from keyctl.profiles.http import rules_of
from keyctl.profiles.limits import Limit
from keyctl.profiles.model import Profile
from tests.samples import owner, profile, record

ORIGIN = "https://a.example"
PLANS: dict[str, Any] = {
    "small": {"limits": [{"requests": 10, "per": "1h"}, {"requests": 2, "per": "1m"}]},
    "agreed": {"limits_from": "owner"},
    "free": {},
}
ATTRIBUTES = {"limits": {"type": "limits"}, "origins": {"type": "list"}, "vip": {"type": "boolean"}}
CORS = {"methods": ["GET", "PUT"], "headers": ["X-Key"], "origins_from": "origins"}


def made(*, ids: str = "ulid", **http: Any) -> Profile:
    owners = {"kinds": {"account": {"attributes": ATTRIBUTES}, "team": {"attributes": {"origins": {}}}}}
    return profile(plans=PLANS, owners=owners, http=http, ids={"key": ids, "owner": ids})


def answer(one: Profile, decision: Decision) -> Answer:
    return answer_decision(one, rules_of(one), decision)


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.VALID])
def test_where_a_profile_says_nothing_the_code_is_reported_and_never_the_reason(code: Code):
    found = answer(made(), Decision(code, "wrong secret", record()))

    assert found.status == code.http_status
    later = {"Retry-After": "1"} if code is Code.UNTRUSTED_BUNDLE else {}
    assert found.headers == {"Content-Type": "application/json"} | later
    assert json.loads(found.body or "")["error"].keys() == {"code", "message"}
    assert json.loads(found.body or "")["error"]["code"] == code
    assert "secret" not in str(found)


def test_where_it_is_unknown_whether_a_key_is_valid_the_caller_is_asked_to_try_again():
    assert answer_unavailable(rules_of(made())) == Answer(
        503,
        {"Content-Type": "application/json", "Retry-After": "1"},
        '{"error": {"code": "UNAVAILABLE", "message": "API keys cannot be verified at the moment"}}',
    )


def test_a_profile_has_its_own_answer_where_it_is_unknown_whether_a_key_is_valid():
    own = {"status": 503, "headers": {"retry-after": "30"}, "body": '"${code}"'}
    one = made(headers={"X-A": "b", "X-Limit": "${limit.requests}"}, responses={"UNTRUSTED_BUNDLE": own})

    for found in (answer_unavailable(rules_of(one)), answer(one, Decision(Code.UNTRUSTED_BUNDLE, "age"))):
        assert found.status == 503
        assert found.headers == {"Content-Type": "application/json", "X-A": "b", "retry-after": "30"}
    assert answer_unavailable(rules_of(one)).body == '"UNAVAILABLE"'


def test_a_preflight_is_not_refused_where_it_is_unknown_who_lists_the_origin():
    one = made(cors=CORS)

    found = answer(one, Decision(Code.UNTRUSTED_BUNDLE, "age", origin=ORIGIN, preflight=True))

    assert (found.status, found.headers["Retry-After"], found.headers["Vary"]) == (503, "1", "Origin")


def test_an_allowed_request_has_no_body():
    assert answer(made(), Decision(Code.VALID, None, record())) == Answer(200, {}, None)


def test_an_answer_is_written_as_on_the_wire():
    assert str(Answer(403, {"A": "b", "C": "d"}, "{}\n")) == "HTTP/1.1 403 Forbidden\r\nA: b\r\nC: d\r\n\r\n{}\n"
    assert str(Answer(418, {}, None)) == "HTTP/1.1 418 I'm a Teapot\r\n\r\n"
    assert str(Answer(599, {}, None)) == "HTTP/1.1 599\r\n\r\n"


def test_a_reason_may_have_an_answer_of_its_own():
    one = made(
        responses={
            "INVALID_API_KEY": {"body": "1"},
            "INVALID_API_KEY.wrong_secret": {"status": 418, "body": "2"},
            "INVALID_API_KEY.malformed": {"same_as": "INVALID_API_KEY.wrong_secret"},
        }
    )

    found = {
        reason: answer(one, Decision(Code.INVALID_API_KEY, reason)) for reason in ("wrong secret", "malformed", "x")
    }

    assert [(one.status, one.body) for one in found.values()] == [(418, "2"), (418, "2"), (401, "1")]


def test_an_empty_body_is_none_and_has_no_type():
    assert answer(made(responses={"KEY_LOCKED": {"body": ""}}), Decision(Code.KEY_LOCKED)) == Answer(403, {}, None)


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_a_type_of_its_own_is_the_only_one(name: str):
    one = made(responses={"KEY_LOCKED": {"headers": {name: "text/plain"}}})

    assert answer(one, Decision(Code.KEY_LOCKED)).headers == {name: "text/plain"}


def test_headers_of_every_answer_give_way_to_those_of_one_and_are_left_out_where_nothing_is_known():
    one = made(
        headers={"X-Limit": "${limit.requests}", "X-All": "1"}, responses={"KEY_LOCKED": {"headers": {"X-All": "2"}}}
    )

    def headers(decision: Decision) -> dict[str, str]:
        return {name: value for name, value in answer(one, decision).headers.items() if name.startswith("X-")}

    known = record(owner(plan="small"))
    assert headers(Decision(Code.VALID, None, known)) == {"X-Limit": "10", "X-All": "1"}
    assert headers(Decision(Code.KEY_LOCKED, None, known)) == {"X-Limit": "10", "X-All": "2"}
    assert headers(Decision(Code.MISSING_API_KEY)) == {"X-All": "1"}


@pytest.mark.parametrize(("ids", "given_id", "number"), [("serial", "7", 7), ("ulid", "01J7", "01J7")])
def test_serial_ids_are_numbers(ids: str, given_id: str, number: object):
    one = made(ids=ids, responses={"VALID": {"body": "[${key.id}, ${owner.id}, ${missing_scope}]"}})
    known = record(owner(id=given_id), id=given_id)

    assert json.loads(answer(one, Decision(Code.VALID, None, known)).body or "") == [number, number, None]


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(NAMES, NAMES)
def test_no_name_and_no_scope_breaks_out_of_a_response(name: str, scope: str):
    body = '{"name": "${key.name}", "owner": ${owner.name}, "lacks": "no \'${missing_scope}\'"}'
    headers = {"X-Name": "${key.name}", "X-Lacks": "${missing_scope}"}
    one = made(responses={"FORBIDDEN_SCOPE": {"body": body, "headers": headers}})
    decision = Decision(Code.FORBIDDEN_SCOPE, None, record(owner(name=name), name=name), missing_scope=scope)

    found = answer(one, decision)

    assert json.loads(found.body or "") == {"name": name, "owner": name, "lacks": f"no '{scope}'"}
    assert len(str(found).partition("\r\n\r\n")[0].split("\r\n")) == 4
    assert all(value.isascii() and value.isprintable() for value in found.headers.values())


# ── administration ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_keys_text_is_in_the_answer_to_minting_alone():
    one = made(responses={"minted": {"body": '["${key.text}", ${key.created_at}]'}, "VALID": {"body": "${key.text}"}})
    minted = answer_administration(one, rules_of(one), "minted", record(), text="t3xt")

    assert minted is not None
    assert json.loads(minted.body or "") == ["t3xt", "2026-07-01T12:00:00Z"]
    assert answer(one, Decision(Code.VALID, None, record())).body == "null"
    assert answer_administration(one, rules_of(one), "revoked", record()) is None


# ── identity ─────────────────────────────────────────────────────────────────────────────────────────────────────────

IDENTITY = made(identity={"X-Owner": "${owner.handle}", "X-Vip": "${owner.attributes.vip}", "X-Fixed": "keyctl"})


def test_an_owner_that_is_there_is_answered_as_a_new_one_unless_the_profile_says_otherwise():
    body = '{"id": "${owner.id}", "kind": ${owner.kind}, "size": ${owner.attributes.size}, "no": ${key.id}}'
    plain = rules_of(made(responses={"owner_added": {"status": 201, "body": body}}))
    both = rules_of(made(responses={"owner_added": {"status": 201}, "owner_found": {"body": body}}))
    acme = owner(attributes={"size": 3})
    filled = '{"id": "own_acme", "kind": "account", "size": 3, "no": null}'

    answers = [answer_owner(one, acme, added=added) for one in (plain, both) for added in (True, False)]

    assert [(one.status, one.body) for one in answers if one] == [
        (201, filled),
        (201, filled),
        (201, None),
        (200, filled),
    ]
    assert answer_owner(rules_of(made()), acme, added=True) is None


def test_identity_is_that_of_the_key_and_only_of_a_proven_one_that_is_allowed():
    rules = rules_of(IDENTITY)
    known = record(owner(attributes={"vip": True}))

    assert identity_headers(IDENTITY, rules, Decision(Code.VALID, None, known)) == {
        "X-Owner": "acme",
        "X-Vip": "true",
        "X-Fixed": "keyctl",
    }
    assert identity_headers(IDENTITY, rules, Decision(Code.VALID, None, record())) == {"X-Fixed": "keyctl"}
    assert identity_headers(IDENTITY, rules, Decision(Code.VALID, "the route is public")) == {}
    assert identity_headers(IDENTITY, rules, Decision(Code.FORBIDDEN_SCOPE, None, known)) == {}


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("known", "limits"),
    [
        (record(owner(plan="small")), [Limit(10, HOUR), Limit(2, MINUTE)]),
        (record(owner(plan="small", attributes={"limits": ["9/1h"]})), [Limit(10, HOUR), Limit(2, MINUTE)]),
        (record(owner(plan="agreed", attributes={"limits": ["9/1h", "3/60"]})), [Limit(9, HOUR), Limit(3, MINUTE)]),
        (record(owner(plan="agreed")), []),
        (record(owner(plan="free")), []),
        (record(owner(plan="no longer there")), []),
        (record(owner(attributes={"limits": ["9/1h"]})), []),
        (record(), []),
    ],
)
def test_limits_are_the_plans_or_the_owners_own(known: KeyRecord, limits: list[Limit]):
    assert list(limits_in_force(made(), known)) == limits


# ── browsers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def crossing(decision: Decision) -> dict[str, str]:
    found = answer(made(cors=CORS), decision)
    return {name: value for name, value in found.headers.items() if name != "Content-Type"}


def test_a_preflight_is_allowed_or_refused_and_varies_by_origin():
    allowed = answer(made(cors=CORS), Decision(Code.VALID, "preflight", origin=ORIGIN, preflight=True))
    refused = answer(made(cors=CORS), Decision(Code.FORBIDDEN_ORIGIN, "no", origin=ORIGIN, preflight=True))

    assert allowed == Answer(
        204,
        {
            "Access-Control-Allow-Origin": ORIGIN,
            "Vary": "Origin",
            "Access-Control-Allow-Methods": "GET, PUT",
            "Access-Control-Allow-Headers": "X-Key",
        },
        None,
    )
    assert (refused.status, refused.headers) == (403, {"Content-Type": "application/json", "Vary": "Origin"})


def test_a_refused_preflight_may_have_an_answer_of_its_own():
    one = made(cors=CORS, responses={"FORBIDDEN_ORIGIN": {"status": 418, "body": '["${code}"]'}})

    refused = answer(one, Decision(Code.FORBIDDEN_ORIGIN, "no", origin=ORIGIN, preflight=True))

    assert (refused.status, refused.body) == (418, '["FORBIDDEN_ORIGIN"]')


def test_an_answer_is_for_origins_of_the_keys_own_owner_alone():
    lister, other = (
        owner(attributes={"origins": [ORIGIN]}),
        owner("other", attributes={"origins": ["https://b.example"]}),
    )

    assert crossing(Decision(Code.VALID, None, record(lister), origin=ORIGIN)) == {
        "Access-Control-Allow-Origin": ORIGIN,
        "Vary": "Origin",
    }
    for decision in (
        Decision(Code.VALID, None, record(other), origin=ORIGIN),
        Decision(Code.VALID, None, record(other, lister), origin=ORIGIN),  # one above it lists it
        Decision(Code.VALID, None, record(), origin=ORIGIN),
        Decision(Code.INVALID_API_KEY, "wrong secret", origin=ORIGIN),
        Decision(Code.VALID, "the route is public", origin=ORIGIN),
    ):
        assert crossing(decision) == {"Vary": "Origin"}
    assert crossing(Decision(Code.VALID, None, record(lister))) == {}


@pytest.mark.parametrize("origins", [None, [], "https://a.example.evil", ORIGIN, [f"{ORIGIN}/"], [ORIGIN.upper()], 7])
def test_an_origin_is_compared_as_a_whole(origins: object):
    cors = rules_of(made(cors=CORS)).cors
    assert cors is not None

    assert not lists_origin([owner(attributes={"origins": origins})], cors, ORIGIN)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (413, "HTTP/1.1 413 Content Too Large"),
        (414, "HTTP/1.1 414 URI Too Long"),
        (416, "HTTP/1.1 416 Range Not Satisfiable"),
        (422, "HTTP/1.1 422 Unprocessable Content"),
        (499, "HTTP/1.1 499"),
    ],
)
def test_the_phrase_of_a_status_is_that_of_rfc_9110_on_every_python(status: int, line: str):
    assert str(Answer(status, {}, None)) == f"{line}\r\n\r\n"
