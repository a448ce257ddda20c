"""Ventryx: every statement of its page on authentication that can be tested."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from pathlib import Path

import pytest

from keyctl import Recorder, Verifier
from tests.cli.helpers import location, refused
from tests.platforms.conformance import Platform, Response, bearer
from tests.runner import Cli

SCOPES = {
    "workflows:read": "List and retrieve workflows",
    "workflows:write": "Create, update, and delete workflows",
    "events:read": "List and retrieve events",
    "events:write": "Emit events",
    "api-keys:read": "List API keys",
    "api-keys:write": "Create and revoke API keys",
    "org:admin": "Full organization-level access",
}
# What each scope's description lets a key do. Assumed: all but the two that the document shows for API keys.
ENDPOINTS = {
    "workflows:read": ["GET /v1/workflows", "GET /v1/workflows/wf_1"],
    "workflows:write": [
        "POST /v1/workflows",
        "PATCH /v1/workflows/wf_1",
        "PUT /v1/workflows/wf_1",
        "DELETE /v1/workflows/wf_1",
    ],
    "events:read": ["GET /v1/events", "GET /v1/events/evt_1"],
    "events:write": ["POST /v1/events"],
    "api-keys:read": ["GET /v1/api-keys"],
    "api-keys:write": ["POST /v1/api-keys", "DELETE /v1/api-keys/key_01HXYZ"],
    "org:admin": ["GET /v1/organization", "POST /v1/members", "PATCH /v1/events/evt_1"],
}
EVERY_ENDPOINT = [endpoint for endpoints in ENDPOINTS.values() for endpoint in endpoints]


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("ventryx"))
    platform = Platform(cli, "ventryx")
    platform.owner("acme")
    platform.owner("other")
    cli.close()
    return cli.home


@pytest.fixture
def ventryx(cli: Cli, _home: Path) -> Platform:
    """Two organizations."""
    return Platform.copied(cli, _home)


def passes(ventryx: Platform, key: str, endpoint: str = "GET /v1/workflows") -> bool:
    return ventryx.request(*endpoint.split(), bearer(key)).status == "200 OK"


# ── API keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_authenticate_requests_on_behalf_of_an_organization(ventryx: Platform):
    key = ventryx.mint("--owner", "acme", "--scope", "workflows:read")
    organization = ventryx.cli("owner", "show", "acme", "--json", check=0).json

    decision = ventryx.decide("GET", "/v1/workflows", bearer(key) | {"X-Organization-Id": "other"})

    assert organization["kind"] == "organization"
    assert decision["owner"]["handle"] == "acme"
    assert decision["identity"]["headers"]["X-Organization-Id"] == organization["id"]
    assert "X-Organization-Id" in decision["identity"]["drop"]


def test_a_key_without_an_organization_is_not_made(ventryx: Platform):
    refused(ventryx.cli, "mint", code=4, says="needs an owner")


def test_keys_are_long_lived(ventryx: Platform):
    assert ventryx.mint("--owner", "acme")["expires_at"] is None


def test_the_key_is_passed_as_a_bearer_token_alone(ventryx: Platform):
    key = ventryx.mint("--owner", "acme", "--scope", "workflows:read")["key"]

    assert ventryx.request("GET", "/v1/workflows", {"authorization": f"bearer {key}"}).status == "200 OK"
    for headers in ({"X-API-Key": key}, {"Authorization": key}, {"Authorization": f"Basic {key}"}, {}):
        response = ventryx.request("GET", "/v1/workflows", headers)
        assert (response.status, response.code) == ("401 Unauthorized", 10)


# ── key format ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("environment", ["live", "test"])
def test_production_keys_and_sandbox_keys_are_distinguished_by_their_beginning(ventryx: Platform, environment: str):
    key = ventryx.mint("--owner", "acme", "--env", environment)

    assert key["environment"] == environment
    assert re.fullmatch(rf"vtx_{environment}_[0-9a-f]{{52}}", key["key"])
    assert re.fullmatch(rf"vtx_{environment}_[0-9a-f]{{12}}", key["prefix"])


def test_a_test_key_does_not_open_production(ventryx: Platform):
    key = ventryx.mint("--owner", "acme", "--env", "test", "--scope", "org:admin")

    for environment, code in (("test", 0), ("live", 18)):
        assert ventryx.send("GET", "/v1/workflows", bearer(key), "--env", environment).code == code


@pytest.mark.parametrize("other", ["vtx_test_", "vtx_dev_", "vtx_", "VTX_LIVE_"])
def test_a_key_with_another_beginning_is_401(ventryx: Platform, other: str):
    key = ventryx.mint("--owner", "acme", "--scope", "org:admin")["key"]

    response = ventryx.request("GET", "/v1/workflows", bearer(key.replace("vtx_live_", other)))

    assert (response.status, response.code) == ("401 Unauthorized", 11)


# ── creating a key ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_creation_answer_is_shaped_as_documented(ventryx: Platform):
    scopes = "workflows:read,events:write"

    response = ventryx.answer("mint", "--owner", "acme", "--name", "ci-pipeline", "--scope", scopes)

    data = json.loads(response.body)["data"]
    assert response.headers == {"Content-Type": "application/json"}
    assert response.body == (
        "{\n"
        '  "data": {\n'
        f'    "id": "{data["id"]}",\n'
        '    "name": "ci-pipeline",\n'
        f'    "key": "{data["key"]}",\n'
        '    "scopes": ["workflows:read", "events:write"],\n'
        f'    "created_at": "{data["created_at"]}"\n'
        "  }\n"
        "}"
    )
    assert re.fullmatch(r"key_[0-9A-HJKMNP-TV-Z]{26}", data["id"])
    assert re.fullmatch(r"vtx_live_[0-9a-f]{52}", data["key"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", data["created_at"])
    assert passes(ventryx, data["key"])


@pytest.mark.parametrize("name", ['a "quoted" \\ name', "über/ключ", "[bold]${key.text}", None])
def test_the_creation_answer_is_json_whatever_the_name(ventryx: Platform, name: str | None):
    response = ventryx.answer("mint", "--owner", "acme", *(["--name", name] if name else []))

    assert json.loads(response.body)["data"]["name"] == name
    assert json.loads(response.body)["data"]["scopes"] == []


def test_the_key_is_only_returned_once(ventryx: Platform):
    response = ventryx.answer("mint", "--owner", "acme", "--name", "ci-pipeline")
    data = json.loads(response.body)["data"]
    secret = data["key"][len("vtx_live_") + 12 :]

    shown = [
        ventryx.cli(*args, check=0) for args in (("show", data["id"]), ("list", "--json"), ("audit", "list", "--json"))
    ]

    assert response.body.count(secret) == 1
    assert all(secret not in result.out + result.err for result in shown)
    assert secret.encode() not in Path(location(ventryx.cli)).read_bytes()


def test_keys_are_created_over_the_api_with_a_key_that_may_create_keys(ventryx: Platform):
    """What happens behind the route is the platform's: keyctl says who may."""
    may, may_not = (ventryx.mint("--owner", "acme", "--scope", f"api-keys:{one}")["key"] for one in ("write", "read"))
    headers = {"Content-Type": "application/json"}

    assert ventryx.request("POST", "/v1/api-keys", bearer(may) | headers).status == "200 OK"
    assert ventryx.request("POST", "/v1/api-keys", bearer(may_not) | headers).status == "403 Forbidden"


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_scopes_are_those_of_the_table_in_the_resource_action_format(ventryx: Platform):
    document = ventryx.cli("profile", "show", "--json", check=0).json

    assert {name: scope["description"] for name, scope in document["scopes"]["list"].items()} == SCOPES
    assert all(re.fullmatch(r"[a-z-]+:[a-z]+", name) for name in SCOPES)


@pytest.mark.parametrize("scope", ["workflows", "workflows:delete", "workflows:*", "Workflows:read", "org:owner"])
def test_no_other_scope_is_known(ventryx: Platform, scope: str):
    refused(ventryx.cli, "mint", "--owner", "acme", "--scope", scope, code=2, says="unknown scope")


def test_a_key_has_only_the_scopes_that_it_was_assigned(ventryx: Platform):
    assert ventryx.mint("--owner", "acme")["effective_scopes"] == []
    assert ventryx.mint("--owner", "acme", "--scope", "events:write")["effective_scopes"] == ["events:write"]


@pytest.mark.parametrize("scope", [scope for scope in SCOPES if scope != "org:admin"])
def test_a_scope_determines_what_a_key_can_access(ventryx: Platform, scope: str):
    key = ventryx.mint("--owner", "acme", "--scope", scope)["key"]

    for endpoint in EVERY_ENDPOINT:
        response = ventryx.request(*endpoint.split(), bearer(key))
        expected = "200 OK" if endpoint in ENDPOINTS[scope] else "403 Forbidden"
        assert (endpoint, response.status) == (endpoint, expected)


def test_org_admin_is_full_access(ventryx: Platform):
    key = ventryx.mint("--owner", "acme", "--scope", "org:admin")

    assert key["scopes"] == ["org:admin"]
    assert set(key["effective_scopes"]) == set(SCOPES)
    assert all(passes(ventryx, key["key"], endpoint) for endpoint in EVERY_ENDPOINT)


@pytest.mark.parametrize(
    "path", ["/v1/workflows/../organization", "/v1/workflows/{id}", "/v1/workflows/a|b", "/v1//workflows", "/v1/%77f"]
)
def test_a_path_that_could_be_read_in_two_ways_is_not_routed(ventryx: Platform, path: str):
    key = ventryx.mint("--owner", "acme", "--scope", "org:admin")

    assert ventryx.request("GET", path, bearer(key)).status == "400 Bad Request"


# ── rotating keys ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_rotated_without_downtime_in_four_steps(ventryx: Platform):
    old = ventryx.mint("--owner", "acme", "--name", "ci", "--scope", "workflows:read,events:write")
    assert ventryx.send("GET", "/v1/workflows", bearer(old), "--record", check=0)

    # 1. create a new key with the same scopes
    new = ventryx.mint("--owner", "acme", "--name", "ci", "--scope", ",".join(old["scopes"]))
    assert new["scopes"] == old["scopes"]

    # 2. and 3. while the configuration is deployed, both keys work
    assert ventryx.send("GET", "/v1/workflows", bearer(old), "--record", check=0)
    assert ventryx.send("GET", "/v1/workflows", bearer(new), "--record", check=0)

    # 4. the old key is not revoked before traffic has migrated
    refused(ventryx.cli, "revoke", old["id"], "--if-unused-for", "1h", "--yes", code=4)
    assert passes(ventryx, old["key"])
    url = ventryx.cli("config", "show", "--json", check=0).json["store"]
    with closing(Recorder.to_store(url, name="api")) as recorder, Verifier.from_store(url, recorder=recorder) as api:
        time.sleep(1.1)
        assert api.verify(new["key"])
        recorder.flush()
        unused = ventryx.cli("list", "--unused-for", "1s", "--json", check=0).json["keys"]
        assert [key["id"] for key in unused] == [old["id"]]
        ventryx.cli("revoke", old["id"], "--if-unused-for", "1s", "--yes", check=0)

    assert not passes(ventryx, old["key"])
    assert passes(ventryx, new["key"])


def test_the_new_key_of_a_rotation_in_one_command_has_the_same_scopes_and_the_old_one_goes_on(ventryx: Platform):
    """Assumed: for how long, a week."""
    old = ventryx.mint("--owner", "acme", "--name", "ci", "--env", "test", "--scope", "workflows:read,events:write")

    new = ventryx.cli("rotate", old["id"], "--json", check=0).json

    assert [new[name] for name in ("name", "owner", "environment", "scopes")] == [
        old[name] for name in ("name", "owner", "environment", "scopes")
    ]
    assert passes(ventryx, old["key"])
    assert passes(ventryx, new["key"])


# ── revoking keys ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_revoked_by_its_id(ventryx: Platform):
    key = ventryx.mint("--owner", "acme")

    assert ventryx.answer("revoke", key["id"]) == Response("204 No Content", {}, "", 0)
    assert ventryx.cli("show", key["id"], "--json", check=0).json["status"] == "revoked"


def test_revocation_is_instantaneous_and_answered_401(ventryx: Platform):
    key = ventryx.mint("--owner", "acme", "--scope", "org:admin")
    assert passes(ventryx, key["key"])

    ventryx.cli("revoke", key["id"], check=0)

    for endpoint in ("GET /v1/workflows", "POST /v1/events", "GET /v1/organization"):
        response = ventryx.request(*endpoint.split(), bearer(key))
        assert (response.status, response.code) == ("401 Unauthorized", 12)
    assert ventryx.cli("profile", "show", "--json", check=0).json["verification"]["refresh_seconds"] == 0


def test_a_revoked_key_never_works_again(ventryx: Platform):
    key = ventryx.mint("--owner", "acme", "--scope", "org:admin")
    ventryx.cli("revoke", key["id"], check=0)

    for change in (("unlock",), ("expire", "--to", "never"), ("scope", "--add", "events:read"), ("rotate",)):
        refused(ventryx.cli, change[0], key["id"], *change[1:], code=4, says="is permanently revoked")
    assert not passes(ventryx, key["key"])


# ── organization structure ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_single_organization_can_have_several_keys_and_environments(ventryx: Platform):
    keys = [ventryx.mint("--owner", "acme", "--env", env)["prefix"] for env in ("live", "live", "test")]

    listed = ventryx.cli("list", "--owner", "acme", "--json", check=0).json["keys"]

    assert {key["prefix"] for key in listed} == set(keys)
    assert [key["environment"] for key in listed].count("test") == 1


@pytest.mark.parametrize("scope", ["workflows:read", "org:admin"])
def test_a_key_can_only_access_resources_within_its_organization(ventryx: Platform, scope: str):
    key = ventryx.mint("--owner", "acme", "--scope", scope)

    for owner, status, code in (("acme", "200 OK", 0), ("other", "403 Forbidden", 24), ("nobody", "403 Forbidden", 24)):
        result = ventryx.send("GET", "/v1/workflows/wf_1", bearer(key), "--http", "--resource-owner", owner)
        response = Response.read(result)
        assert (response.status, response.code) == (status, code), owner


def test_a_disabled_organization_has_no_access(ventryx: Platform):
    key = ventryx.mint("--owner", "acme", "--scope", "org:admin")
    ventryx.cli("owner", "disable", "acme", "--yes", check=0)

    assert ventryx.code("GET", "/v1/workflows", bearer(key)) == "OWNER_INACTIVE"


# ── transport ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_plain_http_is_refused(ventryx: Platform):
    """Assumed: every address in the document is https."""
    key = ventryx.mint("--owner", "acme", "--scope", "org:admin")

    assert ventryx.request("GET", "/v1/workflows", bearer(key), scheme="http").code == 22
