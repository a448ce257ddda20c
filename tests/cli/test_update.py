"""`keyctl update`."""

from __future__ import annotations

import pytest

from tests.cli.helpers import changes_nothing, is_so_already, mint, mint_many, refused, show, verify
from tests.runner import Cli


def test_only_what_is_named_is_changed(store: Cli):
    before = mint(store, "--name", "ci", "--allow-ip", "192.0.2.0/24", "--meta", "team=a", "--meta", "old=x")

    store("update", before["prefix"], "--set-name", "billing worker", check=0)
    store("update", before["prefix"], "--set-meta", "team=b", "--set-meta", "old=", "--set-meta", "new=[/x]", check=0)
    store("update", before["prefix"], "--allow-ip", "2001:db8::/32", "--allow-ip", "192.0.2.7", check=0)

    after = show(store, before["prefix"])
    assert after["name"] == "billing worker"
    assert after["metadata"] == {"team": "b", "new": "[/x]"}
    assert after["allowed_ips"] == ["2001:db8::/32", "192.0.2.7/32"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"name", "metadata", "allowed_ips"}


def test_name_and_networks_are_cleared(store: Cli):
    key = mint(store, "--name", "ci", "--allow-ip", "192.0.2.0/24")
    assert verify(store, key["key"]) == "FORBIDDEN_IP"

    store("update", key["prefix"], "--set-name", "", "--any-ip", check=0)

    assert show(store, key["prefix"])["name"] is None
    assert verify(store, key["key"]) == "VALID"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], ["nothing to change", "--set-name"]),
        (["--set-name", "two\nlines"], "U+000A"),
        (["--set-name", "\x1b[31m"], "U+001B"),
        (["--set-name", "\u202e"], "U+202E"),
        (["--set-name", "x" * 10_000], "10,000 characters"),
        (["--set-name", "  "], "empty"),
        (["--allow-ip", "192.0.2.1/24"], "192.0.2.0/24"),
        (["--allow-ip", "everywhere"], "CIDR"),
        (["--allow-ip", "192.0.2.0/24", "--any-ip"], "cannot be used with"),
        (["--set-meta", "team"], "NAME=VALUE"),
        (["--set-meta", "te am=x"], "NAME=VALUE"),
    ],
)
def test_what_cannot_be_understood_changes_nothing(store: Cli, options: list[str], says: list[str] | str):
    refused(store, "update", mint(store)["prefix"], *options, code=2, says=says)


def test_what_is_so_already_gets_a_note(store: Cli):
    prefix = mint(store, "--name", "ci", "--meta", "a=b")["prefix"]

    same = ["--set-name", "ci", "--set-meta", "a=b", "--any-ip"]
    is_so_already(store, "update", prefix, *same, says="already has these values")


def test_several_keys_are_asked_about(store: Cli):
    one, two = (key["prefix"] for key in mint_many(store, 2))

    assert "--yes" in store("update", one, two, "--set-name", "x", check=4).err
    store.tty("update", one, two, "--set-name", "x", talk=[("change 2 keys? [y/N]", "n\n")], check=8)
    store("update", one, two, "--set-name", "x", "--yes", check=0)


def test_a_dry_run_changes_nothing(store: Cli):
    changes_nothing(store, "update", mint(store)["prefix"], "--set-name", "x", "--dry-run", says="would be changed")
