"""`keyctl scan`."""

from __future__ import annotations

import json
import re
import tomllib
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from tests.cli.helpers import AS_ORDINARY_USER, ago, dump, mint, refused, set_key, show, write_profile
from tests.runner import Cli

pytestmark = pytest.mark.sqlite


def other_secret(key: str) -> str:
    """Return a text with the prefix of a key, another secret and the right checksum."""
    key_format = load_profile("standard").key_format
    other = key_format.parse(key_format.generate(1, env="live")[0].text)
    return key_format.format(replace(other, random=key_format.parse(key).random))


def places(result: Any) -> dict[str, list[str]]:
    """Return where each key is, by prefix."""
    found: dict[str, list[str]] = {}
    for line in result.out.splitlines():
        _, prefix, _, _, where = line.split("\t")
        found.setdefault(prefix, []).append(where)
    return found


def test_a_live_key_is_listed_with_its_owner_and_its_place_and_the_exit_code_is_9(store: Cli):
    key = mint(store, "--owner", "acme", "--create-owner")
    (store.cwd / "a.env").write_text(f"A=1\nTOKEN={key['key']}\n")
    (store.cwd / "b").write_bytes(b"\0" + b64encode(b"user:" + key["key"].encode()))

    result = store("scan", ".", check=9)

    assert result.out.splitlines() == [
        f"active\t{key['prefix']}\tacme\tright\t./a.env:2:7",
        f"active\t{key['prefix']}\tacme\tright\t./b:1:6 (base64)",
    ]
    assert "1 live key was found" in result.err
    assert key["key"][21:] not in result.out + result.err


def test_nothing_found_is_0_and_says_how_much_was_searched(store: Cli):
    (store.cwd / "a").write_text("nothing")

    result = store("scan", ".", check=0)

    assert (result.out, result.err) == ("", "keyctl: searched 1 file, 7 bytes\n")


def test_keys_that_are_dead_unknown_or_have_a_wrong_secret_are_only_noted(store: Cli):
    revoked, expired, live = mint(store), mint(store), mint(store)
    store("revoke", revoked["prefix"], check=0)
    set_key(store, expired["prefix"], expires_at=ago(hours=1))
    unknown = load_profile("standard").key_format.generate(1, env="live")[0].text
    (store.cwd / "a").write_text("\n".join([revoked["key"], expired["key"], other_secret(live["key"]), unknown]))

    result = store("scan", "a", check=0)

    assert result.out == ""
    assert "2 keys that are revoked or expired" in result.err
    assert "1 text with the prefix of a live key, and another secret" in result.err
    assert "1 key of the same form, not in this store" in result.err
    listed = store("scan", "a", "--all", check=0).out.splitlines()
    assert [line.split("\t")[0] for line in listed] == ["revoked", "expired", "active"]
    assert listed[2].split("\t")[3] == "wrong"


def test_locked_and_disabled_keys_are_live(store: Cli):
    locked, disabled = mint(store), mint(store, "--owner", "acme", "--create-owner")
    store("lock", locked["prefix"], check=0)
    store("owner", "disable", "acme", "--yes", check=0)
    (store.cwd / "a").write_text(f"{locked['key']} {disabled['key']}")

    result = store("scan", "a", check=9)

    assert [line.split("\t")[0] for line in result.out.splitlines()] == ["locked", "disabled"]


def test_standard_input_is_searched(store: Cli):
    key = mint(store)

    assert places(store("scan", "-", stdin=f"x\n {key['key']}", check=9)) == {key["prefix"]: ["-:2:2"]}


def test_keys_of_a_format_that_was_used_before_are_found(store: Cli):
    key = mint(store)
    store("profile", "apply", write_profile(store), check=0)

    assert places(store("scan", "-", stdin=key["key"], check=9)) == {key["prefix"]: ["-:1:1"]}


def test_the_json_object_has_everything_that_was_found(store: Cli):
    key, revoked = mint(store), mint(store)
    store("revoke", revoked["prefix"], check=0)
    (store.cwd / "a").write_text(f"{key['key']}\n{revoked['key']}\n")

    found = store("scan", "a", "--json", check=9).json

    assert [(one["prefix"], one["live"], one["secret"], one["status"]) for one in found["keys"]] == [
        (key["prefix"], True, "right", "active"),
        (revoked["prefix"], False, "unchecked", "revoked"),
    ]
    assert found["keys"][0]["places"] == [
        {"path": "a", "line": 1, "column": 1, "encoding": "", "commit": None, "kind": ""}
    ]
    assert (found["unknown"], found["files"], found["unread"]) == (0, 1, [])
    lines = store("scan", "a", "--jsonl", check=9).out.splitlines()
    assert len(lines) == 2


def test_the_live_keys_are_revoked_or_locked(store: Cli):
    keys = [mint(store) for _ in range(3)]
    text = "\n".join([keys[0]["key"], keys[1]["key"], other_secret(keys[2]["key"])])

    locked = store("scan", "-", "--lock", "--yes", stdin=text, check=0)
    assert [line.split("\t")[0] for line in locked.out.splitlines()] == ["locked", "locked"]
    revoked = store("scan", "-", "--revoke", "--yes", "--reason", "in a paste", "--json", stdin=text, check=0)

    assert [one["status"] for one in revoked.json["keys"][:2]] == ["revoked", "revoked"]
    assert [show(store, key["prefix"])["status"] for key in keys] == ["revoked", "revoked", "active"]
    assert show(store, keys[0]["prefix"])["revoked_reason"] == "in a paste"
    events = store("audit", "list", "--json").json["events"]
    assert [(one["action"], one["reason"]) for one in events[:2]] == [
        ("key.revoked", "in a paste"),
        ("key.locked", "found by scan"),
    ]


def test_a_change_is_shown_first_and_needs_confirmation(store: Cli):
    key = mint(store)
    before = dump(store)

    asked = store("scan", "-", "--revoke", stdin=key["key"], check=4)
    assert "confirmation required" in asked.err
    tried = store("scan", "-", "--revoke", "--dry-run", stdin=key["key"], check=9)
    (store.cwd / "a").write_text(key["key"])
    store.tty("scan", "a", "--revoke", talk=[("? [y/N]", "n\n")], check=8)

    assert "would revoke 1 key" in tried.err
    assert dump(store) == before
    store.tty("scan", "a", "--revoke", talk=[("? [y/N]", "y\n")], check=0)
    assert show(store, key["prefix"])["status"] == "revoked"


def test_a_key_whose_pepper_is_missing_counts_as_live_and_is_not_changed(cli: Cli):
    cli("db", "pepper", "peppers", check=0)
    cli("init", "--hash", "sha256", "--pepper-file", "peppers", check=0)
    key = mint(cli, "--pepper-file", "peppers")

    result = cli("scan", "-", "--revoke", "--yes", stdin=key["key"], check=9)

    assert result.out.split("\t")[3] == "unchecked"
    assert "could not be checked" in result.err
    assert show(cli, key["prefix"])["status"] == "active"
    cli("scan", "-", "--revoke", "--yes", "--pepper-file", "peppers", stdin=key["key"], check=0)


def test_many_texts_with_the_prefix_of_one_key_cost_few_hashes_and_may_hide_nothing(store: Cli):
    key = mint(store)
    text = "\n".join(other_secret(key["key"]) for _ in range(200)) + "\n" + key["key"]

    found = store("scan", "-", "--json", stdin=text, check=9).json["keys"]

    assert {(one["secret"], one["count"]) for one in found} == {("wrong", 16), ("unchecked", 185)}


def test_what_cannot_be_read_is_named_and_the_answer_is_unknown(store: Cli):
    (store.cwd / "secret").write_text("x")
    (store.cwd / "secret").chmod(0)
    (store.cwd / "folder").mkdir(mode=0)

    result = store.shell(f"{AS_ORDINARY_USER} keyctl scan . || exit $?", check=5)

    assert "not searched: ./secret: Permission denied" in result.err
    assert "not searched: ./folder: Permission denied" in result.err
    assert "no live key was found, but 2 could not be searched" in result.err
    (store.cwd / "folder").chmod(0o700)


def test_what_cannot_be_searched_is_refused(store: Cli):
    refused(store, "scan", code=2, says="there is nothing to scan")
    refused(store, "scan", "gone", code=3, says="there is no file or folder gone")
    refused(store, "scan", "--git", ".", code=3, says="cannot read a Git repository at .")
    refused(store, "scan", "--git", "-", code=2, says="- is standard input")
    refused(store, "scan", ".", "--lock", "--revoke", code=2, says="--revoke cannot be used with --lock")
    refused(store, "scan", ".", "--dry-run", code=2, says="--dry-run needs")
    refused(store, "scan", ".", "--profile", "standard", code=2, says="--profile needs --rules")


def test_the_history_of_a_repository_is_searched(store: Cli):
    key = mint(store)
    (store.cwd / "a").write_text(key["key"])
    store.shell(
        "git init -q . && git add a && git -c user.name=jo -c user.email=jo@x commit -qm add && git rm -qf a && "
        "git -c user.name=jo -c user.email=jo@x commit -qm remove"
    )

    result = store("scan", "--git", ".", check=9)

    [where] = places(result)[key["prefix"]]
    assert re.fullmatch(r"a:1:1 in [0-9a-f]{12}", where)
    assert "history: keyctl scan --git" in store("scan", ".", check=0).err


def test_a_shallow_clone_is_warned_of(store: Cli):
    commit = "git -c user.name=jo -c user.email=jo@x commit -q --allow-empty -m x"
    store.shell(f'git init -q a && cd a && {commit} && {commit} && git clone -q --depth 1 "file://$PWD" ../b')

    assert "b is a shallow clone" in store("scan", "--git", "b", check=0).err


def test_a_scan_needs_no_admin_token_and_a_change_does(store: Cli):
    key = mint(store)
    store("admin-token", "set", stdin="a-token-of-this-store-of-32-chars", check=0)

    store("scan", "-", stdin=key["key"], check=9)
    store("scan", "-", "--revoke", "--yes", stdin=key["key"], check=7)
    assert show(store, key["prefix"])["status"] == "active"


def test_progress_is_shown_on_a_terminal_only_as_far_as_it_is_a_table(store: Cli):
    key = mint(store)
    (store.cwd / "a").write_text(key["key"])

    shown = store.tty("scan", "a", columns=100, check=9).out

    assert "STATUS" in shown
    assert f"{key['prefix']}" in shown
    assert key["key"][21:] not in shown


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def rules(cli: Cli, tool: str, *args: str) -> str:
    return cli("scan", "--rules", tool, *args, check=0).out


def samples(profile: str, count: int = 12) -> tuple[list[str], list[str]]:
    """Return keys of a profile, and texts that differ from one of them in the last character."""
    key_format = load_profile(profile).key_format
    envs = key_format.envs if key_format.has("env") else (None,)
    scopes = key_format.scopes if key_format.has("scope") else (None,)
    keys = [key.text for env in envs for scope in scopes for key in key_format.generate(count, env=env, scope=scope)]
    return keys, [key[:-1] + ("b" if key[-1] == "a" else "a") for key in keys]


CONTEXTS = ["{}", 'TOKEN="{}"', r'{{"a": "x\n{}"}}', "https://x/?k={}&b=1", "a {} b"]


@pytest.mark.parametrize("profile", preset_names())
def test_kingfisher_finds_every_key_by_its_rule_and_no_altered_one(cli: Cli, profile: str):
    from kingfisher_sdk import Rules, Scanner

    (cli.cwd / "rules.yml").write_text(rules(cli, "kingfisher", "--profile", profile))
    loaded = Rules([cli.cwd / "rules.yml"], builtins=False, cache=False)
    scanner = Scanner(loaded)
    keys, altered = samples(profile)

    for context in CONTEXTS:
        found = [key for key in keys if scanner.scan(context.format(key) + "\n")]
        assert found == keys, context
    if profile == "standard":
        assert [key for key in altered if scanner.scan(f"{key}\n")] == []


def test_gitleaks_finds_every_key_by_its_rule(cli: Cli):
    config, texts, expected = "", [], set()
    for profile in preset_names():
        config += rules(cli, "gitleaks", "--profile", profile).removeprefix("[extend]\nuseDefault = true\n")
        keys, _ = samples(profile, 4)
        expected |= set(keys)
        texts += [context.format(key) for key, context in zip(keys, CONTEXTS * len(keys), strict=False)]
    (cli.cwd / ".gitleaks.toml").write_text(config)
    (cli.cwd / "leaked.txt").write_text("\n".join(texts) + "\n")

    cli.shell("gitleaks dir . --no-banner -r found.json", check=1)

    assert {one["Secret"] for one in json.loads((cli.cwd / "found.json").read_text())} == expected


@pytest.mark.parametrize("profile", preset_names())
def test_grep_finds_every_key_by_the_expression_and_nothing_next_to_it(cli: Cli, profile: str):
    (cli.cwd / "keys.regex").write_text(rules(cli, "regex", "--profile", profile))
    keys, _ = samples(profile)
    near = [key[:-1] for key in keys] + [key.replace("_", "-") for key in keys] + [key.swapcase() for key in keys]
    (cli.cwd / "leaked.txt").write_text("\n".join([*keys, *near]) + "\n")

    found = cli.shell("grep -oE -f keys.regex leaked.txt").out.splitlines()

    assert found == keys


def test_the_rules_of_every_tool_are_what_the_tool_can_read(cli: Cli):
    import yaml

    expression = "kc_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{32}[0-9A-Za-z]{6}"
    for tool in ("gitleaks", "betterleaks"):
        [rule] = tomllib.loads(rules(cli, tool, "--profile", "standard"))["rules"]
        assert rule["regex"].startswith(f"({expression})")
        assert rule["keywords"] == ["kc_"]
    [detector] = yaml.safe_load(rules(cli, "trufflehog", "--profile", "standard"))["detectors"]
    assert detector["regex"]["key"].startswith(f"({expression})")
    [rule] = yaml.safe_load(rules(cli, "kingfisher", "--profile", "standard"))["rules"]
    assert rule["pattern_requirements"]["checksum"]["expected"] == "{{ BODY | crc32 | base62: 6 }}"
    assert f"Secret format: {expression}\n" in rules(cli, "github", "--profile", "standard")


def test_rules_are_made_from_every_format_of_the_store(store: Cli):
    store("profile", "apply", "vantax", check=0)

    found = rules(store, "regex").splitlines()

    assert found == [
        "vx_live_[0-9a-f]{12}[0-9a-f]{40}",
        "kc_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{32}[0-9A-Za-z]{6}",
    ]


def test_unknown_tools_and_paths_beside_rules_are_refused(cli: Cli):
    refused(cli, "scan", "--rules", "gitleak", "--profile", "standard", code=2, says='did you mean "gitleaks"?')
    refused(cli, "scan", "--rules", "regex", ".", "--profile", "standard", code=2, says="--rules takes no PATH")
