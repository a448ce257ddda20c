"""`keyctl owner …`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.helpers import (
    CHEAP,
    ago,
    changes_nothing,
    is_so_already,
    mint,
    mint_many,
    refused,
    set_key,
    verify,
    with_profile,
)
from tests.runner import Cli

FIELDS = {"id", "handle", "name", "kind", "parent_id", "plan", "attributes", "active", "created_at", "disabled_at"}


def show(cli: Cli, handle: str) -> dict[str, Any]:
    return cli("owner", "show", handle, "--json", check=0).json


@pytest.fixture
def agency(empty: Cli) -> Cli:
    """A store whose owners have kinds, plans and attributes."""
    return with_profile(
        empty,
        """
        [defaults]
        plan = "free"
        [owners]
        default_kind = "agency"
        kinds.agency.attributes.region = { default = "eu" }
        kinds.agency.attributes.seats = { type = "integer" }
        kinds.agency.attributes.beta = { type = "boolean" }
        kinds.agency.attributes.origins = { type = "list" }
        kinds.sub = { parent = "agency" }
        [plans.free]
        [plans.pro]
        """,
    )


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_disabled_owner_stops_its_own_keys_and_those_below(store: Cli):
    for handle, parent in [("top", ""), ("middle", "top"), ("leaf", "middle"), ("other", "")]:
        store("owner", "add", handle, *(["--parent", parent] if parent else []), check=0)
    keys = {handle: mint(store, "--owner", handle)["key"] for handle in ("top", "middle", "leaf", "other")}

    store("owner", "disable", "middle", "--reason", "unpaid", "--yes", check=0)

    codes = {handle: verify(store, key) for handle, key in keys.items()}
    assert codes == {"top": "VALID", "middle": "OWNER_INACTIVE", "leaf": "OWNER_INACTIVE", "other": "VALID"}
    assert "owner middle is disabled" in store("verify", stdin=keys["leaf"], check=15).out
    store("owner", "enable", "middle", check=0)
    assert verify(store, keys["leaf"]) == "VALID"


@pytest.fixture
def tree(store: Cli) -> Cli:
    """Owners below each other, with two keys each; of those of `leaf`, one cannot be used."""
    for handle, parent in [("top", ""), ("middle", "top"), ("leaf", "middle"), ("off", "middle"), ("under", "off")]:
        store("owner", "add", handle, *(["--parent", parent] if parent else []), check=0)
        mint_many(store, 2, "--owner", handle)
    leaf = [key["prefix"] for key in store("list", "--owner", "leaf", "--json", check=0).json["keys"]]
    store("lock", leaf[0], check=0)
    for ended in ({"expires_at": ago(days=1)}, {"revoked_at": ago(days=1), "revoked_reason": "x"}):
        set_key(store, mint(store, "--owner", "leaf")["prefix"], **ended)
    store("owner", "disable", "off", "--yes", check=0)
    return store


def test_a_disabled_owner_is_told_of_with_the_owners_and_keys_that_stop(tree: Cli):
    disabled = tree("owner", "disable", "middle", "--yes", "--json", check=0)

    assert disabled.json["affected"] == {"owners": 2, "keys": 3}  # without off and under, which are stopped already
    assert disabled.err == "keyctl: middle: 2 owners and 3 keys stop\n"
    assert tree("owner", "enable", "off", check=0).err == (
        "keyctl: off: no keys work again, since an owner above it is disabled\n"
    )
    enabled = tree("owner", "enable", "middle", "--json", check=0)
    assert enabled.json["affected"] == {"owners": 4, "keys": 7}
    assert enabled.err == "keyctl: middle: 4 owners and 7 keys work again\n"
    assert tree("owner", "disable", "under", "--dry-run", check=0).err == (
        "keyctl: under: would be disabled: 2 keys stop\n"
    )


def test_an_owner_is_disabled_only_after_a_yes(tree: Cli):
    asks = "disable middle: 2 owners and 3 keys stop"
    refused(tree, "owner", "disable", "middle", code=4, says=[f"confirmation required: {asks}", "add --yes"])

    for answer in ("n\n", "\n"):
        shown = tree.tty("owner", "disable", "middle", talk=[(asks, answer)], check=8).out
        assert "aborted: nothing was changed" in shown
    assert show(tree, "middle")["active"] is True
    tree.tty("owner", "disable", "middle", talk=[("? [y/N] ", "y\n")], check=0)
    assert show(tree, "middle")["active"] is False
    # What is done already is not asked about.
    is_so_already(tree, "owner", "disable", "middle", says="is already disabled")


def test_the_question_names_a_store_that_is_not_the_default_one(cli: Cli):
    for place, named in (((), ""), (("--store", "./x.db"), f"keyctl: in the store {cli.cwd}/x.db:\n")):
        cli("init", *place, *CHEAP, check=0)
        cli("owner", "add", "acme", *place, check=0)

        asked = cli.tty("owner", "disable", "acme", *place, talk=[("[y/N]", "n\n")], check=8, columns=300).out

        assert asked.startswith(f"{named}disable acme: no keys stop? [y/N]")


@pytest.mark.parametrize(
    ("owners", "keys", "says"),
    [(1, 0, "no keys stop"), (1, 1, "1 key stops"), (1, 2, "2 keys stop"), (2, 0, "2 owners and no keys stop")],
)
def test_what_stops_is_counted_in_words(store: Cli, owners: int, keys: int, says: str):
    store("owner", "add", "top", check=0)
    for number in range(1, owners):
        store("owner", "add", f"below{number}", "--parent", "top", check=0)
    for _ in range(keys):
        mint(store, "--owner", "top")

    assert f": {says}\n" in store("owner", "disable", "top", check=4).err


def test_an_owner_moves_with_its_keys(store: Cli):
    store("owner", "add", "a", check=0)
    store("owner", "add", "b", check=0)
    key = mint(store, "--owner", "b")["key"]
    store("owner", "disable", "a", "--yes", check=0)

    store("owner", "update", "b", "--parent", "a", check=0)
    assert verify(store, key) == "OWNER_INACTIVE"
    store("owner", "update", "b", "--parent", "", check=0)
    assert verify(store, key) == "VALID"


def test_no_owner_is_its_own_ancestor(store: Cli):
    for handle, parent in [("a", []), ("b", ["--parent", "a"]), ("c", ["--parent", "b"])]:
        store("owner", "add", handle, *parent, check=0)

    for below in ("a", "b", "c"):
        refused(store, "owner", "update", "a", "--parent", below, code=4, says=below)


def test_parents_are_of_the_kind_that_the_profile_says(agency: Cli):
    agency("owner", "add", "acme", check=0)
    agency("owner", "add", "sub", "--kind", "sub", "--parent", "acme", check=0)

    refused(agency, "owner", "add", "x", "--kind", "sub", code=4, says="must belong to an agency")
    refused(agency, "owner", "add", "x", "--kind", "sub", "--parent", "sub", code=4, says="sub is a sub")
    refused(agency, "owner", "add", "x", "--parent", "acme", code=4, says="an agency cannot have a parent")
    refused(agency, "owner", "update", "sub", "--parent", "", code=4, says="must belong to an agency")


# ── add, show, list, update ──────────────────────────────────────────────────────────────────────────────────────────


def test_add_show_and_list_agree(agency: Cli):
    options = ["--name", "Acme [/x] Ltd", "--plan", "pro", "--attr", "seats=3", "--attr", "beta=yes"]

    added = agency("owner", "add", "acme", *options, "--attr", "origins=a.example, b.example", "--json", check=0).json

    assert added.keys() >= FIELDS
    assert added["attributes"] == {"region": "eu", "seats": 3, "beta": True, "origins": ["a.example", "b.example"]}
    assert (added["kind"], added["plan"], added["active"], added["parent_id"]) == ("agency", "pro", True, None)
    assert show(agency, "acme") == show(agency, added["id"]) == added
    assert agency("owner", "list", "--json", check=0).json == {"owners": [added]}
    assert json.loads(agency("owner", "list", "--jsonl", check=0).out) == added
    assert agency("owner", "list", check=0).out == "acme\tagency\tAcme [/x] Ltd\t\tpro\tactive\n"
    assert "Acme [/x] Ltd" in agency.tty("owner", "list", check=0).out
    facts = dict(line.split("\t") for line in agency("owner", "show", "acme", check=0).out.splitlines())
    assert (facts["attr seats"], facts["attr beta"], facts["status"]) == ("3", "true", "active")


def test_list_filters_by_kind_and_parent(agency: Cli):
    agency("owner", "add", "acme", check=0)
    agency("owner", "add", "zeta", check=0)
    agency("owner", "add", "sub", "--kind", "sub", "--parent", "acme", check=0)

    def handles(*args: str) -> list[str]:
        return [line.split("\t")[0] for line in agency("owner", "list", *args, check=0).out.splitlines()]

    assert handles() == ["acme", "sub", "zeta"]
    assert handles("--kind", "sub") == handles("--parent", "acme") == ["sub"]
    refused(agency, "owner", "list", "--kind", "agancy", code=2, says='did you mean "agency"?')
    refused(agency, "owner", "list", "--parent", "nobody", code=3, says='no owner "nobody"')


def test_update_changes_what_is_named_and_clears_what_is_empty(agency: Cli):
    agency("owner", "add", "acme", "--name", "Acme", "--attr", "seats=3", check=0)

    agency("owner", "update", "acme", "--attr", "seats=4", "--attr", "region=", "--plan", "pro", check=0)
    assert show(agency, "acme")["attributes"] == {"seats": 4}
    assert (show(agency, "acme")["name"], show(agency, "acme")["plan"]) == ("Acme", "pro")
    agency("owner", "update", "acme", "--name", "", "--plan", "", check=0)
    assert (show(agency, "acme")["name"], show(agency, "acme")["plan"]) == (None, None)
    is_so_already(agency, "owner", "update", "acme", "--attr", "seats=4", says="already has these values")


def test_ensure_accepts_the_owner_that_is_there(store: Cli):
    store("owner", "add", "acme", "--name", "Acme", check=0)

    refused(store, "owner", "add", "acme", code=4, says=["already exists", "--ensure"])
    is_so_already(store, "owner", "add", "acme", "--name", "Other", "--ensure", says="already exists")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["bad handle"], 2, "is not a valid owner handle"),
        (["../x"], 2, "is not a valid owner handle"),
        (["\x1b[31m"], 2, "is not a valid owner handle"),
        ([""], 2, "is not a valid owner handle"),
        (["x" * 201], 2, "is not a valid owner handle"),
        ([], 2, "HANDLE"),
        (["x", "--kind", "agancy"], 2, 'did you mean "agency"?'),
        (["x", "--plan", "por"], 2, ['unknown plan "por"', 'did you mean "pro"?']),
        (["x", "--parent", "nobody"], 3, 'no owner "nobody"'),
        (["x", "--name", "two\nlines"], 2, "U+000A"),
        (["x", "--name", "x" * 10_000], 2, "10,000 characters"),
        (["x", "--attr", "seats"], 2, "is not NAME=VALUE"),
        (["x", "--attr", "seats=many"], 2, "must be a whole number"),
        (["x", "--attr", "beta=perhaps"], 2, "must be true or false"),
        (["x", "--attr", "regoin=eu"], 2, 'did you mean "region"?'),
        (["x", "--attr", "region=\u202e"], 2, "U+202E"),
    ],
)
def test_what_cannot_be_understood_adds_no_owner(agency: Cli, options: list[str], code: int, says: list[str] | str):
    refused(agency, "owner", "add", *options, code=code, says=says)


def test_an_unknown_owner_is_not_found(store: Cli):
    store("owner", "add", "acme", check=0)

    for command in (["show"], ["update", "--name", "x"], ["disable"], ["enable"]):
        refused(store, "owner", *command, "acne", code=3, says=['no owner "acne"', 'did you mean "acme"?'])
    refused(store, "owner", "update", "acme", code=2, says="nothing to change")


def test_doing_it_again_is_no_failure(store: Cli):
    store("owner", "add", "acme", check=0)

    is_so_already(store, "owner", "enable", "acme", says="is already active")
    store("owner", "disable", "acme", "--yes", check=0)
    is_so_already(store, "owner", "disable", "acme", says="is already disabled")


def test_a_dry_run_changes_nothing(store: Cli):
    store("owner", "add", "acme", check=0)

    for command in (["add", "new"], ["update", "acme", "--name", "x"], ["disable", "acme"]):
        assert changes_nothing(store, "owner", *command, "--dry-run", says="would be").out == ""
    store("owner", "disable", "acme", "--yes", check=0)
    changes_nothing(store, "owner", "enable", "acme", "--dry-run", says="would be enabled")


def test_a_list_without_owners_says_how_to_add_one(store: Cli):
    result = store("owner", "list", check=0)

    assert (result.out, "keyctl owner add" in result.err) == ("", True)


def test_the_platforms_response_is_only_for_what_was_done_and_what_the_profile_has(store: Cli):
    says = ['profile "standard" has no HTTP response for this command', "[http.responses.owner_added]"]
    refused(store, "owner", "add", "acme", "--http", code=2, says=says)
    refused(store, "owner", "add", "acme", "--http", "--dry-run", code=2, says="--http cannot be used with --dry-run")

    assert store("owner", "list", "--json", check=0).json["owners"] == []
