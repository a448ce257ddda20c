"""Vexa: every statement of its page on authentication that can be tested."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.helpers import location, refused, set_key
from tests.platforms.conformance import Platform, Response
from tests.runner import BASE_ENV, Cli

ROOT = Path(__file__).parent.parent.parent
MISSING = ("401 Unauthorized", '{"detail": "Missing API key"}')
INVALID = ("401 Unauthorized", '{"detail": "Invalid API key"}')
NOT_AUTHORIZED = ("403 Forbidden", '{"detail": "Token scope not authorized"}')


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("vexa"))
    platform = Platform(cli, "vexa")
    platform.owner("jane@acme.com", "--name", "Jane", "--attr", "max_concurrent_bots=2")
    cli.close()
    return cli.home


@pytest.fixture
def vexa(cli: Cli, _home: Path) -> Platform:
    """One user, Jane."""
    return Platform.copied(cli, _home)


def minted(vexa: Platform, *args: str) -> tuple[str, str]:
    """Mint a key for Jane; return its text and its prefix."""
    key = vexa.mint("--owner", "jane@acme.com", *args)
    return key["key"], key["prefix"]


def told(response: Response) -> tuple[str, str]:
    return response.status, response.body


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("header", ["X-API-Key", "x-api-key", "X-Api-Key"])
def test_the_key_is_in_the_x_api_key_header(vexa: Platform, header: str):
    key, _ = minted(vexa)

    assert vexa.request("POST", "/bots", {header: key}).status == "200 OK"


def test_no_other_header_carries_a_key(vexa: Platform):
    key, _ = minted(vexa)

    for headers in ({"Authorization": f"Bearer {key}"}, {"api-key": key}, {"X-Admin-API-Key": key}, {"Cookie": key}):
        assert told(vexa.request("POST", "/bots", headers)) == MISSING


@pytest.mark.parametrize("path", ["/bots", "/transcripts/zoom/1", "/meetings", "/", "/docs"])
def test_every_public_request_carries_a_key(vexa: Platform, path: str):
    assert told(vexa.request("GET", path)) == MISSING


def test_the_gateway_resolves_the_key_to_a_user_and_injects_identity(vexa: Platform):
    key, _ = minted(vexa, "--scope", "bot,tx")

    decision = vexa.decide("POST", "/bots", {"X-API-Key": key})

    assert decision["owner"]["handle"] == "jane@acme.com"
    assert decision["identity"]["headers"] == {
        "X-User-Id": "1",
        "X-User-Email": "jane@acme.com",
        "X-User-Scopes": "bot,tx",
        "X-User-Max-Concurrent-Bots": "2",
    }


def test_you_never_pass_a_user_id_yourself(vexa: Platform):
    key, _ = minted(vexa)
    plain = vexa.decide("POST", "/bots", {"X-API-Key": key})

    claimed = vexa.decide("POST", "/bots?user_id=2", {"X-API-Key": key, "X-User-Id": "2", "X_User_Id": "2"})

    assert claimed == plain
    assert {"X-User-Id", "X_User_Id", "X-User-Email", "X_User_Email"} <= set(claimed["identity"]["drop"])


def test_self_hosted_the_api_is_reached_over_plain_http(vexa: Platform):
    key, _ = minted(vexa)

    assert vexa.request("POST", "/bots", {"X-API-Key": key}, scheme="http").status == "200 OK"


# ── getting a key ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def clone(tmp_path: Path, cli: Cli) -> Path:
    """A clone whose environment is ready; its HOME is that of `cli`."""
    clone = tmp_path.resolve() / "clone"
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".ci").mkdir()
    for name in ("Makefile", "pyproject.toml", ".ci/requirements.txt"):
        shutil.copy(ROOT / name, clone / name)
    python = clone / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (clone / ".venv/.ready").write_text(f"{clone}\n{python}\n")
    return clone


def make(clone: Path, cli: Cli, *args: str) -> subprocess.CompletedProcess[str]:
    env = BASE_ENV | {"HOME": str(cli.home)}
    return subprocess.run(["make", *args], cwd=clone, env=env, capture_output=True, text=True, check=False)


def test_make_all_mints_a_key_and_prints_it_along_with_the_service_urls(clone: Path, cli: Cli):
    done = make(clone, cli, "all", "PROFILE=vexa")

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"vxa_bot_\w+\n", done.stdout)
    _, _, services = done.stderr.partition("keyctl starts none of these services; start them yourself:\n")
    assert services.splitlines()[:3] == [
        "  API: http://localhost:18056",
        "  Admin API: http://localhost:18057",
        "  Hosted API: https://api.cloud.vexa.ai",
    ]
    assert Platform(cli).request("POST", "/bots", {"X-API-Key": done.stdout.strip()}).status == "200 OK"


def test_provision_token_prints_a_freshly_minted_key_and_nothing_else(clone: Path, cli: Cli):
    keys = []
    for _ in range(2):
        done = make(clone, cli, "-s", "provision-token", "PROFILE=vexa")
        assert done.returncode == 0, done.stderr
        keys.append(done.stdout)

    assert all(re.fullmatch(r"vxa_bot_[0-9A-Za-z]{44}\n", key) for key in keys)
    assert keys[0] != keys[1]
    # assumed: it names no user, so the keys are those of the profile's own
    assert {key["owner"] for key in cli("list", "--json", check=0).json["keys"]} == {"admin@localhost"}


def test_provision_token_takes_the_user_and_the_scopes(clone: Path, cli: Cli):
    done = make(clone, cli, "-s", "provision-token", "PROFILE=vexa", "OWNER=jane@acme.com", "SCOPES=tx,bot")

    assert re.fullmatch(r"vxa_tx_[0-9A-Za-z]{44}\n", done.stdout), done.stderr
    (key,) = cli("list", "--json", check=0).json["keys"]
    assert (key["owner"], key["scopes"], key["id"]) == ("jane@acme.com", ["tx", "bot"], "1")


# ── minting more keys ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_user_is_created_by_email_with_attributes(vexa: Platform):
    user = vexa.cli("owner", "show", "jane@acme.com", "--json", check=0).json

    assert (user["id"], user["handle"], user["name"], user["kind"]) == ("1", "jane@acme.com", "Jane", "user")
    assert user["attributes"] == {"max_concurrent_bots": 2}


def test_a_user_that_is_there_is_found(vexa: Platform):
    again = vexa.owner("jane@acme.com", "--name", "Jane", "--attr", "max_concurrent_bots=2", "--ensure")
    other = vexa.owner("joe@acme.com", "--ensure")

    assert (again["id"], other["id"]) == ("1", "2")
    assert len(vexa.cli("owner", "list", "--json", check=0).json["owners"]) == 2


def test_creating_or_finding_a_user_is_answered_as_documented(vexa: Platform):
    user = ("joe@acme.com", "--name", "Joe “J”", "--attr", "max_concurrent_bots=3", "--ensure")
    body = '{"id":2,"email":"joe@acme.com","name":"Joe “J”","max_concurrent_bots":3}'

    created = vexa.answer("owner", "add", *user)
    found = vexa.answer("owner", "add", *user)
    jane = vexa.answer("owner", "add", "jane@acme.com", "--ensure")

    assert told(created) == ("201 Created", body)
    assert told(found) == ("200 OK", body)
    assert told(jane) == ("200 OK", '{"id":1,"email":"jane@acme.com","name":"Jane","max_concurrent_bots":2}')
    assert created.headers == found.headers == {"Content-Type": "application/json"}


@pytest.mark.parametrize("attribute", ["max_concurrent_bots=two", "max_bots=2"])
def test_an_attribute_has_a_name_and_a_type(vexa: Platform, attribute: str):
    refused(vexa.cli, "owner", "add", "joe@acme.com", "--attr", attribute, code=2, says="max_")


def test_a_key_is_minted_for_a_user_id(vexa: Platform):
    key = vexa.mint("--owner", "1", "--scope", "bot,tx")

    assert key["owner"] == "jane@acme.com"


def test_a_key_may_be_minted_for_a_user_who_is_created_with_it(vexa: Platform):
    key = vexa.mint("--owner", "joe@acme.com", "--create-owner")

    assert key["owner"] == "joe@acme.com"
    refused(vexa.cli, "mint", "--owner", "jim@acme.com", code=3, says="jim@acme.com")


def test_minting_is_answered_as_documented(vexa: Platform):
    for _ in range(6):
        minted(vexa)

    response = vexa.answer("mint", "--owner", "jane@acme.com", "--scope", "bot,tx")

    token = json.loads(response.body)["token"]
    assert re.fullmatch(r"vxa_bot_[0-9A-Za-z]{44}", token)
    assert response.status == "201 Created"
    assert response.headers == {"Content-Type": "application/json"}
    assert response.body == f'{{"id":7,"token":"{token}","user_id":1,"scopes":["bot","tx"]}}'
    assert vexa.request("POST", "/bots", {"X-API-Key": token}).status == "200 OK"


def test_the_token_is_shown_once(vexa: Platform):
    key, prefix = minted(vexa)
    secret = key.removeprefix(prefix)

    shown = [vexa.cli(*args, check=0) for args in (("show", prefix), ("list", "--json"), ("audit", "list", "--json"))]

    assert all(secret not in result.out + result.err for result in shown)
    assert secret.encode() not in Path(location(vexa.cli)).read_bytes()


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "scopes", [["bot"], ["tx"], ["browser"], ["bot", "tx"], ["tx", "bot"], ["browser", "tx", "bot"]]
)
def test_a_key_carries_one_or_more_scopes_and_is_prefixed_by_its_primary_one(vexa: Platform, scopes: list[str]):
    key = vexa.mint("--owner", "jane@acme.com", "--scope", ",".join(scopes))

    assert key["scopes"] == scopes
    assert re.fullmatch(rf"vxa_{scopes[0]}_[0-9A-Za-z]{{44}}", key["key"])
    assert vexa.code("GET", "/", {"X-API-Key": key["key"]}) == "VALID"


def test_scopes_are_also_given_one_by_one(vexa: Platform):
    assert vexa.mint("--owner", "1", "--scope", "tx", "--scope", "browser")["scopes"] == ["tx", "browser"]


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("bot", {"POST /bots", "DELETE /bots/zoom/1", "GET /transcripts/zoom/1", "GET /meetings"}),
        ("tx", {"GET /transcripts/zoom/1", "POST /transcripts", "GET /meetings"}),
        ("browser", {"POST /browser/tools/click", "GET /browser", "GET /meetings"}),
    ],
)
def test_what_each_scope_grants(vexa: Platform, scope: str, granted: set[str]):
    """Assumed: the routes' names. bot sends and manages bots and reads transcripts, tx is for transcripts."""
    key, _ = minted(vexa, "--scope", scope)
    routes = [
        *("POST /bots", "DELETE /bots/zoom/1", "GET /transcripts/zoom/1", "POST /transcripts", "GET /meetings"),
        *("POST /browser/tools/click", "GET /browser"),
    ]

    for route in routes:
        response = vexa.request(*route.split(), {"X-API-Key": key})
        if route in granted:
            assert response.status == "200 OK", route
        else:
            assert told(response) == NOT_AUTHORIZED, route


@pytest.mark.parametrize("scope", ["bot", "tx", "browser"])
def test_a_route_that_the_profile_does_not_know_may_ask_for_any_scope(vexa: Platform, scope: str):
    key, _ = minted(vexa, "--scope", "browser")

    response = Response.read(vexa.send("POST", "/tools", {"X-API-Key": key}, "--http", "--scope", scope))

    assert told(response) == (("200 OK", "") if scope == "browser" else NOT_AUTHORIZED)


@pytest.mark.parametrize("scopes", ["admin", "bot,admin", "", "Bot"])
def test_a_key_without_a_recognised_scope_is_not_minted(vexa: Platform, scopes: str):
    result = vexa.cli("mint", "--owner", "1", "--scope", scopes)

    assert result.code in (2, 4), result
    assert result.out == ""


def test_a_key_without_a_recognised_scope_is_rejected(vexa: Platform):
    none, unknown, some = (minted(vexa) for _ in range(3))
    set_key(vexa.cli, none[1], scopes="[]")
    set_key(vexa.cli, unknown[1], scopes='["legacy"]')
    set_key(vexa.cli, some[1], scopes='["legacy","tx"]')

    for key, _ in (none, unknown):
        assert told(vexa.request("GET", "/meetings", {"X-API-Key": key})) == INVALID
        assert vexa.decide("GET", "/meetings", {"X-API-Key": key})["reason"] == "no recognised scope"
    assert vexa.request("GET", "/meetings", {"X-API-Key": some[0]}).status == "200 OK"


def test_a_prefix_of_no_recognised_scope_is_rejected(vexa: Platform):
    key, _ = minted(vexa)

    assert told(vexa.request("GET", "/meetings", {"X-API-Key": key.replace("vxa_bot_", "vxa_admin_")})) == INVALID


def test_the_primary_scope_is_in_the_key_and_stays(vexa: Platform):
    _, prefix = minted(vexa, "--scope", "bot,tx")

    refused(vexa.cli, "scope", prefix, "--remove", "bot", code=4, says="bot is the primary scope")
    refused(vexa.cli, "scope", prefix, "--set", "tx,bot", code=4, says="bot is the primary scope")
    vexa.cli("scope", prefix, "--remove", "tx", "--add", "browser", check=0)

    assert vexa.cli("show", prefix, "--json", check=0).json["scopes"] == ["bot", "browser"]


# ── rotating and revoking ────────────────────────────────────────────────────────────────────────────────────────────


def test_mint_a_new_key_switch_over_then_delete_the_old_one_by_its_token_id(vexa: Platform):
    old = vexa.mint("--owner", "1")
    new = vexa.mint("--owner", "1")
    assert (old["id"], new["id"]) == ("1", "2")
    for key in (old, new):
        assert vexa.request("POST", "/bots", {"X-API-Key": key["key"]}).status == "200 OK"

    deleted = vexa.answer("revoke", "1")

    assert deleted == Response("204 No Content", {}, "", 0)
    assert told(vexa.request("POST", "/bots", {"X-API-Key": old["key"]})) == INVALID
    assert vexa.request("POST", "/bots", {"X-API-Key": new["key"]}).status == "200 OK"


def test_a_token_id_that_is_not_there_is_not_deleted(vexa: Platform):
    refused(vexa.cli, "revoke", "7", "--http", code=3, says="7")


def test_an_expiry_is_set_at_mint_time_in_seconds(vexa: Platform):
    key = vexa.mint("--owner", "1", "--expires", "3600")

    created, expires = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    assert (expires - created).total_seconds() == 3600
    assert vexa.mint("--owner", "1")["expires_at"] is None


def test_expired_keys_are_rejected_automatically(vexa: Platform):
    key = vexa.mint("--owner", "1", "--expires", "1")
    time.sleep(max(0.0, datetime.fromisoformat(key["expires_at"]).timestamp() - time.time()) + 0.01)

    response = vexa.request("POST", "/bots", {"X-API-Key": key["key"]})

    assert (told(response), response.code) == (INVALID, 13)


# ── what can go wrong ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"X-API-Key": "   "}])
def test_401_missing_api_key_without_the_header(vexa: Platform, headers: dict[str, str]):
    response = vexa.request("POST", "/bots", headers)

    assert (told(response), response.code) == (MISSING, 10)
    assert response.headers == {"Content-Type": "application/json"}


def test_401_invalid_api_key_for_an_unknown_key(vexa: Platform):
    key, _ = minted(vexa)

    for presented in ("vxa_bot_...", "x", key[:-1], key + "0", key.swapcase(), "vxa_tx_" + key[8:], f"Bearer {key}"):
        response = vexa.request("POST", "/bots", {"X-API-Key": presented})
        assert (told(response), response.code) == (INVALID, 11), presented


def test_401_invalid_api_key_for_a_revoked_key(vexa: Platform):
    key, prefix = minted(vexa)
    vexa.cli("revoke", prefix, check=0)

    response = vexa.request("POST", "/bots", {"X-API-Key": key})

    assert (told(response), response.code) == (INVALID, 12)


def test_401_invalid_api_key_for_a_locked_key_and_a_disabled_user(vexa: Platform):
    """Assumed: they are answered like revoked keys."""
    key, prefix = minted(vexa)
    vexa.cli("lock", prefix, check=0)
    assert told(vexa.request("POST", "/bots", {"X-API-Key": key})) == INVALID
    vexa.cli("unlock", prefix, check=0)
    vexa.cli("owner", "disable", "1", "--yes", check=0)

    assert told(vexa.request("POST", "/bots", {"X-API-Key": key})) == INVALID


def test_403_token_scope_not_authorized_where_the_key_lacks_the_scope(vexa: Platform):
    key, _ = minted(vexa, "--scope", "tx")

    response = vexa.request("POST", "/bots", {"X-API-Key": key})

    assert (told(response), response.code) == (NOT_AUTHORIZED, 16)
    assert response.headers == {"Content-Type": "application/json"}


def test_a_key_in_the_query_string_or_sent_twice_is_refused(vexa: Platform):
    key, _ = minted(vexa)

    assert told(vexa.request("POST", f"/bots?api_key={key}", {"X-API-Key": key})) == INVALID
    assert told(vexa.request("POST", "/bots", [("X-API-Key", key), ("x-api-key", key)])) == INVALID


# ── where the request comes from ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("forwarded", "code"),
    [
        ("192.0.2.1", "VALID"),
        ("203.0.113.9, 192.0.2.1", "VALID"),
        ("192.0.2.1, 10.0.0.3", "VALID"),
        ("192.0.2.1, 203.0.113.9", "FORBIDDEN_IP"),
        ("192.0.2.1, \x9b31mred", "FORBIDDEN_IP"),
        ("192.0.2.1:443", "FORBIDDEN_IP"),
        ("", "FORBIDDEN_IP"),
    ],
)
def test_behind_a_proxy_the_rightmost_address_that_is_not_trusted_counts(vexa: Platform, forwarded: str, code: str):
    key, _ = minted(vexa, "--allow-ip", "192.0.2.0/24")
    headers = {"X-API-Key": key, "X-Forwarded-For": forwarded}

    result = vexa.send("GET", "/meetings", headers, ip="10.0.0.1", proxy="10.0.0.0/8")

    assert result.out.split()[0] == code
    assert "red" not in result.out
    assert vexa.code("GET", "/meetings", headers, ip="10.0.0.1") == "FORBIDDEN_IP"
