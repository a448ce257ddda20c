"""`keyctl list --tree`: owners with their keys."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from keyctl.cli.key_tree import grow, tree_json, tree_lines
from keyctl.cli.screen import Style
from keyctl.models import KeyRecord, Owner
from keyctl.rows import RowDamaged
from tests.cli.helpers import Filled, mint, refused
from tests.runner import Cli
from tests.stores import NOW

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def family(store: Cli, filled: Filled) -> dict[str, str]:
    """Keys of a tree of owners, and one without; the prefixes by name."""
    return filled(a_family)


def a_family(store: Cli) -> dict[str, str]:
    store("owner", "add", "acme", "--name", "Acme [b]Inc.[/b]", check=0)
    for handle, parent in (("acme-eu", "acme"), ("acme-de", "acme-eu"), ("acme-us", "acme")):
        store("owner", "add", handle, "--parent", parent, check=0)
    store("owner", "add", "globex", check=0)
    keys = {
        "website": ["--owner", "acme", "--scope", "read", "--expires", "30d"],
        "nightly": ["--owner", "acme-de"],
        "loose": [],
    }
    minted = {name: mint(store, "--name", name, *args)["prefix"] for name, args in keys.items()}
    store("owner", "disable", "acme-de", "--yes", check=0)
    return minted


@pytest.mark.sqlite
def test_the_tree_in_a_pipe(store: Cli, family: dict[str, str]):
    assert store("list", "--tree", check=0).out == (
        "acme  Acme [b]Inc.[/b]\n"
        f"├─ {family['website']}        website  read  active    in 30d\n"
        "├─ acme-eu\n"
        "│  └─ acme-de  disabled\n"
        f"│     └─ {family['nightly']}  nightly        disabled  never\n"
        "└─ acme-us\n"
        "globex\n"
        "no owner\n"
        f"└─ {family['loose']}        loose          active    never\n"
    )


@pytest.mark.sqlite
def test_a_filter_shows_only_the_owners_that_lead_to_a_key_that_matches(store: Cli, family: dict[str, str]):
    shown = store("list", "--tree", "--status", "disabled", check=0).out

    assert re.findall(r"acme\S*|globex|no owner", shown) == ["acme", "acme-eu", "acme-de"]
    assert re.findall(r"kc_\w+", shown) == [family["nightly"]]
    nothing = store("list", "--tree", "--status", "revoked", check=0)
    assert (nothing.out, nothing.err) == ("", "keyctl: no keys match\n")


@pytest.mark.sqlite
def test_the_tree_on_a_terminal_of_50_columns(store: Cli, family: dict[str, str]):
    shown = store.tty("list", "--tree", columns=50, check=0).out

    assert "\x1b[1macme\x1b[0m" in shown
    assert "\x1b[31m  disabled\x1b[0m" in shown
    lines = ESCAPE.sub("", shown).splitlines()
    assert max(map(len, lines)) <= 50
    assert f"│     └─ {family['nightly']}  nightly  disabled" in lines
    assert "\x1b" not in store("list", "--tree", check=0).out
    assert "\x1b[32mactive" in store("list", "--tree", env={"FORCE_COLOR": "1"}, check=0).out


@pytest.mark.sqlite
def test_the_tree_as_json_has_the_same_objects_as_the_lists(store: Cli, family: dict[str, str]):
    tree = store("list", "--tree", "--json", check=0).json

    owners = {owner["handle"]: owner for owner in store("owner", "list", "--json", check=0).json["owners"]}
    keys = {key["prefix"]: key for key in store("list", "--json", check=0).json["keys"]}

    def branch(handle: str, prefixes: list[str], *below: object) -> dict[str, object]:
        return {**owners[handle], "keys": [keys[prefix] for prefix in prefixes], "owners": list(below)}

    acme_eu = branch("acme-eu", [], branch("acme-de", [family["nightly"]]))
    assert tree == {
        "owners": [branch("acme", [family["website"]], acme_eu, branch("acme-us", [])), branch("globex", [])],
        "keys": [keys[family["loose"]]],
    }
    assert store("list", "--tree", "--format", "json", check=0).json == tree


@pytest.mark.sqlite
def test_columns_of_the_tree_are_chosen_after_the_prefix(store: Cli, family: dict[str, str]):
    shown = store("list", "--tree", "--columns", "env,prefix,owner", "--name", "loose", check=0).out

    assert shown == f"no owner\n└─ {family['loose']}  live\n"


@pytest.mark.sqlite
def test_the_keys_of_an_owner_are_sorted(store: Cli):
    for name in ("b", "c", "a"):
        mint(store, "--name", name)

    for args, order in (([], "acb"), (["--sort", "name"], "abc"), (["--sort", "name", "--reverse"], "cba")):
        shown = store("list", "--tree", "--columns", "prefix,name", *args, check=0).out
        assert "".join(line[-1] for line in shown.splitlines()[1:]) == order


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--format", "csv"], "--tree cannot be printed as csv"),
        (["--format", "markdown"], "--tree cannot be printed as markdown"),
        (["--limit", "5"], "--tree cannot be used with --limit"),
        (["--after", "x"], "--tree cannot be used with --after"),
    ],
    ids=" ".join,
)
def test_what_a_tree_cannot_have_is_a_usage_error(store: Cli, args: list[str], says: str):
    refused(store, "list", "--tree", *args, code=2, says=says)


def owner(owner_id: str, parent_id: str | None = None) -> Owner:
    return Owner(owner_id, f"handle-{owner_id}", None, "customer", parent_id, None, {}, NOW, "tester")


def test_a_tree_may_be_deeper_than_python_nests():
    owners = [owner(str(i), str(i - 1) if i else None) for i in range(5_000)]

    tree = grow([], owners)

    text = tree_json(tree, dict)
    assert text.count('"owners":[') == 5_001
    assert text.endswith("]}" * 5_000 + '],"keys":[]}')
    lines, _ = tree_lines(tree, [], width=80, style=Style(escapes=False, color=False))
    assert lines[-1] == "   " * 4_998 + "└─ handle-4999"


def test_the_json_of_a_small_tree_is_valid():
    tree = grow([KeyRecord(None)], [owner("1"), owner("2", "1"), owner("3", "1")])  # type: ignore[arg-type]

    assert [one["handle"] for one in json.loads(tree_json(tree, lambda _: {}))["owners"][0]["owners"]] == [
        "handle-2",
        "handle-3",
    ]


def test_owners_that_are_their_own_ancestors_are_a_fault_and_not_a_shorter_tree():
    ring = [owner("1", "2"), owner("2", "1")]

    for owners in (ring, [*ring, owner("3")], [replace(owner("4"), parent_id="4")]):
        with pytest.raises(RowDamaged, match="is its own ancestor"):
            grow([], owners)
