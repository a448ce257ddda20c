"""`keyctl show`."""

from __future__ import annotations

import pytest

from tests.cli.helpers import KEY_FIELDS, ago, full_disk, mint, mint_many, refused, set_key
from tests.runner import Cli


def test_a_key_is_found_by_id_prefix_and_unique_beginning(store: Cli):
    key = mint(store, "--name", "ci")

    for selector in (key["id"], key["prefix"], key["prefix"][:8], key["prefix"][:-1]):
        found = store("show", selector, "--json", check=0).json
        assert found["id"] == key["id"]
        assert found.keys() >= KEY_FIELDS
        assert "key" not in found


@pytest.mark.parametrize("length", [7, 3, 0])
def test_a_beginning_needs_eight_characters(store: Cli, length: int):
    prefix = mint(store)["prefix"]

    refused(store, "show", prefix[:length], code=3, says="no key")


def test_a_beginning_must_be_unique(store: Cli):
    mint(store)
    mint(store)

    refused(store, "show", "kc_live_", code=3, says=["matches several keys", "keyctl list"])


@pytest.mark.parametrize("selector", ["kc_live_%%%%", "kc_live_____________", "KC_LIVE_", "key_"])
def test_a_selector_is_no_pattern(store: Cli, selector: str):
    mint(store)

    refused(store, "show", selector, code=3, says="no key")


def test_a_near_miss_is_suggested(store: Cli):
    prefix = mint(store)["prefix"]
    typo = prefix[:-2] + prefix[-1] + prefix[-2] + "x"

    refused(store, "show", typo, code=3, says=[f'no key "{typo}"', f'did you mean "{prefix}"?'])


@pytest.mark.parametrize("beginning", ["kc_live_nope", "kc_live_" + "_" * 12])
def test_another_key_of_the_same_environment_is_no_suggestion(store: Cli, beginning: str):
    mint_many(store, 50)

    assert "did you mean" not in refused(store, "show", beginning, code=3, says="no key").err


def test_every_other_command_takes_whole_selectors_only(store: Cli):
    beginning = mint(store)["prefix"][:-1]

    for command in (["rotate"], ["revoke", "--yes"], ["lock"], ["unlock"], ["expire", "--to", "1d"]):
        refused(store, *command, beginning, code=3, says=f'no key "{beginning}"')
    for command in (["scope", "--add", "read"], ["update", "--set-name", "x"], ["audit", "list", "--key"]):
        refused(store, *command, beginning, code=3, says=f'no key "{beginning}"')


def test_facts_are_lines_with_tabs_off_a_terminal_and_aligned_on_one(store: Cli):
    key = mint(store, "--name", "[b]ci", "--scope", "admin", "--allow-ip", "192.0.2.0/24", "--meta", "team=a")

    facts = dict(line.split("\t") for line in store("show", key["prefix"], check=0).out.splitlines())

    assert facts["prefix"] == key["prefix"]
    assert (facts["name"], facts["status"], facts["environment"]) == ("[b]ci", "active", "live")
    assert (facts["scopes"], facts["effective scopes"], facts["meta team"]) == ("admin", "admin, read, write", "a")
    assert (facts["allowed ips"], facts["expires"], facts["last used"]) == ("192.0.2.0/24", "never", "never recorded")
    shown = store.tty("show", key["prefix"], check=0).out
    assert "\t" not in shown
    assert f"prefix            {key['prefix']}" in shown


def test_each_state_is_reported_with_its_circumstances(store: Cli):
    store("owner", "add", "acme", check=0)
    prefix = mint(store, "--owner", "acme", "--expires", "30d")["prefix"]

    def shown() -> str:
        return store("show", prefix, check=0).out

    set_key(store, prefix, last_used_at=ago(hours=3))
    assert "(3h ago)" in shown()
    store("owner", "disable", "acme", "--yes", check=0)
    assert "acme (disabled)" in shown()
    store("lock", prefix, check=0)
    assert "locked until unlocked" in shown()
    store("lock", prefix, "--for", "2h", check=0)
    assert "until 20" in shown()
    store("revoke", prefix, "--yes", "--reason", "leaked", check=0)
    assert "revoked: leaked" in shown()


def test_a_key_without_an_owner_is_shown_as_such(store: Cli):
    with full_disk() as descriptor:
        store("mint", stdout=descriptor, check=21)

    prefix = store("list", check=0).out.split("\t")[0]
    assert "delivered\tnever: the key was not written out" in store("show", prefix, check=0).out
