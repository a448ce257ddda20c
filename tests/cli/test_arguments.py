"""Keys among the arguments, which every process on the machine can read: refused before anything else."""

from __future__ import annotations

import re

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
        "cut": key[:30],
        "barely cut": key[:-1],
        "long": key + "x",
        "upper": key.upper(),
        "lower": key.lower(),
        "checksum": key[:-1] + ("a" if key[-1] != "a" else "b"),
        "other secret": key[:21] + "0" * 38,
    }[change]

    for args in (["show", "{}"], ["{}"], ["mint", "--name", "{}"]):
        exposed(store, args, text, key)


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
