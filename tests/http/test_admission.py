from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.codes import Code
from keyctl.decision import Decision
from keyctl.errors import UsageError
from keyctl.http.admission import Admitted, Connection, Preflight, admit, client_address, is_secure
from keyctl.http.places import Places
from keyctl.http.request import HttpRequest, parse_head, read_fields
from keyctl.networks import address_or_none
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from keyctl.profiles.http import HttpRules, rules_of
from tests.fuzzing import examples, mutated
from tests.samples import profile

SCOPES = {"list": {"a": {}, "b": {}, "view:x": {}, "view:y": {}}}
ROUTES: list[dict[str, Any]] = [
    {"match": "GET /v1/health", "public": True},
    {"match": "* /v1/**"},
    {"match": "* /v1/data/{category}", "scopes": ["view:{category}"]},
    {"match": "* /v1/data/x", "scopes": ["a"]},
    {"match": "GET /v1/data/x", "scopes": ["b"]},
    {"match": "* /v1/{one}/{two}/both", "scopes": ["{one}:{two}"]},
    {"match": "* /v1/data/{category}/**", "scopes": ["view:{category}"]},
]
KEY = "kc_live_0123456789ab_" + "0" * 38
TRUSTED = ("10.0.0.0/8", "2001:db8:ffff::/48")


def rules(**http: Any) -> HttpRules:
    owners = {"kinds": {"account": {"attributes": {"origins": {"type": "list"}}}}}
    return rules_of(profile(scopes=SCOPES, owners=owners, http={"routes": ROUTES} | http))


BOTH = [{"header": "api-key"}, {"header": "authorization", "scheme": "Bearer"}]
FIRST, REFUSE = rules(credentials=BOTH, when_several="first"), rules(credentials=BOTH, when_several="refuse")


def request(target: str, *headers: tuple[str, str], method: str = "GET") -> HttpRequest:
    return HttpRequest(method, target, read_fields(headers))


def ask(
    given_rules: HttpRules, target: str, *headers: tuple[str, str], method: str = "GET", **how: Any
) -> Admitted | Preflight | Decision:
    formats = (profile().key_format,)
    return admit(given_rules, request(target, *headers, method=method), Connection(**how), Places(given_rules, formats))


def refusal(*args: Any, **how: Any) -> tuple[Code, str | None]:
    decision = ask(*args, **how)
    assert isinstance(decision, Decision)
    assert not decision
    assert decision.record is None
    return decision.code, decision.reason


def admitted(*args: Any, **how: Any) -> Admitted:
    found = ask(*args, **how)
    assert isinstance(found, Admitted), found
    return found


# ── where the key is ─────────────────────────────────────────────────────────────────────────────────────────────────

PRESENTED: list[tuple[Iterable[tuple[str, str]], str | Code, str | Code]] = [
    # headers, the key by `first` and by `refuse`
    ([], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("api-key", "K")], "K", "K"),
    ([("API-KEY", "K")], "K", "K"),
    ([("aPi-KeY", "K")], "K", "K"),
    ([("Authorization", "Bearer K")], "K", "K"),
    ([("AUTHORIZATION", "bearer K")], "K", "K"),
    ([("authorization", "BEARER   K")], "K", "K"),
    ([("authorization", "Bearer K L")], "K L", "K L"),
    ([("authorization", "BearerK")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("authorization", "Bearer\tK")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("authorization", "Basic K")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("authorization", "K")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("authorization", "")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("authorization", "Bearer")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("authorization", "Bearer ")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("api-key", "")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("api_key", "K")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("x-api-key", "K")], Code.MISSING_API_KEY, Code.MISSING_API_KEY),
    ([("api-key", "K"), ("authorization", "Bearer L")], "K", Code.AMBIGUOUS_CREDENTIALS),
    ([("authorization", "Bearer L"), ("api-key", "K")], "K", Code.AMBIGUOUS_CREDENTIALS),
    ([("authorization", "Bearer K"), ("api-key", "K")], "K", Code.AMBIGUOUS_CREDENTIALS),
    ([("api-key", ""), ("authorization", "Bearer L")], Code.MISSING_API_KEY, Code.AMBIGUOUS_CREDENTIALS),
    ([("api-key", "K"), ("authorization", "Basic L")], "K", "K"),
    ([("api-key", "K"), ("Api-Key", "K")], Code.AMBIGUOUS_CREDENTIALS, Code.AMBIGUOUS_CREDENTIALS),
    ([("api-key", "K"), ("api-key", "")], Code.AMBIGUOUS_CREDENTIALS, Code.AMBIGUOUS_CREDENTIALS),
    (
        [("api-key", "K"), ("authorization", "Bearer L"), ("authorization", "Bearer L")],
        Code.AMBIGUOUS_CREDENTIALS,
        Code.AMBIGUOUS_CREDENTIALS,
    ),
    (
        [("authorization", "Bearer L"), ("authorization", "Basic M")],
        Code.AMBIGUOUS_CREDENTIALS,
        Code.AMBIGUOUS_CREDENTIALS,
    ),
]


@pytest.mark.parametrize(("headers", "first", "refuse"), PRESENTED)
def test_a_key_is_found_by_the_profiles_rules(headers: list[tuple[str, str]], first: str | Code, refuse: str | Code):
    for given_rules, expected in ((FIRST, first), (REFUSE, refuse)):
        if isinstance(expected, Code):
            assert refusal(given_rules, "/v1/account", *headers)[0] == expected
        else:
            assert admitted(given_rules, "/v1/account", *headers).text == expected


def test_without_rules_of_its_own_a_profile_takes_bearer_alone():
    plain = rules_of(profile())

    assert admitted(plain, "/any/where", ("authorization", "Bearer K")) == Admitted("K", None, ())
    assert refusal(plain, "/any/where", ("api-key", "K"))[0] == Code.MISSING_API_KEY


def test_a_key_is_not_shown_by_what_was_admitted():
    assert "s3cret" not in repr(admitted(FIRST, "/v1/account", ("api-key", "s3cret")))


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (f"/v1/account?key={KEY}", "key in the query string"),
        (f"/v1/account?{KEY}", "key in the query string"),
        (f"/v1/account?a=b&c=%6b%63{KEY[2:]}", "key in the query string"),
        (f"/v1/account?a={KEY.replace('_', '%5F')}", "key in the query string"),
        (f"/v1/account?a={KEY.upper()}", "key in the query string"),
        (f"/v1/account?a={KEY[:-10]}", "key in the query string"),
        (f"/v1/account?next=?{KEY}", "key in the query string"),
        (f"/v1/{KEY}", "key in the path"),
        (f"/v1/data/{KEY}", "key in the path"),
    ],
)
def test_a_key_in_the_target_is_refused_even_beside_a_good_one(target: str, reason: str):
    for headers in ([], [("api-key", KEY)]):
        assert refusal(FIRST, target, *headers) == (Code.INVALID_API_KEY, reason)


@pytest.mark.parametrize("target", ["/v1/account?prefix=kc_live_0123456789ab", "/v1/keys/kc_live_0123456789ab"])
def test_a_prefix_in_the_target_is_no_key(target: str):
    assert admitted(FIRST, target, ("api-key", "K")).text == "K"


# ── transport ────────────────────────────────────────────────────────────────────────────────────────────────────────

TRANSPORT = [
    # scheme, peer, X-Forwarded-Proto, secure
    ("https", None, [], True),
    ("http", None, [], False),
    ("http", "10.0.0.1", [], False),
    ("https", None, ["http"], False),
    ("https", "10.0.0.1", ["http"], False),
    ("https", None, ["https"], True),
    ("http", None, ["https"], False),
    ("http", "192.0.2.1", ["https"], False),
    ("http", "10.0.0.1", ["https"], True),
    ("http", "10.0.0.1", ["HTTPS"], True),
    ("http", "::ffff:10.0.0.1", ["https"], True),
    ("http", "10.0.0.1", ["https, http"], False),
    ("http", "10.0.0.1", ["http, https"], False),
    ("https", "10.0.0.1", ["https", "http"], False),
    ("http", "10.0.0.1", ["https", " https "], True),
    ("https", None, [""], False),
    ("https", None, ["httpsx"], False),
    ("http", "10.0.0.1:443", ["https"], False),
    ("http", "", ["https"], False),
    ("HTTPS", None, [], False),
]


@pytest.mark.parametrize(("scheme", "peer", "forwarded", "secure"), TRANSPORT)
def test_https_is_what_the_connection_is_or_a_trusted_proxy_says(
    scheme: str, peer: str | None, forwarded: list[str], secure: bool
):
    headers = [("X-Forwarded-Proto", value) for value in forwarded]
    connection = Connection(scheme, peer, TRUSTED)

    assert is_secure(request("/", *headers), connection) is secure
    asked = ask(FIRST, "/v1/health", *headers, scheme=scheme, peer=peer, trusted_proxies=TRUSTED)
    assert isinstance(asked, Decision)
    assert asked.code == (Code.VALID if secure else Code.INSECURE_TRANSPORT)


def test_plain_http_is_refused_before_anything_else_unless_the_profile_allows_it():
    assert refusal(FIRST, "/v1/../x", ("api-key", "K"), ("api-key", "K"), scheme="http")[0] == Code.INSECURE_TRANSPORT
    assert admitted(rules(require_https=False), "/v1/x", ("authorization", "bearer K"), scheme="http").text == "K"


# ── the address ──────────────────────────────────────────────────────────────────────────────────────────────────────

ADDRESSES = [
    # peer, X-Forwarded-For, the address that counts
    (None, [], None),
    (None, ["192.0.2.1"], None),
    ("198.51.100.1", [], "198.51.100.1"),
    ("198.51.100.1", ["192.0.2.1"], "198.51.100.1"),
    ("10.0.0.1", [], "10.0.0.1"),
    ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
    ("10.0.0.1", ["192.0.2.66, 192.0.2.1"], "192.0.2.1"),
    ("10.0.0.1", ["192.0.2.66,192.0.2.1,10.0.0.2 , 10.9.9.9"], "192.0.2.1"),
    ("10.0.0.1", ["192.0.2.66", "192.0.2.1"], "192.0.2.1"),
    ("10.0.0.1", ["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
    ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.1"),
    ("2001:db8:ffff::1", ["2001:db8::7"], "2001:db8::7"),
    ("::ffff:10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
    ("10.0.0.1", ["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
]
# What is no address is none: a key with an allow list is then refused.
GARBAGE = [
    *("", " ", "unknown", "_hidden", "192.0.2.1:1234", "[2001:db8::7]", "[2001:db8::7]:443", "192.0.2.1 10.0.0.1"),
    *("192.0.2.256", "192.0.2.1/32", "localhost", '"192.0.2.1"', "0300.0.2.1", "10.0.0.2:80", "for=192.0.2.1"),
]


@pytest.mark.parametrize(("peer", "forwarded", "address"), ADDRESSES)
def test_the_address_is_the_peers_or_the_rightmost_untrusted_one(
    peer: str | None, forwarded: list[str], address: str | None
):
    headers = [("X-Forwarded-For", value) for value in forwarded]

    assert client_address(request("/", *headers), Connection("https", peer, TRUSTED)) == address


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_the_chain_is_never_passed_over_for_an_address_further_left(garbage: str):
    for chain in (f"192.0.2.1, {garbage}", f"192.0.2.1,{garbage},10.0.0.2"):
        found = client_address(request("/", ("x-forwarded-for", chain)), Connection("https", "10.0.0.1", TRUSTED))
        assert found is None


@given(st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "10.0.0.1", "10.0.0.2", "junk", ""])))
def test_whatever_a_client_puts_before_the_proxys_own_entry_changes_nothing(forged: list[str]):
    connection = Connection("https", "10.0.0.1", TRUSTED)

    joined = client_address(request("/", ("x-forwarded-for", ",".join([*forged, "203.0.113.5"]))), connection)
    repeated = [("x-forwarded-for", one) for one in [*forged, "203.0.113.5"]]

    assert joined == client_address(request("/", *repeated), connection) == "203.0.113.5"


def test_no_proxy_is_trusted_unless_named():
    assert client_address(request("/", ("x-forwarded-for", "192.0.2.1")), Connection("https", "10.0.0.1")) == "10.0.0.1"


# ── routes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "target", "scopes"),
    [
        ("GET", "/v1/account", ()),
        ("GET", "/v1/data/x", ("b",)),  # literal before {param}, a method before any
        ("POST", "/v1/data/x", ("a",)),
        ("GET", "/v1/data/y", ("view:y",)),
        ("GET", "/v1/data/y?category=x", ("view:y",)),
        ("GET", "/v1/data/y/more/of/it", ("view:y",)),
        ("GET", "/v1/data/Y", ("view:Y",)),
        ("GET", "/v1/data/y%20", ("view:y%20",)),
        ("GET", "/v1/a/b/both", ("a:b",)),
        ("GET", "/v1/data/y/both", ("view:y",)),  # a literal further left counts more
        ("POST", "/v1/health", ()),
        ("GET", "/v1/", ()),
        ("HEAD", "/v1/data/x", ("b",)),  # what GET needs
        ("HEAD", "/v1/data/y", ("view:y",)),
    ],
)
def test_the_most_exact_route_says_what_a_key_needs(method: str, target: str, scopes: tuple[str, ...]):
    found = admitted(FIRST, target, ("api-key", "K"), method=method)

    assert found.route is not None
    assert found.scopes == scopes


@pytest.mark.parametrize("target", ["/", "/v1", "/v2/health", "/health"])
def test_where_no_route_matches_none_is_found(target: str):
    assert admitted(FIRST, target, ("api-key", "K")) == Admitted("K", None, ())


def test_a_public_route_needs_no_key_and_looks_at_none():
    for method in ("GET", "HEAD"):
        for headers in ([], [("api-key", "x")], [("api-key", "x"), ("api-key", "y")]):
            decision = ask(FIRST, "/v1/health", *headers, method=method)
            assert isinstance(decision, Decision)
            assert decision
            assert decision.record is None


def test_a_route_for_head_comes_before_that_for_get():
    """RFC 9110, 9.3.2: HEAD is GET without the content, unless the profile names it."""
    own = rules(
        credentials=BOTH,
        routes=[
            {"match": "GET /v1/data/x", "scopes": ["a"]},
            {"match": "HEAD /v1/data/x", "scopes": ["b"]},
            {"match": "HEAD /v1/**", "scopes": ["view:x"]},
            {"match": "GET /v1/{one}/y", "scopes": ["view:y"]},
            {"match": "* /v1/{one}/y", "public": True},
        ],
    )

    for target, scopes in (("/v1/data/x", ("b",)), ("/v1/data/y", ("view:y",)), ("/v1/data/z", ("view:x",))):
        assert admitted(own, target, ("api-key", "K"), method="HEAD").scopes == scopes


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *(("GET", "/v1/health/../account"), ("GET", "/v1/health/%2e%2e/account"), ("GET", "/v1/health/..;/account")),
        *(("GET", "//v1/health"), ("GET", "https://x/v1/health"), ("OPTIONS", "*"), ("GET", "/v1/data/y\\..\\x")),
        # read in two ways by servers that know no case, or no slash at the end
        *(("GET", "/v1/Health"), ("GET", "/V1/health"), ("GET", "/v1/health/"), ("get", "/v1/health")),
        *(("HEAD", "/v1/Health"), ("HEAD", "/v1/health/"), ("head", "/v1/health"), ("head", "/v1/data/x")),
        *(("GET", "/v1/Data/x"), ("GET", "/v1/DATA/y/more"), ("GET", "/v1/data/X"), ("get", "/v1/data/x")),
        *(("GET", "/v1/data/x/"), ("GET", "/v1/a/b/BOTH"), ("GET", "/v1/a/b/both/")),
    ],
)
def test_what_another_server_could_route_differently_is_refused_before_routing(method: str, target: str):
    for headers in ([], [("api-key", "K")]):
        assert refusal(FIRST, target, *headers, method=method)[0] == Code.BAD_REQUEST


@pytest.mark.parametrize("target", ["/v1/account/", "/v1/Account", "/v1/data/y/", "/v1/data/y/MORE/"])
def test_another_spelling_that_asks_for_the_same_is_fine(target: str):
    assert admitted(FIRST, target, ("api-key", "K")).route is not None


@given(st.lists(st.text("abxy{}:|onetw", min_size=1, max_size=6), min_size=1, max_size=3))
def test_no_path_asks_for_less_than_its_own_words(words: list[str]):
    found = ask(FIRST, "/v1/" + "/".join([*words[:2], "both"]), ("api-key", "K"))

    if isinstance(found, Admitted) and found.route and found.route.segments[-1] == "both":
        assert found.scopes == (f"{words[0]}:{words[1]}",)


def test_the_text_of_a_path_is_not_filled_in_again():
    # The engine refuses braces in paths; the filling does not rely on it.
    from keyctl.http.route_table import _fill

    assert _fill("{one}:{two}", {"one": "{two}", "two": "x"}) == "{two}:x"


# ── browsers, identity ───────────────────────────────────────────────────────────────────────────────────────────────

CORS = rules(cors={"methods": ["GET"], "headers": [], "origins_from": "origins"})
ORIGIN, ASKED = ("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")


def test_a_preflight_carries_no_key():
    assert ask(CORS, "/v1/account", ORIGIN, ASKED, method="OPTIONS") == Preflight("https://a.example")


@pytest.mark.parametrize(
    ("given_rules", "method", "headers", "code"),
    [
        (CORS, "OPTIONS", [ORIGIN], Code.MISSING_API_KEY),
        (CORS, "OPTIONS", [ASKED], Code.MISSING_API_KEY),
        (CORS, "GET", [ORIGIN, ASKED], Code.MISSING_API_KEY),
        (CORS, "options", [ORIGIN, ASKED], Code.MISSING_API_KEY),
        (CORS, "OPTIONS", [ORIGIN, ORIGIN, ASKED], Code.BAD_REQUEST),
        (FIRST, "OPTIONS", [ORIGIN, ASKED], Code.MISSING_API_KEY),
    ],
)
def test_what_is_no_preflight_needs_a_key(
    given_rules: HttpRules, method: str, headers: list[tuple[str, str]], code: Code
):
    assert refusal(given_rules, "/v1/account", *headers, method=method)[0] == code


PRESETS = {name: load_profile(name) for name in preset_names()}
SENT = f"""GET /v1/calls/x?a=%6b HTTP/1.1
Host: api.example
Authorization: Bearer {KEY}
X-API-Key: {KEY}
Origin: https://app.example
X-Forwarded-For: 192.0.2.1, 10.0.0.1
X-Forwarded-Proto: https

""".encode()


@examples(150, 10_000)
@given(
    name=st.sampled_from(sorted(PRESETS)),
    raw=mutated(st.just(SENT)),
    peer=st.none() | mutated(st.sampled_from(["10.0.0.1", "::1", "fe80::1%eth0"])),
)
def test_every_request_is_admitted_or_refused(name: str, raw: bytes, peer: str | None):
    try:
        sent = parse_head(raw)
    except UsageError:
        return
    connection = Connection("https", peer, TRUSTED)

    preset = rules_of(PRESETS[name])
    found = admit(preset, sent, connection, Places(preset, [PRESETS[name].key_format]))

    assert isinstance(found, Admitted | Preflight | Decision)
    if isinstance(found, Admitted):
        assert found.text
        assert found.text in raw.decode("latin-1")
    address = client_address(sent, connection)
    assert address in (None, peer) or address_or_none(address) == address
