"""`keyctl scope`."""

from __future__ import annotations

import pytest

from tests.cli.helpers import changes_nothing, is_so_already, mint, mint_many, refused, show, verify, with_profile
from tests.runner import Cli


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--add", "write"], ["read", "write"]),
        (["--add", "write,admin"], ["read", "write", "admin"]),
        (["--add", "write", "--add", "admin"], ["read", "write", "admin"]),
        (["--remove", "read"], []),
        (["--remove", "read", "--add", "write"], ["write"]),
        (["--set", "admin,read"], ["admin", "read"]),
        (["--set", "admin", "--set", "admin"], ["admin"]),
    ],
)
def test_scopes_are_added_removed_and_replaced_in_order(store: Cli, options: list[str], expected: list[str]):
    key = mint(store, "--scope", "read")

    assert store("scope", key["prefix"], *options, check=0).out == f"changed {key['prefix']}\n"
    assert show(store, key["prefix"])["scopes"] == expected


def test_a_change_is_in_force_at_once(store: Cli):
    key = mint(store, "--scope", "read")

    store("scope", key["prefix"], "--set", "write", check=0)

    assert verify(store, key["key"], "--scope", "write") == "VALID"
    assert verify(store, key["key"], "--scope", "read") == "FORBIDDEN_SCOPE"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], ["nothing to change", "--add"]),
        (["--add", "raed"], ['unknown scope "raed" in profile "standard"', 'did you mean "read"?']),
        (["--remove", "wirte"], 'did you mean "write"?'),
        (["--set", "billing:*"], "unknown scope"),
        (["--set", "read", "--add", "write"], "--set cannot be used with --add"),
        (["--add", "x" * 10_000], "unknown scope"),
    ],
)
def test_what_cannot_be_understood_changes_nothing(store: Cli, options: list[str], says: list[str] | str):
    result = refused(store, "scope", mint(store)["prefix"], *options, code=2, says=says)
    assert len(result.err) < 500


def test_what_is_so_already_gets_a_note(store: Cli):
    prefix = mint(store, "--scope", "read")["prefix"]

    for options in (["--add", "read"], ["--remove", "write"], ["--set", "read"]):
        is_so_already(store, "scope", prefix, *options, says="already has these scopes")


def test_the_profiles_policy_is_enforced(empty: Cli):
    cli = with_profile(
        empty,
        """
        [scopes]
        exclusive = true
        required = true
        list.view = {}
        list.predict = { plans = ["pro"] }
        [plans.free]
        [plans.pro]
        """,
    )
    cli("owner", "add", "acme", "--plan", "free", check=0)
    prefix = mint(cli, "--owner", "acme", "--scope", "view")["prefix"]

    refused(cli, "scope", prefix, "--set", "predict", code=4, says="needs the plan pro")
    refused(cli, "scope", prefix, "--remove", "view", code=4, says="a scope is required")
    cli("owner", "update", "acme", "--plan", "pro", check=0)
    refused(cli, "scope", prefix, "--add", "predict", code=4, says="one scope")
    cli("scope", prefix, "--set", "predict", check=0)


def test_the_primary_scope_stays(empty: Cli):
    cli = with_profile(empty, '[scopes]\nprimary = "first"\nlist.bot = {}\nlist.tx = {}\nlist.user = {}\n')
    prefix = mint(cli, "--scope", "bot,tx")["prefix"]

    for options in (["--remove", "bot"], ["--set", "tx,bot"], ["--set", "tx"]):
        refused(cli, "scope", prefix, *options, code=4, says=f"bot is the primary scope of {prefix}")
    cli("scope", prefix, "--remove", "tx", "--add", "user", check=0)
    assert show(cli, prefix)["scopes"] == ["bot", "user"]


def test_scopes_that_follow_from_the_owners_kind_stay(empty: Cli):
    cli = with_profile(
        empty,
        """
        [scopes]
        assign = "owner_kind"
        list.AGENCY = { owner_kinds = ["agency"] }
        [owners]
        kinds.agency = {}
        """,
    )
    prefix = mint(cli, "--owner", "a", "--create-owner")["prefix"]

    refused(cli, "scope", prefix, "--remove", "AGENCY", code=4, says="follow from the owner's kind")


def test_several_keys_are_asked_about_and_changed_together_or_not_at_all(store: Cli):
    one, two = (key["prefix"] for key in mint_many(store, 2))

    assert "--yes" in store("scope", one, two, "--add", "read", check=4).err
    store.tty("scope", one, two, "--add", "read", talk=[("change the scopes of 2 keys? [y/N]", "no\n")], check=8)
    store("revoke", two, check=0)
    refused(store, "scope", one, two, "--add", "read", "--yes", code=4, says=two)


def test_a_dry_run_changes_nothing(store: Cli):
    changes_nothing(store, "scope", mint(store)["prefix"], "--add", "read", "--dry-run", says="would be changed")
