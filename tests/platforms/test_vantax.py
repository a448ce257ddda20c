"""Vantax: every statement of its page on authentication that can be tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.helpers import location, refused, set_key
from tests.platforms.conformance import Platform, Response, bearer
from tests.runner import Cli

UNAUTHORIZED = """\
{
  "success": false,
  "message": "Invalid or missing API key"
}"""
FORBIDDEN = """\
{
  "success": false,
  "message": "This API key does not have access to this resource"
}"""
AGENCY_ENDPOINTS = ["/v1/agency", "/v1/agency/sub-accounts"]
RESOURCE_ENDPOINTS = ["/v1/agents", "/v1/contacts", "/v1/calls"]


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("vantax"))
    platform = Platform(cli, "vantax")
    platform.owner("north", "--kind", "agency")
    platform.owner("south", "--kind", "agency")
    platform.owner("north-shop", "--kind", "sub-account", "--parent", "north")
    platform.owner("north-bank", "--kind", "sub-account", "--parent", "north")
    cli.close()
    return cli.home


@pytest.fixture
def vantax(cli: Cli, _home: Path) -> Platform:
    """Two agencies, and two sub-accounts of the first."""
    return Platform.copied(cli, _home)


def unauthorized(response: Response) -> bool:
    return response.status == "401 Unauthorized" and response.body == UNAUTHORIZED


def forbidden(response: Response) -> bool:
    return response.status == "403 Forbidden" and response.body == FORBIDDEN


# ── API keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_look_like_vx_live_and_hex_digits_without_a_separator(vantax: Platform):
    minted = vantax.mint("--owner", "north")

    assert re.fullmatch(r"vx_live_[0-9a-f]{52}", minted["key"])
    assert re.fullmatch(r"vx_live_[0-9a-f]{12}", minted["prefix"])
    assert minted["key"].startswith(minted["prefix"])
    assert minted["environment"] == "live"


def test_every_key_identifies_whom_it_belongs_to(vantax: Platform):
    refused(vantax.cli, "mint", code=4, says="needs an owner")


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/agency", "/v1/anything/else", "/", "/nowhere"])
def test_every_request_must_include_a_valid_key(vantax: Platform, path: str):
    assert unauthorized(vantax.request("GET", path))
    assert vantax.code("GET", path) == "MISSING_API_KEY"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_key_is_passed_as_a_bearer_token(vantax: Platform, scheme: str):
    key = vantax.mint("--owner", "north-shop")["key"]

    assert vantax.request("GET", "/v1/agents", {"Authorization": f"{scheme} {key}"}).status == "200 OK"


@pytest.mark.parametrize("header", ["x-api-key", "X-API-Key", "X-Api-Key"])
def test_alternatively_the_key_is_sent_in_the_x_api_key_header(vantax: Platform, header: str):
    key = vantax.mint("--owner", "north-shop")["key"]

    assert vantax.request("GET", "/v1/agents", {header: key}).status == "200 OK"


@pytest.mark.parametrize("other", ["the same key", "another key", "no key", ""])
def test_never_both_headers_at_once(vantax: Platform, other: str):
    key, another = (vantax.mint("--owner", "north-shop")["key"] for _ in range(2))
    second = {"the same key": key, "another key": another}.get(other, other)

    for headers in (bearer(key) | {"x-api-key": second}, bearer(second) | {"x-api-key": key}):
        assert unauthorized(vantax.request("GET", "/v1/agents", headers))
        assert vantax.code("GET", "/v1/agents", headers) == "AMBIGUOUS_CREDENTIALS"


@pytest.mark.parametrize("name", ["Authorization", "x-api-key"])
def test_a_header_that_is_repeated_is_refused(vantax: Platform, name: str):
    key = vantax.mint("--owner", "north-shop")["key"]
    value = f"Bearer {key}" if name == "Authorization" else key

    assert unauthorized(vantax.request("GET", "/v1/agents", [(name, value), (name.lower(), value)]))


def test_another_authorization_scheme_is_no_second_key(vantax: Platform):
    key = vantax.mint("--owner", "north-shop")["key"]

    response = vantax.request("GET", "/v1/agents", {"Authorization": "Basic dTpw", "x-api-key": key})

    assert response.status == "200 OK"


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/agency", "/nowhere", "/v1//agents"])
@pytest.mark.parametrize("with_key", [True, False])
def test_plain_http_is_rejected_before_anything_else(vantax: Platform, path: str, with_key: bool):
    headers = bearer(vantax.mint("--owner", "north-shop")) if with_key else {}

    for response, decision in (
        (
            vantax.request("GET", path, headers, scheme="http"),
            vantax.decide("GET", path, headers, scheme="http"),
        ),
        (
            vantax.request("GET", path, headers | {"X-Forwarded-Proto": "http"}),
            vantax.decide("GET", path, headers | {"X-Forwarded-Proto": "http"}),
        ),
    ):
        assert (response.status, response.body, response.code) == ("403 Forbidden", "", 22)
        assert (decision["code"], decision["key"]) == ("INSECURE_TRANSPORT", None)


def test_https_that_a_proxy_ended_counts_only_if_the_proxy_is_trusted(vantax: Platform):
    headers = bearer(vantax.mint("--owner", "north-shop")) | {"X-Forwarded-Proto": "https"}
    told = {"scheme": "http", "ip": "10.0.0.1"}

    assert vantax.code("GET", "/v1/agents", headers, **told) == "INSECURE_TRANSPORT"
    assert vantax.code("GET", "/v1/agents", headers, **told, proxy="10.0.0.0/8") == "VALID"


# ── key scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("owner", "scope"), [("north", "AGENCY"), ("north-shop", "SUB-ACCOUNT")])
def test_keys_come_in_two_scopes_and_the_owner_decides_which(vantax: Platform, owner: str, scope: str):
    assert vantax.mint("--owner", owner)["scopes"] == [scope]
    assert vantax.mint("--owner", owner, "--scope", scope)["scopes"] == [scope]


@pytest.mark.parametrize(
    ("owner", "scopes"), [("north", "SUB-ACCOUNT"), ("north-shop", "AGENCY"), ("north", "AGENCY,SUB-ACCOUNT")]
)
def test_a_key_never_has_the_other_scope_nor_both(vantax: Platform, owner: str, scopes: str):
    refused(vantax.cli, "mint", "--owner", owner, "--scope", scopes, code=4, says="the scope of a key for")


def test_the_scope_of_a_key_never_changes(vantax: Platform):
    prefix = vantax.mint("--owner", "north")["prefix"]

    for change in ("--add", "--set", "--remove"):
        refused(vantax.cli, "scope", prefix, change, "SUB-ACCOUNT", code=4, says="follow from the owner's kind")


@pytest.mark.parametrize("path", AGENCY_ENDPOINTS)
def test_an_agency_key_reaches_agency_level_endpoints(vantax: Platform, path: str):
    key = vantax.mint("--owner", "north")

    for method in ("GET", "POST", "DELETE"):
        assert vantax.request(method, path, bearer(key)).status == "200 OK"


@pytest.mark.parametrize("path", RESOURCE_ENDPOINTS)
def test_a_sub_account_key_reaches_resource_endpoints(vantax: Platform, path: str):
    key = vantax.mint("--owner", "north-shop")

    for method in ("GET", "POST", "DELETE"):
        assert vantax.request(method, path, bearer(key)).status == "200 OK"


@pytest.mark.parametrize("path", [*RESOURCE_ENDPOINTS, "/v1/agents/42", "/v1/agencies"])
def test_an_agency_key_on_a_sub_account_endpoint_is_403(vantax: Platform, path: str):
    key = vantax.mint("--owner", "north")

    assert forbidden(vantax.request("GET", path, bearer(key)))
    assert vantax.code("GET", path, bearer(key)) == "FORBIDDEN_SCOPE"


@pytest.mark.parametrize("path", [*AGENCY_ENDPOINTS, "/v1/agency/", "/v1/agency/sub-accounts/42"])
def test_a_sub_account_key_on_an_agency_endpoint_is_403(vantax: Platform, path: str):
    key = vantax.mint("--owner", "north-shop")

    assert forbidden(vantax.request("GET", path, {"x-api-key": key["key"]}))
    assert vantax.code("GET", path, bearer(key)) == "FORBIDDEN_SCOPE"


@pytest.mark.parametrize(
    "path", ["/v1/agents/../agency", "/v1/agents//agency", "/v1/%61gency", "/v1/agents%2f..%2fagency", "/v1/./agency"]
)
def test_no_other_way_of_writing_a_path_leads_to_an_agency_endpoint(vantax: Platform, path: str):
    key = vantax.mint("--owner", "north-shop")

    response = vantax.request("GET", path, bearer(key))

    assert (response.status, response.code) == ("400 Bad Request", 25)


@pytest.mark.parametrize(("owner", "path"), [("north", "/v1/agency"), ("north-shop", "/v1/agents")])
def test_the_account_is_derived_from_the_key(vantax: Platform, owner: str, path: str):
    key = vantax.mint("--owner", owner)
    account = vantax.cli("owner", "show", owner, "--json", check=0).json

    decision = vantax.decide("GET", path, bearer(key))

    assert decision["owner"]["handle"] == owner
    assert decision["identity"]["headers"] == {
        "X-Account-Id": account["id"],
        "X-Account-Kind": account["kind"],
        "X-Key-Id": key["id"],
        "X-Key-Scope": key["scopes"][0],
    }


def test_an_account_passed_in_the_request_changes_nothing(vantax: Platform):
    key = vantax.mint("--owner", "north-shop")
    plain = vantax.decide("GET", "/v1/agents", bearer(key))
    claimed = {"X-Account-Id": "north-bank", "x_account_id": "north-bank", "X-Account-Kind": "agency"}

    decision = vantax.decide("GET", "/v1/agents?agency_id=south&sub_account_id=north-bank", bearer(key) | claimed)

    assert decision == plain
    assert {"X-Account-Id", "X_Account_Id", "X-Account-Kind", "X_Account_Kind"} <= set(decision["identity"]["drop"])


@pytest.mark.parametrize(
    ("owner", "path", "reached", "not_reached"),
    [
        ("north", "/v1/agency", "north", ["south", "north-shop", "nobody"]),
        ("north-shop", "/v1/agents", "north-shop", ["north-bank", "north", "nobody"]),
    ],
)
def test_a_key_acts_on_the_owning_account_alone(
    vantax: Platform, owner: str, path: str, reached: str, not_reached: list[str]
):
    headers = bearer(vantax.mint("--owner", owner))

    assert vantax.send("GET", path, headers, "--resource-owner", reached).code == 0
    for other in not_reached:
        answer = Response.read(vantax.send("GET", path, headers, "--http", "--resource-owner", other))
        assert forbidden(answer), other
        assert answer.code == 24


# ── making authenticated requests ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("header", ["Authorization: Bearer {}", "x-api-key: {}"])
def test_the_documents_two_requests_as_curl_sends_them(vantax: Platform, header: str):
    key = vantax.mint("--owner", "north-shop")["key"]
    lines = ["GET /v1/agents HTTP/1.1", "Host: api.vantaxai.com", "User-Agent: curl/8.5.0", "Accept: */*"]
    raw = "\r\n".join([*lines, header.format(key), "", ""])

    result = vantax.cli("verify", "--request", "-", stdin=raw, check=0)

    assert result.out.startswith("VALID vx_live_")
    assert key not in result.out + result.err


# ── unauthorized responses ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_malformed_or_invalid_key_returns_401(vantax: Platform):
    key = vantax.mint("--owner", "north-shop")["key"]
    last = "0" if key[-1] != "0" else "1"

    for presented in (
        "",
        "nonsense",
        "vx_live_3fa9c2...",
        "vx_test_" + key[8:],
        key[:-1],
        key + "0",
        key.upper(),
        "vx_live_" + key,
        f"{key} {key}",
        key[:-1] + last,
        "vx_live_" + "0" * 52,
    ):
        for headers in (bearer(presented), {"x-api-key": presented}):
            response = vantax.request("GET", "/v1/agents", headers)
            assert unauthorized(response), presented
            assert response.headers == {"Content-Type": "application/json"}


def test_a_key_in_the_query_string_is_refused(vantax: Platform):
    key = vantax.mint("--owner", "north-shop")["key"]

    assert unauthorized(vantax.request("GET", f"/v1/agents?api_key={key}"))
    assert unauthorized(vantax.request("GET", f"/v1/agents?api_key={key}", bearer(key)))


def test_a_key_that_is_valid_no_more_returns_401(vantax: Platform):
    """Assumed: the document does not distinguish revoked, expired and locked keys from invalid ones."""
    revoked, expired, locked = (vantax.mint("--owner", "north-shop") for _ in range(3))
    vantax.cli("revoke", revoked["prefix"], check=0)
    set_key(vantax.cli, expired["prefix"], expires_at=1)
    vantax.cli("lock", locked["prefix"], check=0)

    for key, code in ((revoked, "KEY_REVOKED"), (expired, "KEY_EXPIRED"), (locked, "KEY_LOCKED")):
        assert unauthorized(vantax.request("GET", "/v1/agents", bearer(key)))
        assert vantax.code("GET", "/v1/agents", bearer(key)) == code


def test_a_disabled_agency_stops_the_keys_of_its_sub_accounts(vantax: Platform):
    """Assumed, as above."""
    key = vantax.mint("--owner", "north-shop")
    vantax.cli("owner", "disable", "north", "--yes", check=0)

    assert unauthorized(vantax.request("GET", "/v1/agents", bearer(key)))
    assert vantax.code("GET", "/v1/agents", bearer(key)) == "OWNER_INACTIVE"


def test_an_endpoint_that_is_not_there_needs_a_key_all_the_same(vantax: Platform):
    key = vantax.mint("--owner", "north-shop")

    assert unauthorized(vantax.request("GET", "/v2/agents"))
    assert vantax.request("GET", "/v2/agents", bearer(key)).status == "404 Not Found"


# ── security best practices ──────────────────────────────────────────────────────────────────────────────────────────


def test_keys_are_rolled_on_a_schedule(vantax: Platform):
    old, new = (vantax.mint("--owner", "north-shop") for _ in range(2))
    set_key(vantax.cli, old["prefix"], created_at=1)

    listed = vantax.cli("list", "--due", "--json", check=0).json["keys"]

    assert [key["prefix"] for key in listed] == [old["prefix"]]
    assert new["prefix"] not in str(listed)


def test_a_key_that_may_have_leaked_is_rolled_immediately(vantax: Platform):
    old = vantax.mint("--owner", "north-shop")

    new = vantax.cli("rotate", old["prefix"], "--grace", "0", check=0).out.strip()

    assert unauthorized(vantax.request("GET", "/v1/agents", bearer(old)))
    assert vantax.request("GET", "/v1/agents", bearer(new)).status == "200 OK"


def test_a_key_goes_straight_into_an_environment_variable(vantax: Platform):
    done = vantax.cli.shell('VANTAX_API_KEY=$(keyctl mint --owner north-shop); keyctl verify <<< "$VANTAX_API_KEY"')

    assert done.out.startswith("VALID vx_live_")


def test_the_key_is_shown_once_and_kept_nowhere(vantax: Platform):
    minted = vantax.mint("--owner", "north-shop")
    secret = minted["key"].removeprefix(minted["prefix"])

    shown = [
        vantax.cli(*args, check=0)
        for args in (("show", minted["prefix"]), ("list", "--json"), ("audit", "list", "--json"))
    ]

    assert all(secret not in result.out + result.err for result in shown)
    assert secret.encode() not in Path(location(vantax.cli)).read_bytes()


# ── what the document does not have ──────────────────────────────────────────────────────────────────────────────────


def test_an_answer_to_administration_that_is_not_documented_is_refused_before_anything_changes(vantax: Platform):
    prefix = vantax.mint("--owner", "north")["prefix"]

    refused(vantax.cli, "mint", "--owner", "north", "--http", code=2, says="has no HTTP response")
    refused(vantax.cli, "revoke", prefix, "--http", code=2, says="has no HTTP response")
