"""Which keys a command changes: by name, from a text, by filters."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import Filled, changes_nothing, dump, mint, refused, show
from tests.runner import Cli

CHANGES = {
    "revoke": ["revoke"],
    "lock": ["lock"],
    "unlock": ["unlock", "--status", "active,locked"],
    "expire": ["expire", "--to", "30d"],
    "scope": ["scope", "--add", "write"],
    "update": ["update", "--set-name", "new"],
    "rotate": ["rotate"],
}


@pytest.fixture
def several(store: Cli, filled: Filled) -> tuple[Cli, dict[str, dict[str, Any]]]:
    """Keys of two owners and of none, by name."""
    return store, filled(_several)


def _several(store: Cli) -> dict[str, dict[str, Any]]:
    store("owner", "add", "acme", check=0)
    store("owner", "add", "below", "--parent", "acme", check=0)
    return {
        "web": mint(store, "--name", "web", "--owner", "acme", "--scope", "read", "--meta", "team=a"),
        "ci": mint(store, "--name", "ci", "--owner", "below", "--scope", "read", "--meta", "team=b"),
        "free": mint(store, "--name", "free", "--scope", "read", "--expires", "60d"),
    }


def events(store: Cli) -> list[dict[str, Any]]:
    return store("audit", "list", "--json", check=0).json["events"]


# ── filters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", CHANGES)
def test_every_change_takes_the_filters_of_list(several: tuple[Cli, dict[str, Any]], command: str):
    store, keys = several

    result = store(*CHANGES[command], "--owner", "acme", "--below", "--yes", "--json", check=0).json

    touched = {key.get("previous", key)["prefix"] for key in result["keys"]}
    assert touched == {keys["web"]["prefix"], keys["ci"]["prefix"]}
    newest = events(store)[0]["detail"]
    changed = {entry["prefix"] for entry in newest["keys"]} if command != "unlock" else touched
    assert touched <= changed
    assert show(store, keys["free"]["prefix"])["status"] == "active"


def test_names_and_filters_must_both_be_met(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    prefixes = [key["prefix"] for key in keys.values()]

    store("lock", *prefixes, "--meta", "team=a", "--meta", "team=b", "--yes", check=0)

    statuses = {name: show(store, key["prefix"])["status"] for name, key in keys.items()}
    assert statuses == {"web": "locked", "ci": "locked", "free": "active"}


def test_a_filter_selects_no_key_that_is_revoked_unless_asked_to(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    store("revoke", keys["web"]["prefix"], check=0)

    assert store("lock", "--name", "*", "--yes", check=0).out.count("locked ") == 2
    refused(store, "lock", "--status", "revoked", "--yes", code=4, says="is permanently revoked")
    assert "is already revoked" in store("revoke", "--status", "revoked", "--yes", check=0).err


@pytest.mark.parametrize("command", CHANGES)
@pytest.mark.sqlite
def test_filters_that_match_nothing_get_a_note(several: tuple[Cli, dict[str, Any]], command: str):
    store, _ = several

    for options in (["--yes"], [], ["--dry-run"]):
        result = store(*CHANGES[command], "--name", "nothing like it", *options, check=0)
        assert (result.out, result.err) == ("", "keyctl: no keys match: nothing was changed\n")
    assert store(*CHANGES[command], "--name", "nothing", "--json", check=0).json == {"keys": []}


@pytest.mark.parametrize("command", CHANGES)
@pytest.mark.sqlite
def test_without_any_selection_nothing_is_changed(store: Cli, command: str):
    options = [word for word in CHANGES[command] if word not in {"--status", "active,locked"}]

    refused(store, *options, "--yes", code=2, says=["no key is selected", "--from FILE"])


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--owner", "nobody"], 3, 'no owner "nobody"'),
        (["--below"], 2, "--below requires --owner"),
        (["--status", "dead"], 2, 'unknown status "dead"'),
        (["--env", "prod"], 2, 'unknown environment "prod"'),
        (["--scope", "raed"], 2, 'did you mean "read"'),
        (["--plan", "gold"], 2, 'unknown plan "gold"'),
        (["--meta", "team"], 2, "NAME=VALUE"),
        (["--name", "x" * 1001], 2, "at most 1,000"),
        *(([option, ""], 2, "an empty value is not allowed") for option in ("--name", "--created-by", "--owner")),
        (["--name", " "], 2, "an empty value is not allowed"),
        (["--created-since", "tomorrow"], 2, "tomorrow"),
        (["--created-since", "1h", "--created-before", "2h"], 2, "no key can match both"),
        (["--older-than", "2h", "--created-since", "1h"], 2, "cannot both match"),
        (["--expires-within", "7d", "--status", "expired"], 2, "not expired yet"),
        (["--due", "--status", "locked"], 2, "--due is for active keys"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
@pytest.mark.sqlite
def test_what_a_filter_cannot_mean_is_refused_by_lists_and_changes_alike(
    several: tuple[Cli, dict[str, Any]], options: list[str], code: int, says: str
):
    store, _ = several

    refused(store, "list", *options, code=code, says=says)
    refused(store, "revoke", *options, "--yes", code=code, says=says)


# ── showing and asking ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_will_be_touched_is_shown_before_the_question(several: tuple[Cli, dict[str, Any]]):
    store, keys = several

    asked = store.tty("revoke", "--owner", "acme", "--below", talk=[("[y/N]", "n\n")], columns=120, check=8).out

    assert "2 keys of 2 owners:" in asked
    assert "revoke 2 keys of 2 owners? [y/N]" in asked
    assert re.search(rf"{keys['web']['prefix']}  web  acme  active, no use recorded", asked)
    assert "nothing was changed" in asked
    assert show(store, keys["web"]["prefix"])["status"] == "active"
    store.tty("revoke", "--owner", "acme", "--below", talk=[("[y/N]", "y\n")], check=0)
    assert [show(store, key["prefix"])["status"] for key in keys.values()] == ["revoked", "revoked", "active"]


def test_of_many_keys_five_are_shown(store: Cli):
    store("mint", "--owner", "acme", "--create-owner", "--count", "12", check=0)

    result = store("lock", "--owner", "acme", check=4)

    assert "keyctl: 12 keys of acme:" in result.err
    assert len(re.findall(r"kc_live_\w+  acme  active", result.err)) == 5
    assert "… and 7 more" in result.err
    assert "confirmation required: lock 12 keys of acme" in result.err
    assert "add --yes" in result.err


@pytest.mark.parametrize("command", CHANGES)
@pytest.mark.sqlite
def test_off_a_terminal_a_filter_requires_yes_whatever_it_selects(several: tuple[Cli, dict[str, Any]], command: str):
    store, keys = several
    before = dump(store)

    result = store(*CHANGES[command], "--name", "web", check=4)

    assert "--yes" in result.err
    assert keys["web"]["prefix"] in result.err
    assert result.out == ""
    assert dump(store) == before


@pytest.mark.sqlite
def test_a_dry_run_shows_what_would_be_touched(several: tuple[Cli, dict[str, Any]]):
    store, _ = several

    result = changes_nothing(store, "revoke", "--owner", "acme", "--below", "--dry-run", says="would be revoked")

    assert "2 keys of 2 owners:" in result.err
    assert result.out == ""


def test_all_are_changed_or_none(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    store("rotate", keys["web"]["prefix"], "--grace", "1h", check=0)
    before = dump(store)

    refused(store, "expire", "--name", "*", "--to", "90d", "--yes", code=4, says="cannot be extended")

    assert dump(store) == before


# ── from a text ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_list_names_keys_by_id_prefix_or_as_a_whole(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    lines = [keys["web"]["id"], "", keys["ci"]["prefix"], f"  {keys['free']['key']}\r"]

    result = store("lock", "--from", "-", "--yes", stdin="\n".join(lines), check=0)

    assert result.out.splitlines() == [f"locked {key['prefix']}" for key in keys.values()]


@pytest.mark.sqlite
def test_keys_are_found_anywhere_in_a_text(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    text = (
        f"2026-11-27 GET /?key={keys['web']['key']}&x=1 200\n"
        f'{{"note": "\\nkey {keys["ci"]["prefix"]}"}} and {keys["free"]["id"]}, twice: {keys["free"]["prefix"]}.\n'
        f"not one: {keys['web']['prefix']}suffix, kc_live_short, key_01J\n"
    ).encode() + b"\x00\xff\xfe"
    (store.cwd / "app.log").write_bytes(text)

    result = store("revoke", "--from", "app.log", "--reason", "leaked", "--yes", "--json", check=0)

    assert [key["prefix"] for key in result.json["keys"]] == [key["prefix"] for key in keys.values()]
    for key in keys.values():
        assert key["key"].rpartition("_")[2] not in result.out + result.err


@pytest.mark.sqlite
def test_keys_that_a_text_names_are_listed_in_its_order(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    text = f"see {keys['free']['key']} and {keys['web']['prefix']}"

    listed = store("list", "--from", "-", "--columns", "name", stdin=text, check=0)

    assert listed.out == "free\nweb\n"
    assert store("list", keys["ci"]["id"], "--columns", "name", check=0).out == "ci\n"
    refused(store, "list", "--from", "-", "--sort", "name", stdin=text, code=2, says="--sort cannot be used")


def test_all_unknown_keys_are_named_and_nothing_is_changed(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    unknown = ["kc_live_aaaaaaaaaaaa", "kc_live_bbbbbbbbbbbb", "kc_live_short"]
    text = "\n".join([keys["web"]["prefix"], *unknown, "a-secret-of-another-kind-1234567890"])
    before = dump(store)

    result = store("revoke", "--from", "-", "--yes", stdin=text, check=3)

    assert "error: 4 keys are unknown, and nothing was done:" in result.err
    for one in [*unknown, "line 5 of -"]:
        assert f"  {one}\n" in result.err
    assert "a-secret" not in result.err
    assert "--ignore-unknown" in result.err
    arguments = store("revoke", keys["web"]["prefix"], *unknown, "--yes", check=3)
    assert all(one in arguments.err for one in unknown)
    one = store("list", "--from", "-", stdin=f"see {unknown[0]}, {keys['web']['prefix']}", check=3)
    assert "error: 1 key is unknown, and nothing was done:" in one.err
    assert dump(store) == before


def test_unknown_keys_can_be_ignored(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    text = f"{keys['web']['prefix']}\nkc_live_aaaaaaaaaaaa\n"

    result = store("revoke", "--from", "-", "--yes", "--ignore-unknown", stdin=text, check=0)

    assert result.out == f"revoked {keys['web']['prefix']}\n"
    assert "1 unknown key is ignored: kc_live_aaaaaaaaaaaa" in result.err
    assert store("lock", "kc_live_aaaaaaaaaaaa", "--ignore-unknown", "--yes", check=0).out == ""


def test_a_text_and_a_filter_must_both_be_met(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    text = "\n".join(key["prefix"] for key in keys.values())

    result = store("revoke", "--from", "-", "--owner", "acme", "--yes", stdin=text, check=0)

    assert result.out == f"revoked {keys['web']['prefix']}\n"


@pytest.mark.sqlite
def test_an_empty_text_selects_nothing(several: tuple[Cli, dict[str, Any]]):
    store, _ = several

    for text in ("", "\n\n", "just words, and no key at all\n"):
        result = store("revoke", "--from", "-", "--yes", stdin=text, check=0)
        assert (result.out, result.err) == ("", "keyctl: no keys match: nothing was changed\n")


@pytest.mark.parametrize(
    ("name", "says"), [("nothing.txt", "No such file"), (".", "cannot read"), ("pipe", "cannot read")]
)
@pytest.mark.sqlite
def test_a_text_that_cannot_be_read_is_an_error(store: Cli, name: str, says: str):
    os.mkfifo(store.cwd / "pipe")

    refused(store, "revoke", "--from", name, "--yes", code=2, says=says)


@pytest.mark.sqlite
def test_base64_and_ids_of_other_things_select_nothing(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    text = f"a text: {base64.b64encode(keys['web']['key'].encode()).decode()} key_01J\n"

    assert store("lock", "--from", "-", "--yes", stdin=text, check=0).out == ""


@pytest.mark.torture(only=True)
@pytest.mark.sqlite
def test_a_binary_of_a_gigabyte_is_read_in_little_memory(several: tuple[Cli, dict[str, Any]], tmp_path: Path):
    store, keys = several
    path = tmp_path / "image.bin"
    with path.open("wb") as file:
        block = bytes(range(256)) * 4096
        for i in range(1024):
            file.write(block)
            if i == 700:
                file.write(keys["ci"]["key"].encode())

    result = store("revoke", "--from", str(path), "--yes", check=0, timeout=300)

    assert result.out == f"revoked {keys['ci']['prefix']}\n"


# ── rotating several ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_several_keys_are_rotated_at_once(several: tuple[Cli, dict[str, Any]]):
    store, keys = several

    result = store("rotate", "--name", "*", "--grace", "0", "--yes", "--json", check=0).json

    assert {key["previous"]["prefix"] for key in result["keys"]} == {key["prefix"] for key in keys.values()}
    for key in result["keys"]:
        assert store("verify", stdin=key["key"], check=0)
        assert key["previous"]["status"] == "revoked"
        assert key["replaces"] == key["previous"]["id"]
    assert store("audit", "verify", check=0)


def test_keys_that_are_rotated_into_a_file_are_in_it_line_by_line(several: tuple[Cli, dict[str, Any]]):
    store, keys = several

    store("rotate", keys["web"]["prefix"], keys["ci"]["prefix"], "--out", "new.txt", "--yes", check=0)

    lines = (store.cwd / "new.txt").read_text().splitlines()
    owners = [json.loads(store("verify", "--json", stdin=line, check=0).out)["owner"]["handle"] for line in lines]
    assert owners == ["acme", "below"]


def test_one_key_that_cannot_be_rotated_keeps_all_as_they_are(several: tuple[Cli, dict[str, Any]]):
    store, keys = several
    store("lock", keys["ci"]["prefix"], check=0)
    before = dump(store)

    refused(store, "rotate", *(key["prefix"] for key in keys.values()), "--yes", code=4, says="is locked")

    assert dump(store) == before


def test_a_name_in_the_place_of_a_selector_gets_a_hint(several: tuple[Cli, dict[str, Any]]):
    store, keys = several

    for command in (["show"], ["rotate"], ["revoke"]):
        refused(store, *command, "web", code=3, says=["no key", f"a key is named so: {keys['web']['prefix']}"])


def test_many_keys_are_changed_in_events_of_a_thousand(store: Cli):
    store("mint", "--owner", "acme", "--create-owner", "--count", "1100", check=0)

    result = store("lock", "--owner", "acme", "--yes", check=0)

    assert result.out.count("locked ") == 1100
    assert [len(event["detail"]["keys"]) for event in events(store)[:2]] == [100, 1000]
    assert store("audit", "verify", check=0)
