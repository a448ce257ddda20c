"""VoxPria's page on authentication, statement by statement."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path
from typing import Any

import pytest

from keyctl import Limiter, Verifier
from tests.cli.helpers import ago, location, set_key
from tests.platforms.conformance import Platform, bearer
from tests.redis_server import RedisServer
from tests.runner import Cli

READ_WRITE = ("calls", "campaigns", "agents", "contacts", "webhooks")
READ_ONLY = ("credits", "analytics")
CALLS = "/api/v1/calls"
EVERYTHING = ",".join(
    [*(f"{resource}:{action}" for resource in READ_WRITE for action in ("read", "write"))]
    + [f"{resource}:read" for resource in READ_ONLY]
)


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("voxpria"))
    Platform(cli, "voxpria").owner("acme", "--plan", "starter")
    cli.close()
    return cli.home


@pytest.fixture
def voxpria(cli: Cli, _home: Path) -> Platform:
    """VoxPria with one account, on the plan Starter."""
    return Platform.copied(cli, _home)


def x_api_key(key: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": key["key"]}


# ── authentication methods ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_recommended_way_is_authorization_bearer(voxpria: Platform, scheme: str):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")["key"]

    assert voxpria.request("GET", CALLS, {"Authorization": f"{scheme} {key}"}).status == "200 OK"
    for other in (key, f"Basic {key}", f"Bearer{key}", f"Token {key}"):
        assert voxpria.request("GET", CALLS, {"Authorization": other}).status == "401 Unauthorized"


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key"])
def test_the_alternative_is_the_x_api_key_header(voxpria: Platform, name: str):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")["key"]

    assert voxpria.request("GET", CALLS, {name: key}).status == "200 OK"
    assert voxpria.request("GET", CALLS, {name: f"Bearer {key}"}).status == "401 Unauthorized"


def test_both_methods_provide_the_same_level_of_security(voxpria: Platform):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read", "--allow-ip", "192.0.2.0/24")
    revoked = voxpria.mint("--owner", "acme")
    voxpria.cli("revoke", revoked["prefix"], check=0)
    unknown = {"key": key["key"][:-1] + ("a" if key["key"][-1] != "a" else "b")}

    for one, ip in [(key, "192.0.2.1"), (key, "198.51.100.1"), (revoked, None), (unknown, None)]:
        for method in ("GET", "POST"):
            answers = [voxpria.request(method, CALLS, way(one), ip=ip) for way in (bearer, x_api_key)]
            assert answers[0] == answers[1]


def test_a_request_that_uses_both_methods_is_refused(voxpria: Platform):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")

    assert voxpria.request("GET", CALLS, bearer(key) | x_api_key(key)).status == "401 Unauthorized"
    assert voxpria.code("GET", CALLS, bearer(key) | x_api_key(key)) == "AMBIGUOUS_CREDENTIALS"


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"X-API-Key": ""}])
def test_requests_are_authenticated_with_api_keys(voxpria: Platform, headers: dict[str, str]):
    answer = voxpria.request("GET", CALLS, headers)

    assert (answer.status, answer.code) == ("401 Unauthorized", 10)
    assert answer.headers == {"Content-Type": "application/json", "WWW-Authenticate": "Bearer"}
    assert json.loads(answer.body) == {"error": {"code": "MISSING_API_KEY", "message": "An API key is required"}}


def test_a_secret_has_256_bits(voxpria: Platform):
    key = voxpria.mint("--owner", "acme")["key"]

    assert re.fullmatch(r"vox_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}", key)
    assert 43 * math.log2(62) >= 256


@pytest.mark.parametrize("options", [{"scheme": "http"}, {"proxy": "10.0.0.0/8", "ip": "10.0.0.1"}])
def test_keys_are_taken_over_https_alone(voxpria: Platform, options: dict[str, str]):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")

    answer = voxpria.request("GET", CALLS, bearer(key) | {"X-Forwarded-Proto": "http"}, **options)
    assert (answer.status, answer.code) == ("403 Forbidden", 22)


# ── permission scopes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_of_scopes_has_twelve_of_the_thirteen_that_the_page_counts(voxpria: Platform):
    assert voxpria.mint("--owner", "acme", "--scope", EVERYTHING)["scopes"] == EVERYTHING.split(",")
    assert len(EVERYTHING.split(",")) == 12


@pytest.mark.parametrize("resource", [*READ_WRITE, *READ_ONLY])
def test_reading_a_resource_needs_its_read_scope(voxpria: Platform, resource: str):
    reader = voxpria.mint("--owner", "acme", "--scope", f"{resource}:read")
    other = voxpria.mint(
        "--owner", "acme", "--scope", ",".join(one for one in EVERYTHING.split(",") if one != f"{resource}:read")
    )

    for path in (f"/api/v1/{resource}", f"/api/v1/{resource}/42", f"/api/v1/{resource}/42/history?page=2"):
        assert voxpria.code("GET", path, bearer(reader)) == "VALID"
        assert voxpria.request("GET", path, bearer(other)).status == "403 Forbidden"
    assert voxpria.code("HEAD", f"/api/v1/{resource}", bearer(reader)) == "VALID"
    assert voxpria.decide("GET", f"/api/v1/{resource}", bearer(other))["reason"] == f"missing scope {resource}:read"


@pytest.mark.parametrize("resource", READ_WRITE)
def test_changing_a_resource_needs_its_write_scope(voxpria: Platform, resource: str):
    writer = voxpria.mint("--owner", "acme", "--scope", f"{resource}:write")
    reader = voxpria.mint("--owner", "acme", "--scope", f"{resource}:read")

    for method, path in [
        ("POST", f"/api/v1/{resource}"),
        ("PUT", f"/api/v1/{resource}/42"),
        ("PATCH", f"/api/v1/{resource}/42"),
        ("DELETE", f"/api/v1/{resource}/42"),
        ("POST", f"/api/v1/{resource}/42/start"),
    ]:
        assert voxpria.code(method, path, bearer(writer)) == "VALID"
        assert voxpria.request(method, path, bearer(reader)).status == "403 Forbidden"
    assert voxpria.code("GET", f"/api/v1/{resource}", bearer(writer)) == "FORBIDDEN_SCOPE"


@pytest.mark.parametrize("resource", READ_ONLY)
def test_a_read_only_resource_has_no_write_scope_and_no_key_changes_it(voxpria: Platform, resource: str):
    everything = voxpria.mint("--owner", "acme", "--scope", EVERYTHING)

    refused = voxpria.cli("mint", "--owner", "acme", "--scope", f"{resource}:write", check=2)
    assert f'unknown scope "{resource}:write"' in refused.err
    for method in ("POST", "PUT", "PATCH", "DELETE", "get"):
        assert voxpria.request(method, f"/api/v1/{resource}", bearer(everything)).code in (16, 25)


def test_a_path_chooses_no_scope_that_the_key_lacks(voxpria: Platform):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")

    for path in ("/api/v1/calls/../contacts", "/api/v1/calls/%2e%2e/contacts", "/api/v1/calls//x", "/api/v1/c%61lls"):
        assert voxpria.request("GET", path, bearer(key)).status == "400 Bad Request"
    for path in ("/api/v1/contacts", "/api/v1/calls:read", "/api/v1/Calls", "/api/v1/unheard-of"):
        assert voxpria.request("GET", path, bearer(key)).status == "403 Forbidden"
    for path in ("/", "/api/v2/calls", "/calls", "/api/v1/"):
        assert voxpria.request("GET", path, bearer(key)).status == "404 Not Found"


# ── security best practices ──────────────────────────────────────────────────────────────────────────────────────────


def test_never_expose_keys_in_arguments_or_addresses(voxpria: Platform):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")["key"]

    assert key not in voxpria.cli("show", key, check=2).err
    for path in (f"{CALLS}?api_key={key}", f"{CALLS}?k={key.replace('_', '%5F')}", f"{CALLS}/{key}"):
        answer = voxpria.request("GET", path, {"X-API-Key": key})
        assert (answer.status, key in answer.body) == ("401 Unauthorized", False)
        assert key not in voxpria.send("GET", path, {"X-API-Key": key}).out


def test_keys_can_be_kept_in_environment_variables(voxpria: Platform):
    script = f"""
        KEYCTL_KEY=$(keyctl mint --owner acme --scope calls:read)
        printf 'GET {CALLS} HTTP/1.1\\nAuthorization: Bearer %s\\n\\n' "$KEYCTL_KEY" | keyctl verify --request -
    """

    assert voxpria.cli.shell(script).out.startswith("VALID ")


def test_keys_to_rotate_every_90_days_are_listed(voxpria: Platform):
    ages = {days: voxpria.mint("--owner", "acme")["prefix"] for days in (0, 89, 91)}
    for days, prefix in ages.items():
        set_key(voxpria.cli, prefix, created_at=ago(days=days))

    listed = voxpria.cli("list", "--due", "--json", check=0).json["keys"]

    assert [key["prefix"] for key in listed] == [ages[91]]


def test_a_new_key_is_generated_before_the_old_one_is_revoked(voxpria: Platform):
    old = voxpria.mint("--owner", "acme", "--scope", "calls:read")

    new = voxpria.cli("rotate", old["prefix"], "--json", check=0).json

    assert [voxpria.code("GET", CALLS, bearer(key)) for key in (old, new)] == ["VALID", "VALID"]
    voxpria.cli("revoke", old["prefix"], check=0)
    assert [voxpria.code("GET", CALLS, bearer(key)) for key in (old, new)] == ["KEY_REVOKED", "VALID"]


def test_a_compromised_key_is_rotated_immediately(voxpria: Platform):
    old = voxpria.mint("--owner", "acme", "--scope", "calls:read")

    voxpria.cli("rotate", old["prefix"], "--grace", "0", "--reason", "compromised", check=0)

    assert voxpria.request("GET", CALLS, bearer(old)).status == "401 Unauthorized"


def test_a_key_is_restricted_to_specific_ip_addresses(voxpria: Platform):
    networks = ["192.0.2.7", "198.51.100.0/24", "203.0.113.128/25", "2001:db8::/32"]
    key = voxpria.mint(
        "--owner", "acme", "--scope", "calls:read", *(word for one in networks for word in ("--allow-ip", one))
    )

    for ip in ("192.0.2.7", "198.51.100.255", "203.0.113.128", "2001:db8::1", "::ffff:192.0.2.7"):
        assert voxpria.request("GET", CALLS, bearer(key), ip=ip).status == "200 OK", ip
    for address in ("192.0.2.8", "203.0.113.127", "2001:db9::1", None):
        answer = voxpria.request("GET", CALLS, bearer(key), ip=address)
        assert (answer.status, answer.code) == ("403 Forbidden", 17), address
        assert json.loads(answer.body)["error"]["code"] == "FORBIDDEN_IP"


def test_behind_a_proxy_the_address_that_counts_is_the_one_it_saw(voxpria: Platform):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read", "--allow-ip", "192.0.2.0/24")

    def code(ip: str, *forwarded: str) -> str:
        headers = [*bearer(key).items(), *(("X-Forwarded-For", value) for value in forwarded)]
        return voxpria.code("GET", CALLS, headers, ip=ip, proxy="10.0.0.0/8")

    assert code("10.0.0.1", "192.0.2.1") == "VALID"
    assert code("10.0.0.1", "198.51.100.1, 192.0.2.1, 10.0.0.2") == "VALID"
    assert code("10.0.0.1", "192.0.2.1", "198.51.100.1") == "FORBIDDEN_IP"
    assert code("10.0.0.1", "192.0.2.1, 198.51.100.1") == "FORBIDDEN_IP"
    assert code("198.51.100.1", "192.0.2.1") == "FORBIDDEN_IP"


def test_only_the_minimum_scopes_are_granted(voxpria: Platform):
    bare = voxpria.mint("--owner", "acme")

    assert bare["scopes"] == []
    for resource in (*READ_WRITE, *READ_ONLY):
        assert voxpria.code("GET", f"/api/v1/{resource}", bearer(bare)) == "FORBIDDEN_SCOPE"


def test_different_apps_have_separate_keys(voxpria: Platform):
    dialler = voxpria.mint("--owner", "acme", "--name", "dialler", "--scope", "calls:write")
    board = voxpria.mint("--owner", "acme", "--name", "board", "--scope", "analytics:read")

    voxpria.cli("revoke", dialler["prefix"], check=0)

    assert voxpria.code("GET", "/api/v1/analytics", bearer(board)) == "VALID"


def test_usage_of_a_key_is_noted(voxpria: Platform):
    used, unused = (voxpria.mint("--owner", "acme", "--scope", "calls:read") for _ in range(2))

    voxpria.send("GET", CALLS, bearer(used), "--record", check=0)

    assert voxpria.cli("show", used["prefix"], "--json", check=0).json["last_used_at"]
    listed = voxpria.cli("list", "--unused-for", "0", "--json", check=0).json["keys"]
    assert unused["prefix"] in [key["prefix"] for key in listed]


def test_no_browser_may_use_a_key(voxpria: Platform):
    key = voxpria.mint("--owner", "acme", "--scope", EVERYTHING)
    origin = {"Origin": "https://app.example"}

    preflight = voxpria.request("OPTIONS", CALLS, origin | {"Access-Control-Request-Method": "GET"})
    answers = [preflight, voxpria.request("GET", CALLS, bearer(key) | origin)]

    assert preflight.status == "401 Unauthorized"
    assert not any(name.startswith("Access-Control-") for answer in answers for name in answer.headers)


# ── rate limits ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("plan", "an_hour", "a_minute"),
    [("trial", 1_000, 100), ("starter", 5_000, 500), ("professional", 25_000, 2_500)],
)
def test_a_plan_has_requests_an_hour_and_a_burst_limit(voxpria: Platform, plan: str, an_hour: int, a_minute: int):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")

    voxpria.cli("owner", "update", "acme", "--plan", plan, check=0)

    assert limits_of(voxpria.decide("GET", CALLS, bearer(key))) == [(an_hour, 3600), (a_minute, 60)]
    assert voxpria.request("GET", CALLS, bearer(key)).headers == {"X-RateLimit-Limit": str(an_hour)}


def test_an_account_begins_with_the_free_trial(voxpria: Platform):
    assert voxpria.owner("new")["plan"] == "trial"


def test_the_limits_of_an_enterprise_are_its_own(voxpria: Platform):
    voxpria.owner("big", "--plan", "enterprise", "--attr", "limits=100000/1h,7000/90s")
    key = voxpria.mint("--owner", "big", "--scope", "calls:read")

    assert limits_of(voxpria.decide("GET", CALLS, bearer(key))) == [(100_000, 3600), (7_000, 90)]
    assert voxpria.request("GET", CALLS, bearer(key)).headers == {"X-RateLimit-Limit": "100000"}


@pytest.mark.parametrize(
    "words",
    [
        ("add", "big", "--plan", "enterprise"),
        ("add", "big", "--plan", "enterprise", "--attr", "limits="),
        ("add", "big", "--plan", "enterprise", "--attr", "limits=,"),
        ("update", "acme", "--plan", "enterprise"),
        ("update", "acme", "--plan", ""),
    ],
)
def test_an_enterprise_without_limits_of_its_own_is_refused(voxpria: Platform, words: tuple[str, ...]):
    refused = voxpria.cli("owner", *words, check=4)

    assert "rate limits" in refused.err
    assert voxpria.cli("owner", "show", "acme", "--json", check=0).json["plan"] == "starter"
    voxpria.cli("owner", "show", "big", check=3)


def test_the_limits_of_an_enterprise_can_be_changed_and_not_removed(voxpria: Platform):
    voxpria.cli("owner", "update", "acme", "--plan", "enterprise", "--attr", "limits=9/1h", check=0)
    voxpria.cli("owner", "update", "acme", "--attr", "limits=8/1h", "--name", "Acme", check=0)

    assert "rate limits" in voxpria.cli("owner", "update", "acme", "--attr", "limits=", check=4).err
    voxpria.cli("owner", "update", "acme", "--plan", "trial", "--attr", "limits=", check=0)


def test_limits_of_its_own_do_not_change_those_of_another_plan(voxpria: Platform):
    voxpria.cli("owner", "update", "acme", "--attr", "limits=100000/1h", check=0)
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")

    assert voxpria.request("GET", CALLS, bearer(key)).headers == {"X-RateLimit-Limit": "5000"}


@pytest.mark.parametrize(
    "limits", ["100000", "many/1h", "0/1h", "-5/1h", "5/0", "5/never", "5000/1h,x", "1_000/1h", "5/1h,9/60m"]
)
def test_a_limit_that_cannot_be_read_is_refused_when_it_is_set(voxpria: Platform, limits: str):
    voxpria.cli("owner", "add", "big", "--plan", "enterprise", "--attr", f"limits={limits}", check=2)


def test_the_limit_is_included_in_every_answer_once_a_key_is_proven(voxpria: Platform):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read", "--allow-ip", "192.0.2.1")

    def limit(method: str = "GET", path: str = CALLS, ip: str = "192.0.2.1") -> tuple[str, str | None]:
        answer = voxpria.request(method, path, bearer(key), ip=ip)
        assert not {"X-RateLimit-Remaining", "X-RateLimit-Reset"} & answer.headers.keys()  # there is no limiter
        return answer.status[:3], answer.headers.get("X-RateLimit-Limit")

    assert limit() == ("200", "5000")
    assert limit("POST") == ("403", "5000")
    assert limit(ip="192.0.2.2") == ("403", "5000")
    assert limit(path="/elsewhere") == ("404", "5000")
    assert limit(path="//") == ("400", None)
    voxpria.cli("lock", key["prefix"], check=0)
    assert limit() == ("403", "5000")
    voxpria.cli("revoke", key["prefix"], check=0)
    assert limit() == ("401", "5000")


def limits_of(decision: dict[str, Any]) -> list[tuple[int, int]]:
    return [(limit["requests"], limit["seconds"]) for limit in decision["limits"]]


def test_with_a_limiter_what_is_left_is_in_every_response(voxpria: Platform, redis_server: RedisServer):
    voxpria.cli.env["KEYCTL_LIMITER"] = redis_server.url
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read", "--allow-ip", "192.0.2.1")

    def left(method: str = "GET", path: str = CALLS, ip: str = "192.0.2.1") -> tuple[str, str | None, str | None]:
        answer = voxpria.request(method, path, bearer(key), ip=ip)
        reset = answer.headers.get("X-RateLimit-Reset")
        assert reset is None or 0 <= int(reset) - time.time() <= 61
        return (answer.status[:3], *(answer.headers.get(f"X-RateLimit-{name}") for name in ("Limit", "Remaining")))

    assert [left(), left()] == [("200", "500", "499"), ("200", "500", "498")]
    # What is refused for another reason is not counted.
    assert left("POST") == ("403", "500", "498")
    assert left(ip="192.0.2.2") == ("403", "500", "498")
    assert left(path="/elsewhere") == ("404", "500", "498")
    assert left(path="//") == ("400", None, None)
    voxpria.cli("lock", key["prefix"], check=0)
    assert left() == ("403", "500", "498")
    voxpria.cli("revoke", key["prefix"], check=0)
    assert left() == ("401", "500", "498")


def test_a_burst_of_1200_requests_is_limited_per_api_key(voxpria: Platform):
    voxpria.cli("owner", "update", "acme", "--plan", "trial", check=0)
    keys = [voxpria.mint("--owner", "acme", "--scope", "calls:read")["key"] for _ in range(2)]

    with Limiter() as limiter, Verifier.from_store(location(voxpria.cli), limiter=limiter) as verifier:
        decisions = [verifier.verify_request("GET", CALLS, bearer(keys[0])) for _ in range(1_200)]
        other = verifier.verify_request("GET", CALLS, bearer(keys[1]))

    assert [str(one.code) for one in decisions] == ["VALID"] * 100 + ["RATE_LIMITED"] * 1_100
    assert [one.remaining for one in decisions[-1].limits] == [900, 0]
    answer = decisions[-1].response()
    assert (answer.status, answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == (
        429,
        "100",
        "0",
    )
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert other
    assert [one.remaining for one in other.limits] == [999, 99]


def test_rotation_is_no_way_around_a_limit(voxpria: Platform, redis_server: RedisServer):
    voxpria.cli.env["KEYCTL_LIMITER"] = redis_server.url
    voxpria.cli("owner", "update", "acme", "--plan", "enterprise", "--attr", "limits=3/1h", check=0)
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read")
    codes = [voxpria.code("GET", CALLS, bearer(key))]
    for _ in range(3):
        key = voxpria.cli("rotate", key["prefix"], "--json", check=0).json
        codes.append(voxpria.code("GET", CALLS, bearer(key)))

    assert codes == ["VALID", "VALID", "VALID", "RATE_LIMITED"]


# ── beside the page ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_gateway_gets_the_identity_and_what_to_drop_from_the_request(voxpria: Platform):
    key = voxpria.mint("--owner", "acme", "--scope", "calls:read,agents:read")
    forged = {"X-Account-Id": "own_other", "X_Account_Id": "own_other", "X-Key-Scopes": "contacts:write"}

    decision = voxpria.decide("GET", CALLS, bearer(key) | forged)

    assert decision["identity"]["headers"] == {
        "X-Account-Id": decision["owner"]["id"],
        "X-Account-Plan": "starter",
        "X-Key-Id": key["id"],
        "X-Key-Scopes": "calls:read,agents:read",
    }
    assert {"X-Account-Id", "X_Account_Id", "X-Account_Id", "X_Account-Id"} <= {*decision["identity"]["drop"]}
