"""Keys among the arguments, which every process on the machine can read: refused before anything else."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

import pytest

from tests.cli.helpers import dump, location, mint, refused, with_profile
from tests.runner import Cli

PLACES = [
    ["{}"],
    ["show", "{}"],
    ["revoke", "{}", "--yes"],
    ["rotate", "{}"],
    ["verify", "{}"],
    ["inspect", "{}"],
    ["mint", "--name", "{}"],
    ["mint", "--name", "see {} there"],
    ["mint", "--meta", "key={}"],
    ["mint", "--reason={}"],
    ["verify", "--key-file", "{}"],
    ["verify", "--key-file=./{}"],
    ["list", "--owner", "{}"],
    ["list", "--after", "{}"],
    ["--store", "{}", "list"],
    ["list", "--store={}"],
    ["--config", "{}", "list"],
    ["--{}"],
    ["{}", "--help"],
    ["mint", "--nmae={}"],
    ["audit", "list", "--key", "{}"],
]


def exposed(cli: Cli, args: list[str], text: str, whole: str) -> None:
    result = refused(cli, *(arg.format(text) for arg in args), code=2, says=["contains a key", "the key is exposed"])
    length = int(re.search(r"\((\d+) characters\)", result.err)[1])
    assert length >= len(text), result
    secret = whole.rsplit("_", 1)[1]
    assert not any(secret[i : i + 6] in result.err for i in range(len(secret) - 6))


@pytest.mark.parametrize("args", PLACES, ids=" ".join)
def test_a_key_is_refused_wherever_it_is(store: Cli, args: list[str]):
    key = mint(store)["key"]

    exposed(store, args, key, key)


@pytest.mark.parametrize("change", ["cut", "barely cut", "long", "upper", "lower", "checksum", "other secret"])
def test_so_is_one_that_is_cut_short_or_mistyped(store: Cli, change: str):
    key = mint(store)["key"]
    text = {
        "cut": key[:37],
        "barely cut": key[:-1],
        "long": key + "x",
        "upper": key.upper(),
        "lower": key.lower(),
        "checksum": key[:-1] + ("a" if key[-1] != "a" else "b"),
        "other secret": key[:21] + "0" * 38,
    }[change]

    for args in (["show", "{}"], ["{}"], ["mint", "--name", "{}"]):
        exposed(store, args, text, key)


@pytest.mark.parametrize(
    "encode",
    [
        lambda key: key.replace("_", "%5F"),
        lambda key: key.replace("_", "%5f", 1),
        lambda key: key.replace("_", "%255F"),
        lambda key: "".join(f"%{ord(character):02x}" for character in key),
        lambda key: f"https://host/?next={quote(f'/x?key={quote(key)}', safe='')}".replace("_", "%5F"),
        lambda key: base64.b64encode(key.encode()).decode(),
        lambda key: base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
        lambda key: f"Authorization: Basic {base64.b64encode(f'user:{key}'.encode()).decode()}",
        lambda key: quote(base64.b64encode(key.encode()).decode(), safe=""),
        lambda key: base64.b64encode(base64.b64encode(key.encode())).decode(),
        lambda key: key[21:],
        lambda key: f"secret={key[21:]};",
    ],
    ids=[
        "%5F",
        "one %5f",
        "twice",
        "hex",
        "link",
        "base64",
        "base64url",
        "Basic",
        "%3D",
        "base64 twice",
        "secret",
        "in",
    ],
)
def test_so_is_one_that_is_encoded_and_a_secret_by_itself(store: Cli, encode):
    key = mint(store)["key"]
    text = encode(key)

    for args in (["mint", "--reason", text], ["show", text], ["mint", f"--name={text}"]):
        result = refused(store, *args, code=2, says=["contains a key", "the key is exposed"])
        assert key[21:27] not in result.err
        assert text not in result.err


@pytest.mark.parametrize(
    "text",
    [
        *("{prefix}_old", "{prefix}_rotated", "{prefix}_decommissioned", "{prefix}_COMPROMISED", "{prefix}_20261124"),
        *("{prefix}_old_key_of_the_billing_team", "replaces {prefix}_2, see {prefix}_3", "{prefix}_replaced2026"),
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "123e4567-e89b-12d3-a456-426614174000",
        "/nix/store/0c1p5z0f3zjpa3lkxkz1w3xd2gcjzr8v-keys",
        "aVeryLongReasonInOneWord2026WithoutASpace",
        "c2VlIHRoZSBydW5ib29rIG9mIHRoZSBvbi1jYWxsIHRlYW0=",
        "100%5Fdone",
    ],
)
def test_what_only_resembles_a_key_is_accepted(store: Cli, text: str):
    prefix = mint(store)["prefix"]

    store("mint", "--name", text.format(prefix=prefix), "--reason", text.format(prefix=prefix), check=0)


def test_cursors_and_public_keys_are_not_taken_for_secrets(store: Cli):
    word = "Aa0" * 12 + "Aa"  # what the secret of a key looks like

    refused(store, "mint", "--name", word, code=2, says="contains a key")
    refused(store, "list", "--after", word, code=2, says="not a valid cursor")
    refused(store, "list", f"--after={word}", code=2, says="not a valid cursor")
    refused(store, "bundle", "show", "none.bundle", "--trust", word, code=2, says="not a public key")


VARIABLES = [
    "KEYCTL_ACTOR",
    "KEYCTL_STORE",
    "KEYCTL_WAIT",
    "KEYCTL_CONFIG",
    "KEYCTL_ADMIN_TOKEN_FILE",
    "KEYCTL_LIMITER",
]


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("text", ["{}", "./{}", "postgresql://u:{}@localhost/x", "by {} at night"])
def test_a_key_in_a_variable_is_refused_and_recorded_nowhere(store: Cli, name: str, text: str):
    key = mint(store)["key"]
    before = dump(store)

    for args in (["mint"], ["list"], ["verify"], ["config", "show"], ["audit", "verify"]):
        result = store(*args, env={name: text.format(key)}, stdin=key, check=2)
        assert result.out == ""
        assert f"{name} contains a key or part of one (" in result.err
        assert f"correct {name}" in result.err
        assert key[21:27] not in result.err
    assert dump(store) == before


@pytest.mark.sqlite
@pytest.mark.parametrize("name", VARIABLES)
def test_so_is_a_key_of_the_stores_own_profile_in_a_variable(empty: Cli, name: str):
    cli = with_profile(empty)
    key = mint(cli)["key"]

    for text in (key, key[21:]):
        result = cli("mint", env={name: text}, check=2)
        assert f"{name} contains a key" in result.err
        assert key[21:27] not in result.err


@pytest.mark.postgres
def test_the_actor_is_checked_before_it_is_recorded_in_a_store_on_a_server(cli: Cli, empty_schema: str):
    cli.env["KEYCTL_STORE"] = empty_schema
    key = mint(with_profile(cli))["key"]

    result = cli("mint", env={"KEYCTL_ACTOR": key}, check=2)

    assert "KEYCTL_ACTOR contains a key" in result.err
    assert key[21:27] not in cli("audit", "list", "--json", check=0).out


def test_a_key_of_the_stores_own_profile_is_known(empty: Cli):
    cli = with_profile(empty)
    key = mint(cli)["key"]

    exposed(cli, ["show", "{}"], key, key)
    exposed(cli, ["show", "{}", "--store", location(cli).replace("{", "{{")], key, key)


def test_without_a_store_the_built_in_formats_are_known(cli: Cli):
    key = "kc_live_" + "0" * 12 + "_" + "0" * 38

    exposed(cli, ["verify", "{}"], key, key)
    assert dump(cli) is None


def test_the_error_is_json_where_json_is_asked_for(store: Cli):
    key = mint(store)["key"]

    result = store("show", key, "--json", check=2)

    assert result.out == ""
    assert result.err.startswith('{"error":{"code":"USAGE"')
    assert key[21:] not in result.err


def test_prefixes_ids_and_beginnings_are_no_keys(store: Cli):
    key = mint(store)

    for selector in (key["prefix"], key["id"], key["prefix"][:12]):
        store("show", selector, check=0)
    store("mint", "--name", f"after {key['prefix']}", check=0)
    store("mint", "--reason", f"{key['prefix']}: replaced", check=0)


def test_a_debugging_traceback_holds_no_key_either(store: Cli):
    key = mint(store)["key"]

    for args in (["show", key], [key], ["verify", "--key-file", key]):
        result = store(*args, env={"KEYCTL_DEBUG": "1"}, check=2)
        assert key[21:] not in result.err
    result = store("verify", stdin=key[:-1] + "~", env={"KEYCTL_DEBUG": "1"}, check=11)
    assert key[21:-1] not in result.out + result.err
