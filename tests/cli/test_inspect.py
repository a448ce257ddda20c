"""`keyctl inspect`: no store is needed."""

from __future__ import annotations

import pytest

from tests.cli.helpers import mint, refused, with_profile, write_profile
from tests.runner import Cli


def test_a_key_is_taken_apart(store: Cli):
    key = mint(store, "--env", "test")
    nowhere = ["--store", "/nowhere/keys.db"]

    facts = dict(line.split("\t") for line in store("inspect", *nowhere, stdin=key["key"], check=0).out.splitlines())

    assert facts == {
        "profile": "standard",
        "environment": "test",
        "scope": "none",
        "prefix": key["prefix"],
        "checksum": "right",
    }
    assert store("inspect", "--json", stdin=key["key"], check=0).json["scope"] is None


def test_the_secret_is_not_shown(store: Cli):
    key = mint(store)["key"]

    for result in (store("inspect", stdin=key, check=0), store("inspect", stdin=key[:-1] + "~", check=9)):
        assert key[21:-1] not in result.out + result.err


def test_a_wrong_checksum_is_reported_and_exits_9(cli: Cli):
    result = cli("inspect", "--json", stdin="kc_test_" + "0" * 12 + "_" + "0" * 38, check=9)

    assert (result.json["checksum"], result.json["prefix"]) == ("wrong", "kc_test_000000000000")
    assert "mistyped or truncated" in result.err


@pytest.mark.parametrize("text", ["nonsense", "kc_live_short", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "é"])
def test_what_looks_like_no_key_exits_9(cli: Cli, text: str):
    refused(cli, "inspect", stdin=text, code=9, says=[f"({len(text)} characters)", "--profile FILE"])


def test_a_profile_of_ones_own_may_be_tried(cli: Cli):
    file = write_profile(cli)
    key = "ak_live_0123456789ab_" + "x" * 32

    refused(cli, "inspect", stdin=key, code=9, says="no profile has keys of this form")
    facts = cli("inspect", "--profile", file, "--profile", "standard", "--json", stdin=key, check=0).json

    assert (facts["profile"], facts["prefix"], facts["checksum"]) == ("acme", "ak_live_0123456789ab", None)
    refused(cli, "inspect", "--profile", "standrad", stdin=key, code=3, says='did you mean "standard"?')


def test_the_stores_own_profile_is_known(empty: Cli):
    store = with_profile(empty)
    key = mint(store, "--env", "test")

    facts = store("inspect", "--json", stdin=key["key"], check=0).json

    assert (facts["profile"], facts["environment"], facts["prefix"]) == ("acme", "test", key["prefix"])
    changed = write_profile(store, length=16)
    store("profile", "apply", changed, check=0)
    assert store("inspect", "--json", stdin=key["key"], check=0).json == facts  # the form that its keys had before
    assert store("inspect", "--json", stdin=mint(store)["key"], check=0).json["profile"] == "acme"
    # What is asked for is what is tried.
    refused(
        store, "inspect", "--profile", "standard", stdin=key["key"], code=9, says="no profile has keys of this form"
    )


def test_a_store_that_cannot_be_read_does_not_matter(cli: Cli):
    key = "kc_test_" + "0" * 12 + "_" + "0" * 38
    (cli.cwd / "broken.db").write_bytes(b"no database" * 100)

    for place in ("./missing.db", "./broken.db", "unknown-name", "postgresql://jo@127.0.0.1:1/keys"):
        for text, says in ((key, "the checksum is wrong"), ("nonsense", "no profile has keys of this form")):
            assert says in cli("inspect", "--store", place, stdin=text, check=9).err
