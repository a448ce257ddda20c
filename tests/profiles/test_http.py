"""What a profile says of HTTP, and every fault of it with its path. Whole profiles are in tests/platforms/."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyctl.errors import ProfileInvalid
from keyctl.profiles.http import Cors, Credential, HttpRules, Response, Route, read_http, rules_of
from keyctl.profiles.model import read_profile
from keyctl.profiles.placeholders import NAMES, fill_json
from tests.fuzzing import JSON, examples, mutated
from tests.samples import document, profile

SCOPES = {"list": {"read": {}, "write": {}, "see:x": {}}}
OWNERS = {"kinds": {"account": {"attributes": {"origins": {"type": "list"}, "name": {}}}}}
CORS = {"methods": ["GET"], "headers": ["X-Key"], "origins_from": "origins"}


def rules(**http: Any) -> HttpRules:
    return rules_of(profile(scopes=SCOPES, owners=OWNERS, http=http))


def faults(http: object) -> tuple[str, ...]:
    """Return what is wrong, as `profile check` and `init` report it."""
    with pytest.raises(ProfileInvalid) as error:
        read_profile(document(scopes=SCOPES, owners=OWNERS, http=http), source="x.toml", also=read_http)
    assert error.value.message.startswith("x.toml is not a valid profile")
    return error.value.faults


def route(match: str, **more: Any) -> dict[str, Any]:
    return {"routes": [{"match": match} | more]}


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_little_need_be_said():
    assert rules() == HttpRules(True, (Credential("authorization", "bearer"),), "refuse", "key", (), None, {}, {}, {})


def test_everything_that_is_said_is_read():
    read = rules(
        require_https=False,
        credentials=[{"header": "X-Key"}, {"header": "Authorization", "scheme": "Token"}],
        when_several="first",
        cors=CORS,
        identity={"X-Who": "${owner.id}"},
        headers={"X-All": "1"},
        responses={"KEY_LOCKED": {"status": 423, "headers": {"Retry-After": "9"}, "body": "{}"}},
        **route("PUT /a/{b}/**", scopes=["read", "write|see:{b}"]),
    )

    assert read == HttpRules(
        require_https=False,
        credentials=(Credential("x-key"), Credential("authorization", "token")),
        when_several="first",
        unmatched="refuse",  # once there are routes
        routes=(Route("PUT", ("a", "{b}", "**"), ("read", "write|see:{b}")),),
        cors=Cors(("GET",), ("X-Key",), "origins"),
        identity={"X-Who": "${owner.id}"},
        headers={"X-All": "1"},
        responses={"KEY_LOCKED": Response(423, {"Retry-After": "9"}, "{}")},
    )


def test_an_answer_may_be_that_of_another_code_in_any_order():
    read = rules(responses={"KEY_REVOKED": {"same_as": "KEY_EXPIRED"}, "KEY_EXPIRED": {"body": "1"}})

    assert read.responses["KEY_REVOKED"] == read.responses["KEY_EXPIRED"] == Response(401, {}, "1")


# ── the order of routes ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("* /a/b", "* /a/{x}"),
        ("* /a/b", "GET /a/{x}"),
        ("* /a/{x}", "* /a/**"),
        ("* /a/{x}", "GET /a/**"),
        ("GET /a/b", "* /a/b"),
        ("GET /a/{x}", "* /a/{x}"),
        ("GET /a/**", "* /a/**"),
        ("* /a/{x}/**", "* /a/**"),
        ("* /a/{x}/c", "* /{x}/b/c"),
        ("* /a/b/**", "* /a/{x}/c"),
        ("* /a/**", "* /**"),
        ("HEAD /a", "GET /a"),
        ("GET /a/b", "HEAD /a/{x}"),
    ],
)
def test_literal_comes_before_parameter_before_rest_and_a_method_before_any(before: str, after: str):
    for order in ([before, after], [after, before]):
        read = rules(routes=[{"match": match} for match in order])
        assert [" /".join((one.method, "/".join(one.segments))) for one in read.routes] == [before, after]


@pytest.mark.parametrize(
    ("match", "method", "path", "parameters"),
    [
        *(
            ("GET /", "GET", "", {}),
            ("GET /", "GET", "a", None),
            ("GET /a/", "GET", "a/", {}),
            ("GET /a/", "GET", "a", None),
        ),
        *(
            ("GET /a", "GET", "a", {}),
            ("GET /a", "get", "a", None),
            ("GET /a", "HEAD", "a", {}),
            ("GET /a", "head", "a", None),
            ("HEAD /a", "GET", "a", None),
            ("POST /a", "HEAD", "a", None),
            ("* /a", "X", "a", {}),
        ),
        *(("* /a", "GET", "A", None), ("* /a", "GET", "a/", None), ("* /a", "GET", "a/b", None)),
        *(("* /{x}", "GET", "b", {"x": "b"}), ("* /{x}", "GET", "", None), ("* /a/{x}", "GET", "a/", None)),
        *(("* /{x}", "GET", "{x}", {"x": "{x}"}), ("* /a/{x}/c", "GET", "a/b/c", {"x": "b"})),
        *(
            ("* /**", "GET", "", {}),
            ("* /**", "GET", "a/b", {}),
            ("* /a/**", "GET", "a", None),
            ("* /a/**", "GET", "a/", {}),
        ),
        *(("* /{x}/**", "GET", "a/b/c", {"x": "a"}), ("* /a/**", "GET", "b/c", None)),
    ],
)
def test_a_route_matches_exactly(match: str, method: str, path: str, parameters: dict[str, str] | None):
    [read] = rules(**route(match)).routes

    assert read.match(method, tuple(path.split("/"))) == parameters


@pytest.mark.parametrize(
    ("match", "method", "path", "matches"),
    [
        ("GET /a/{x}", "GET", "A/B", True),
        ("GET /A/{x}", "GET", "a/B", True),
        ("GET /a/{x}", "GET", "b/B", False),
        ("GET /a", "POST", "A", False),
    ],
)
def test_a_route_can_match_whatever_the_case(match: str, method: str, path: str, *, matches: bool):
    [read] = rules(**route(match)).routes

    found = read.match(method, tuple(path.split("/")), ignore_case=True)

    assert (found is not None) == matches
    assert not found or found == {"x": "B"}


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────

NOT_A_ROUTE = 'http.routes[0].match: "%s" is not METHOD /path of literal and {name} segments and a last **'
FAULTS: list[tuple[object, str]] = [
    ("x", 'http: expected a table, got "x"'),
    ({"requirehttps": True}, 'http.requirehttps: unknown key: did you mean "require_https"?'),
    ({"require_https": "no"}, "http.require_https: expected true or false"),
    ({"credentials": ["x-key"]}, "http.credentials[0]: expected a table"),
    ({"credentials": [{"scheme": "x"}]}, "http.credentials[0].header: is missing"),
    ({"credentials": [{"header": "x key"}]}, 'http.credentials[0].header: "x key" is not the name of a header'),
    ({"credentials": [{"header": "x\r\ny"}]}, "http.credentials[0].header: "),
    ({"credentials": [{"header": "x:"}]}, "http.credentials[0].header: "),
    ({"when_several": "last"}, 'http.when_several: "last" is not one of refuse, first'),
    ({"unmatched": "allow"}, 'http.unmatched: "allow" is not one of refuse, key'),
    *(
        (route(match), NOT_A_ROUTE % match)
        for match in (
            *("GET", "GET ", "/a", "GET a", "get /a", "GET  /a", "GET /a b", "GET,PUT /a", "GET /a//b", "GET //"),
            *(
                "GET /**/a",
                "GET /a**",
                "GET /*",
                "GET /{}",
                "GET /{X}",
                "GET /a{x}",
                "GET /../a",
                "GET /.",
                "GET /a/..",
            ),
            *("GET /a%20b", "GET /a?b", "GET /a;b", "GET /é", "GET /a#b", "GET /a\\b", "** /a", "GET /a|b"),
        )
    ),
    (route("GET /a", scopes=["raed"]), 'http.routes[0].scopes: "raed" is not a scope of this profile'),
    (route("GET /a", scopes=["read|raed"]), 'http.routes[0].scopes: "raed" is not a scope of this profile'),
    (route("GET /a", scopes=["read|"]), 'http.routes[0].scopes: "" is not a scope of this profile'),
    (route("GET /a/{b}", scopes=["see:{c}"]), '"see:{c}" names a parameter that the path does not have'),
    (route("GET /a", scopes="read"), "http.routes[0].scopes: expected a list of texts"),
    (route("GET /a", scopes=["read"], public=True), "http.routes[0].public: and scopes contradict each other"),
    (route("GET /{a}/{a}"), "http.routes[0].match: has two parameters of the same name"),
    (route("GET /a", scope=["read"]), 'http.routes[0].scope: unknown key: did you mean "scopes"?'),
    *(
        (
            {"routes": [{"match": one}, {"match": other}]},
            f'http.routes[1].match: "{other}" matches the same requests as another route',
        )
        for one, other in [("GET /a", "GET /a"), ("* /{x}/b", "* /{y}/b"), ("* /a/**", "* /a/**"), ("GET /", "GET /")]
    ),
    ({"cors": {"methods": [], "headers": []}}, "http.cors.origins_from: is missing"),
    ({"cors": CORS | {"origins_from": "name"}}, 'http.cors.origins_from: "name" is not a list among the attributes'),
    ({"cors": CORS | {"methods": ["GET, PUT"]}}, 'http.cors.methods: "GET, PUT" is not a name that HTTP allows'),
    ({"cors": CORS | {"headers": ["a\r\nb"]}}, "http.cors.headers: "),
    ({"cors": CORS | {"origins": []}}, "http.cors.origins: unknown key"),
    ({"identity": {"X Who": "x"}}, 'http.identity."X Who": "X Who" is not the name of a header'),
    ({"identity": {"X-Who": "a\nb"}}, "http.identity.X-Who: must be printable ASCII"),
    ({"identity": {"X-Who": "é"}}, "http.identity.X-Who: must be printable ASCII"),
    ({"identity": {"X-Who": "${request.user}"}}, "http.identity.X-Who: ${request.user} is not known: code, "),
    ({"identity": {"X-Who": 7}}, "http.identity.X-Who: expected text, got 7"),
    ({"headers": {"X:": "x"}}, 'http.headers."X:": "X:" is not the name of a header'),
    ({"responses": {"KEY_STOLEN": {}}}, "http.responses.KEY_STOLEN: is not one of VALID, MISSING_API_KEY, "),
    ({"responses": {"minted.twice": {}}}, 'http.responses."minted.twice": is not one of '),
    ({"responses": {"KEY_LOCKED": {"status": 199}}}, "http.responses.KEY_LOCKED.status: 199 is less than 200"),
    ({"responses": {"KEY_LOCKED": {"status": 600}}}, "http.responses.KEY_LOCKED.status: 600 is more than 599"),
    ({"responses": {"KEY_LOCKED": {"body": "{"}}}, "http.responses.KEY_LOCKED.body: is not JSON after it is filled in"),
    ({"responses": {"KEY_LOCKED": {"body": "locked"}}}, "http.responses.KEY_LOCKED.body: is not JSON"),
    ({"responses": {"KEY_LOCKED": {"body": "{'a': 1}"}}}, "http.responses.KEY_LOCKED.body: is not JSON"),
    ({"responses": {"KEY_LOCKED": {"body": '{"a": x${key.id}}'}}}, "http.responses.KEY_LOCKED.body: is not JSON"),
    ({"responses": {"KEY_LOCKED": {"body": '"${key.phc}"'}}}, "KEY_LOCKED.body: ${key.phc} is not known"),
    ({"responses": {"KEY_LOCKED": {"same_as": "VALID"}}}, 'KEY_LOCKED.same_as: "VALID" has no response of its own'),
    ({"responses": {"KEY_LOCKED": {"same_as": "KEY_LOCKED"}}}, 'same_as: "KEY_LOCKED" has no response of its own'),
    (
        {"responses": {"KEY_LOCKED": {"same_as": "VALID", "status": 1}, "VALID": {}}},
        "http.responses.KEY_LOCKED.status: unknown key",
    ),
]


@pytest.mark.parametrize(("http", "fault"), FAULTS)
def test_a_fault_is_reported_with_its_path(http: object, fault: str):
    assert any(fault in told for told in faults(http)), faults(http)


def test_faults_of_http_are_reported_together_with_all_others():
    data = document(http=route("get /a") | {"unmatched": "x"}, ids={"key": "x"})

    with pytest.raises(ProfileInvalid) as error:
        read_profile(data, source="x.toml", also=read_http)

    assert [told.partition(":")[0] for told in error.value.faults] == [
        *("ids.key", "http.unmatched", "http.routes[0].match"),
    ]


BODIES = [
    '{"error": {"code": "${code}", "scope": ${missing_scope}}, "left": [${limit.requests}, 1]}',
    "${scopes}",
    '"${key.name}"',
]
FACTS = st.dictionaries(st.sampled_from(NAMES), JSON | st.text(), max_size=4)


@examples(150, 10_000)
@example(body="[1${limit.requests}]", facts={})
@example(body="{${key.name}: 1}", facts={})
@given(body=mutated(st.sampled_from(BODIES)), facts=FACTS)
def test_a_body_is_refused_or_is_json_whatever_it_is_filled_with(body: str, facts: dict[str, Any]):
    try:
        read = rules(responses={"VALID": {"body": body}}).responses["VALID"].body
    except ProfileInvalid:
        return

    assert read == body
    if body:
        json.loads(fill_json(body, facts))


@examples(150, 10_000)
@given(
    mutated(st.sampled_from(["GET /v1/{a}/b/**", "* /", "POST /v1/x.y/", "GET /{a}{b}"])),
    st.text("a{}|bxyz", max_size=6),
)
def test_a_route_is_refused_or_matches_a_path_of_its_own_shape(match: str, scope: str):
    try:
        [read] = rules(routes=[{"match": match, "scopes": [scope]}]).routes
    except ProfileInvalid:
        return

    segments = tuple("x" if one == "**" or one.startswith("{") else one for one in read.segments)
    assert read.match("GET" if read.method == "*" else read.method, segments) is not None
    assert f"{read.method} /{'/'.join(read.segments)}" == match


def test_bodies_and_identity_headers_that_would_take_minutes_are_refused():
    assert faults({"responses": {"VALID": {"body": "[" * 100_000}}}) == (
        "http.responses.VALID.body: is not JSON after it is filled in",
    )
    assert faults({"identity": {"X" + "-a" * 40: "x"}}) == (f"http.identity.X{'-a' * 40}: has more than 8 hyphens",)
