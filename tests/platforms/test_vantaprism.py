"""VantaPrism's page on authentication, statement by statement."""

from __future__ import annotations

import re
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import dump, refused
from tests.platforms.conformance import Platform, Response, bearer
from tests.runner import Cli

SCOPES = [
    *("search:domain", "search:login", "search:ip", "search:stealer", "search:password", "search:file"),
    *("search:keyword", "search:advanced", "infection-analysis", "view:cookies", "view:autofill", "view:cards"),
    *("view:wallets", "view:ftp", "view:keychain", "view:history", "view:commands"),
]
FORBIDDEN = """\
{
  "error": {
    "code": "FORBIDDEN_SCOPE",
    "message": "Your API key does not have scope: '%s'"
  }
}"""
REFUSED = """\
{
  "error": {
    "code": "%s",
    "message": "%s"
  }
}"""
JSON = {"Content-Type": "application/json"}
CHALLENGE = {"Content-Type": "application/json", "WWW-Authenticate": "Bearer"}
UNRECOGNIZED = Response(
    "401 Unauthorized", CHALLENGE, REFUSED % ("INVALID_API_KEY", "Malformed or unrecognized key"), 11
)
ORIGIN = "https://app.acme.example"


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("vantaprism"))
    platform = Platform(cli, "vantaprism")
    platform.owner("acme", "--plan", "ultra", "--attr", f"allowed_origins={ORIGIN},https://acme.example")
    cli.close()
    return cli.home


@pytest.fixture
def vantaprism(cli: Cli, _home: Path) -> Platform:
    """VantaPrism with one customer of the tier ultra, who may use browsers."""
    return Platform.copied(cli, _home)


def api_key(key: dict[str, Any]) -> dict[str, str]:
    return {"api-key": key["key"]}


def account(platform: Platform, headers: dict[str, str]) -> Response:
    return platform.request("GET", "/v1/account", headers)


# ── overview ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/v1/health", "/v1/health/ready"])
def test_the_only_unauthenticated_endpoints_are_health_and_ready(vantaprism: Platform, path: str):
    assert vantaprism.request("GET", path) == Response("200 OK", {}, "", 0)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/v1/account", "/v1/health/live", "/v1/health/ready/x", "/v1/healthy", "/v1/x/y")),
        *((method, "/v1/health") for method in ("POST", "PATCH", "DELETE", "OPTIONS")),
    ],
)
def test_every_other_v1_endpoint_requires_a_valid_key(vantaprism: Platform, method: str, path: str):
    key = vantaprism.mint("--owner", "acme")

    assert vantaprism.code(method, path) == "MISSING_API_KEY"
    assert vantaprism.code(method, path, api_key({"key": key["key"][:-1]})) == "INVALID_API_KEY"
    assert vantaprism.code(method, path, api_key(key)) == ("VALID" if path == "/v1/account" else "NO_ROUTE")


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/health/../account", "/v1/health/%2e%2e/account", "/v1/health/..;/account", "/v1/health//account"),
        *("/v1/health%2fready", "/v1/%68ealth", "/v1/health/", "/v1/Health", "https://api.vantaprism.me/v1/health"),
    ],
)
def test_no_other_spelling_of_an_unauthenticated_endpoint_is_one(vantaprism: Platform, path: str):
    assert vantaprism.request("GET", path).status == "400 Bad Request"


def test_the_key_is_sent_on_every_request_and_nothing_else_is_exchanged(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")
    before = dump(vantaprism.cli)

    assert account(vantaprism, api_key(key)) == Response("200 OK", {}, "", 0)
    assert account(vantaprism, {}).status == "401 Unauthorized"
    assert account(vantaprism, {"Cookie": f"session={key['id']}"}).status == "401 Unauthorized"
    assert dump(vantaprism.cli) == before


# ── key format ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("env", ["live", "test"])
def test_a_key_is_vp_env_prefix_dot_secret(vantaprism: Platform, env: str):
    key = vantaprism.mint("--owner", "acme", "--env", env)

    assert re.fullmatch(rf"vp_{env}_[0-9a-f]{{8}}\.[0-9a-f]{{40}}", key["key"])
    assert key["prefix"] == key["key"].partition(".")[0]
    assert key["environment"] == env


def test_the_pages_example_has_eight_characters_more_than_the_page_states_and_is_malformed(vantaprism: Platform):
    example = "vp_live_3f9a1c2d.8b2e4f6a1d9c0e3f7b5a2d8c4e6f1a9b3d7c5e2f0a8b6d4c"

    assert vantaprism.decide("GET", "/v1/account", {"api-key": example})["reason"] == "malformed"
    assert vantaprism.decide("GET", "/v1/account", {"api-key": example[:-8]})["reason"] == "unknown prefix"


def test_test_keys_have_the_same_validation_rules(vantaprism: Platform):
    live, test = (vantaprism.mint("--owner", "acme", "--env", env, "--scope", "search:ip") for env in ("live", "test"))

    for path in ("/v1/account", "/v1/search/ip", "/v1/data/cookies"):
        assert vantaprism.request("GET", path, api_key(live)) == vantaprism.request("GET", path, api_key(test))
    vantaprism.cli("revoke", test["prefix"], check=0)
    assert vantaprism.code("GET", "/v1/account", api_key(test)) == "KEY_REVOKED"


def test_the_prefix_identifies_the_key_and_is_all_that_is_ever_shown_of_it(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")
    secret = key["key"].partition(".")[2]

    shown = [
        vantaprism.cli("show", key["prefix"], check=0),
        vantaprism.cli("list", check=0),
        vantaprism.cli("audit", "list", "--json", check=0),
        vantaprism.send("GET", "/v1/account", api_key(key), check=0),
        vantaprism.send("GET", "/v1/account", api_key(key), "--json", check=0),
        vantaprism.send("GET", "/v1/data/cookies", api_key(key), check=16),
    ]

    assert all(key["prefix"] in one.out for one in shown)
    assert not any(secret in one.out + one.err for one in shown)


def test_the_full_key_is_shown_once_and_only_a_hash_is_stored(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")
    secret = key["key"].partition(".")[2].encode()

    files = [path for path in Path(vantaprism.cli.home).rglob("*") if path.is_file()]

    assert any(key["prefix"].encode() in path.read_bytes() for path in files)
    assert not any(secret in path.read_bytes() for path in files)


def test_a_lost_key_is_revoked_and_a_new_one_created(vantaprism: Platform):
    lost = vantaprism.mint("--owner", "acme")

    vantaprism.cli("revoke", lost["prefix"], check=0)
    new = vantaprism.mint("--owner", "acme")

    assert account(vantaprism, api_key(lost)).status == "403 Forbidden"
    assert account(vantaprism, api_key(new)).status == "200 OK"


# ── sending your key ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["api-key", "API-KEY", "Api-Key"])
def test_the_api_key_header_is_accepted(vantaprism: Platform, name: str):
    assert account(vantaprism, {name: vantaprism.mint("--owner", "acme")["key"]}).status == "200 OK"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_authorization_bearer_is_accepted(vantaprism: Platform, scheme: str):
    key = vantaprism.mint("--owner", "acme")["key"]

    assert account(vantaprism, {"Authorization": f"{scheme} {key}"}).status == "200 OK"


def test_api_key_takes_precedence_if_both_headers_are_present(vantaprism: Platform):
    good, revoked = vantaprism.mint("--owner", "acme"), vantaprism.mint("--owner", "acme")
    vantaprism.cli("revoke", revoked["prefix"], check=0)

    for pairs in ([api_key(good), bearer(revoked)], [bearer(revoked), api_key(good)]):
        assert account(vantaprism, pairs[0] | pairs[1]).status == "200 OK"
    for pairs in ([api_key(revoked), bearer(good)], [bearer(good), api_key(revoked)]):
        assert vantaprism.code("GET", "/v1/account", pairs[0] | pairs[1]) == "KEY_REVOKED"


def test_an_empty_api_key_header_takes_precedence_too(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")

    assert vantaprism.code("GET", "/v1/account", {"api-key": ""} | bearer(key)) == "MISSING_API_KEY"


@pytest.mark.parametrize("path", ["/v1/account", "/v1/data/cookies", "/v1/search/domain", "/v1/anything"])
def test_without_either_header_every_protected_endpoint_answers_api_key_required(vantaprism: Platform, path: str):
    body = REFUSED % ("INVALID_API_KEY", "API key required (api-key header or Authorization: Bearer)")

    assert vantaprism.request("GET", path) == Response("401 Unauthorized", CHALLENGE, body, 10)


def test_the_answer_without_a_key_is_on_the_wire_as_the_page_has_it(vantaprism: Platform):
    assert vantaprism.send("GET", "/v1/account", {}, "--http").out_bytes == (
        b"HTTP/1.1 401 Unauthorized\r\n"
        b"Content-Type: application/json\r\n"
        b"WWW-Authenticate: Bearer\r\n"
        b"\r\n"
        b"{\n"
        b'  "error": {\n'
        b'    "code": "INVALID_API_KEY",\n'
        b'    "message": "API key required (api-key header or Authorization: Bearer)"\n'
        b"  }\n"
        b"}"
    )


def test_head_is_answered_as_get_is_and_without_content(vantaprism: Platform):
    for path in ("/v1/health", "/v1/health/ready"):
        assert vantaprism.code("HEAD", path, {}) == "VALID"

    assert vantaprism.send("HEAD", "/v1/account", {}, "--http").out_bytes == (
        b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nWWW-Authenticate: Bearer\r\n\r\n"
    )


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ENDPOINTS = [
    ("search:domain", "/v1/search/domain"),
    ("search:domain", "/v1/company-exposure"),
    ("search:domain", "/v1/domains/example.com/overview"),
    ("search:domain", "/v1/domains/example.com/assets"),
    ("search:domain", "/v1/domains/example.com/timeline"),
    ("search:domain", "/v1/top-exposed"),
    ("search:login", "/v1/search/email"),
    ("search:login", "/v1/search/username"),
    ("search:login", "/v1/data/credentials"),
    ("search:ip", "/v1/search/ip"),
    ("search:ip", "/v1/search/cidr"),
    ("search:stealer", "/v1/search/stealer"),
    ("search:stealer", "/v1/search/pc-name"),
    ("search:stealer", "/v1/victims/v1"),
    ("search:password", "/v1/search/password"),
    ("search:file", "/v1/search/file"),
    ("search:file", "/v1/victims/v1/files"),
    ("search:keyword", "/v1/search/keyword"),
    ("search:keyword", "/v1/search/keyword/urls"),
    ("search:advanced", "/v1/search/advanced"),
    ("search:advanced", "/v1/third-party-risk"),
    ("infection-analysis", "/v1/infection-analysis"),
    *((scope, f"/v1/data/{scope[5:]}") for scope in SCOPES if scope.startswith("view:")),
    *((scope, f"/v1/victims/v1/{scope[5:]}") for scope in SCOPES if scope.startswith("view:")),
]


def test_a_key_is_issued_with_a_set_of_scopes(vantaprism: Platform):
    assert vantaprism.mint("--owner", "acme", "--scope", ",".join(SCOPES))["scopes"] == SCOPES
    vantaprism.cli("mint", "--owner", "acme", "--scope", "view:passwords", check=2)


def test_scopes_gate_access_to_endpoint_groups(vantaprism: Platform):
    some = {scope: vantaprism.mint("--owner", "acme", "--scope", scope) for scope in SCOPES}
    others = {
        scope: vantaprism.mint("--owner", "acme", "--scope", ",".join(one for one in SCOPES if one != scope))
        for scope in SCOPES
    }

    for scope, path in ENDPOINTS:
        assert vantaprism.code("GET", path, api_key(some[scope])) == "VALID", path
        expected = Response("403 Forbidden", JSON, FORBIDDEN % scope, 16)
        assert vantaprism.request("GET", path, api_key(others[scope])) == expected, path


def test_a_key_without_scopes_reaches_the_account_alone(vantaprism: Platform):
    """Nothing passes because the profile does not know it: a scope may be required there."""
    bare = vantaprism.mint("--owner", "acme")
    every = vantaprism.mint("--owner", "acme", "--scope", ",".join(SCOPES))

    assert vantaprism.code("GET", "/v1/account", api_key(bare)) == "VALID"
    for (_, path), method in zip(ENDPOINTS, cycle(("GET", "POST", "HEAD", "PATCH", "DELETE")), strict=False):
        assert vantaprism.code(method, path, api_key(bare)) == "FORBIDDEN_SCOPE", path
    for method, path in [
        *(("POST", "/v1/account"), ("GET", "/v1/account/keys"), ("GET", "/v1/anything"), ("GET", "/v1/victims")),
        *(("GET", "/v1/data"), ("GET", "/v1/search"), ("GET", "/v1/domains"), ("GET", "/v1"), ("GET", "/")),
    ]:
        assert vantaprism.code(method, path, api_key(every)) == "NO_ROUTE", path


def test_a_missing_scope_is_named_as_the_page_has_it(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme", "--scope", "view:cookies")

    assert vantaprism.send("POST", "/v1/data/keychain", bearer(key), "--http").out_bytes == (
        b"HTTP/1.1 403 Forbidden\r\n"
        b"Content-Type: application/json\r\n"
        b"\r\n"
        b"{\n"
        b'  "error": {\n'
        b'    "code": "FORBIDDEN_SCOPE",\n'
        b'    "message": "Your API key does not have scope: \'view:keychain\'"\n'
        b"  }\n"
        b"}"
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/v1/data/keychain/x", "403 Forbidden"), ("/v1/data/keychain/", "403 Forbidden")),
        *(("/v1/data/Keychain", "403 Forbidden"), ("/v1/Data/keychain", "400 Bad Request")),
        *(("/v1/data/cookies;keychain", "400 Bad Request"), ("/v1/data/cookies|x", "400 Bad Request")),
        *(("/v1/data/*", "403 Forbidden"), ("/v1/data/unheard-of", "403 Forbidden")),
    ],
)
def test_no_spelling_of_a_path_chooses_a_scope_that_the_key_has(vantaprism: Platform, path: str, status: str):
    key = vantaprism.mint("--owner", "acme", "--scope", "view:cookies")

    assert vantaprism.request("GET", path, api_key(key)).status == status


@pytest.mark.parametrize(("tier", "available"), [("free", 16), ("pro", 16), ("ultra", 17)])
def test_the_tier_determines_which_scopes_are_available(vantaprism: Platform, tier: str, available: int):
    vantaprism.owner("tiered", "--plan", tier)
    codes = [vantaprism.cli("mint", "--owner", "tiered", "--scope", scope).code for scope in SCOPES]

    assert codes.count(0) == available
    assert set(codes) <= {0, 4}
    assert codes[SCOPES.index("infection-analysis")] == (0 if tier == "ultra" else 4)


def test_a_customer_moved_from_ultra_loses_its_scopes_at_once_and_has_them_again_afterwards(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme", "--scope", "infection-analysis,view:cookies")
    for tier in ("free", "pro"):
        vantaprism.cli("owner", "update", "acme", "--plan", tier, check=0)
        refused = vantaprism.request("GET", "/v1/infection-analysis", api_key(key))
        assert refused == Response("403 Forbidden", JSON, FORBIDDEN % "infection-analysis", 16)
        assert vantaprism.code("GET", "/v1/data/cookies", api_key(key)) == "VALID"

    vantaprism.cli("owner", "update", "acme", "--plan", "ultra", check=0)

    assert vantaprism.code("GET", "/v1/infection-analysis", api_key(key)) == "VALID"


# ── other authentication error codes ─────────────────────────────────────────────────────────────────────────────────


def test_a_malformed_key_is_401_invalid_api_key(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")["key"]

    for text in (key[:-1], key + "0", key.upper(), key.replace(".", "_"), key.replace("_live_", "_prod_"), "x"):
        assert account(vantaprism, {"api-key": text}) == UNRECOGNIZED, text


def test_an_unrecognized_key_is_401_invalid_api_key(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")["key"]
    prefix, _, secret = key.partition(".")
    other = "0" * 8 if prefix[-8:] != "0" * 8 else "1" * 8

    for text in (f"{prefix}.{secret[::-1]}", f"{prefix[:-8]}{other}.{secret}", key.replace("_live_", "_test_")):
        assert account(vantaprism, {"Authorization": f"Bearer {text}"}) == UNRECOGNIZED, text


def test_a_header_sent_twice_is_401_invalid_api_key(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")["key"]

    answer = vantaprism.request("GET", "/v1/account", [("api-key", key), ("Api-Key", key)])
    assert answer == Response("401 Unauthorized", CHALLENGE, UNRECOGNIZED.body, 23)


def test_a_revoked_key_is_403_key_revoked(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")

    vantaprism.cli("revoke", key["prefix"], check=0)

    revoked = Response("403 Forbidden", JSON, REFUSED % ("KEY_REVOKED", "Key has been revoked"), 12)
    assert account(vantaprism, api_key(key)) == revoked


def test_a_key_that_is_temporarily_locked_is_403_key_locked(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")

    vantaprism.cli("lock", key["prefix"], "--for", "1h", "--reason", "repeated abuse", check=0)

    locked = Response("403 Forbidden", JSON, REFUSED % ("KEY_LOCKED", "Key is temporarily locked"), 14)
    assert account(vantaprism, api_key(key)) == locked
    vantaprism.cli("unlock", key["prefix"], check=0)
    assert account(vantaprism, api_key(key)).status == "200 OK"


def test_a_key_of_a_disabled_account_is_403_customer_inactive(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")

    vantaprism.cli("owner", "disable", "acme", "--yes", check=0)

    body = REFUSED % ("CUSTOMER_INACTIVE", "Your account is currently disabled")
    assert account(vantaprism, api_key(key)) == Response("403 Forbidden", JSON, body, 15)
    vantaprism.cli("owner", "enable", "acme", check=0)
    assert account(vantaprism, api_key(key)).status == "200 OK"


def test_no_state_of_a_key_is_disclosed_without_its_secret(vantaprism: Platform):
    key = vantaprism.mint("--owner", "acme")
    vantaprism.cli("revoke", key["prefix"], check=0)
    vantaprism.cli("owner", "disable", "acme", "--yes", check=0)

    assert account(vantaprism, {"api-key": key["key"][:-1] + ("0" if key["key"][-1] != "0" else "1")}) == UNRECOGNIZED


# ── CORS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def preflight(origin: str, method: str = "PATCH") -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "api-key"}


@pytest.mark.parametrize("path", ["/v1/account", "/v1/data/cookies", "/v1/health"])
def test_methods_and_headers_are_allowed_cross_origin(vantaprism: Platform, path: str):
    assert vantaprism.request("OPTIONS", path, preflight(ORIGIN)) == Response(
        "204 No Content",
        {
            "Access-Control-Allow-Origin": ORIGIN,
            "Vary": "Origin",
            "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, api-key",
        },
        "",
        0,
    )


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.acme.example.evil", "https://app", "null", "*"]
)
def test_an_origin_must_be_on_the_list_of_an_account(vantaprism: Platform, origin: str):
    answer = vantaprism.request("OPTIONS", "/v1/account", preflight(origin))

    assert (answer.status, answer.code) == ("403 Forbidden", 27)
    assert answer.headers == {"Content-Type": "application/json", "Vary": "Origin"}


def test_an_origin_is_kept_as_browsers_send_it_or_refused_with_the_reason(vantaprism: Platform):
    listed = "allowed_origins=HTTPS://New.Example:443/, http://localhost:3000,https://new.example"
    added = vantaprism.owner("spelled", "--attr", listed)

    assert added["attributes"]["allowed_origins"] == ["https://new.example", "http://localhost:3000"]
    assert vantaprism.code("OPTIONS", "/v1/account", preflight("https://new.example")) == "VALID"
    for wrong, why in [
        ("app.example", "it has no scheme"),
        ("*", "it would be every page"),
        ("https://app.example/login", "it has a path"),
        ("https://*.app.example", "its host is a pattern"),
    ]:
        says = f'"{wrong}" is not an origin: {why}'
        for command in (["add", "other"], ["update", "acme"]):
            refused(vantaprism.cli, "owner", *command, "--attr", f"allowed_origins={wrong}", code=2, says=says)


def test_an_answer_is_for_the_origins_of_the_keys_own_account_alone(vantaprism: Platform):
    vantaprism.owner("other", "--attr", "allowed_origins=https://other.example")
    acme, other = vantaprism.mint("--owner", "acme"), vantaprism.mint("--owner", "other")

    def allowed(headers: dict[str, str]) -> dict[str, str]:
        answer = account(vantaprism, {**headers, "Origin": ORIGIN})
        assert answer.headers["Vary"] == "Origin"
        return {name: value for name, value in answer.headers.items() if name.startswith("Access-")}

    assert allowed(api_key(acme)) == {"Access-Control-Allow-Origin": ORIGIN}
    assert allowed(api_key(other)) == {}
    assert allowed({}) == {}
    vantaprism.cli("revoke", acme["prefix"], check=0)
    assert allowed(api_key(acme)) == {"Access-Control-Allow-Origin": ORIGIN}  # so that a page can read the refusal


def test_an_inactive_accounts_origins_are_not_allowed(vantaprism: Platform):
    vantaprism.cli("owner", "disable", "acme", "--yes", check=0)

    assert vantaprism.request("OPTIONS", "/v1/account", preflight(ORIGIN)).status == "403 Forbidden"


def test_support_adds_a_browser_origin(vantaprism: Platform):
    new = "https://new.example"
    assert vantaprism.code("OPTIONS", "/v1/account", preflight(new)) == "FORBIDDEN_ORIGIN"

    vantaprism.cli("owner", "update", "acme", "--attr", f"allowed_origins={ORIGIN},{new}", check=0)

    assert vantaprism.code("OPTIONS", "/v1/account", preflight(new)) == "VALID"
    assert vantaprism.code("OPTIONS", "/v1/account", preflight("https://acme.example")) == "FORBIDDEN_ORIGIN"


def test_a_request_that_names_no_origin_is_answered_without_cors_headers(vantaprism: Platform):
    assert account(vantaprism, api_key(vantaprism.mint("--owner", "acme"))).headers == {}


# ── rotating a key ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rotated_key_immediately_answers_key_revoked_since_there_is_no_grace_period(vantaprism: Platform):
    old = vantaprism.mint("--owner", "acme", "--scope", "view:cookies")

    new = vantaprism.cli("rotate", old["prefix"], "--json", check=0).json

    body = REFUSED % ("KEY_REVOKED", "Key has been revoked")
    assert vantaprism.request("GET", "/v1/data/cookies", api_key(old)) == Response("403 Forbidden", JSON, body, 12)
    assert vantaprism.request("GET", "/v1/data/cookies", api_key(new)).status == "200 OK"


def test_the_new_key_can_be_deployed_before_the_old_one_is_revoked(vantaprism: Platform):
    old = vantaprism.mint("--owner", "acme")
    new = vantaprism.mint("--owner", "acme")
    assert [account(vantaprism, api_key(key)).status for key in (old, new)] == ["200 OK", "200 OK"]

    vantaprism.cli("revoke", old["prefix"], check=0)

    assert [account(vantaprism, api_key(key)).status for key in (old, new)] == ["403 Forbidden", "200 OK"]
