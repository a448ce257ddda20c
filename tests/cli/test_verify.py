"""`keyctl verify`: one line, whose first word is the code; the exit code says the same."""

from __future__ import annotations

import time

import pytest

from keyctl.times import format_time, from_milliseconds
from tests.cli.helpers import KEY_FIELDS, Filled, ago, dump, mint, refused, set_key, show, with_profile
from tests.runner import Cli


@pytest.fixture
def keys(filled: Filled) -> dict[str, str]:
    """The texts of keys in every state."""
    texts: dict[str, str] = filled(keys_in_every_state)
    return texts


def keys_in_every_state(store: Cli) -> dict[str, str]:
    store("owner", "add", "acme", check=0)
    store("owner", "add", "below", "--parent", "acme", check=0)
    store("owner", "add", "gone", check=0)
    options = {
        "good": ["--owner", "acme", "--scope", "read", "--env", "live"],
        "near": ["--allow-ip", "192.0.2.0/24", "--allow-ip", "2001:db8::/32"],
        "revoked": [],
        "expired": [],
        "locked": [],
        "orphan": ["--owner", "gone"],
        "all": ["--scope", "admin"],
    }
    minted = {name: mint(store, *given) for name, given in options.items()}
    store("revoke", minted["revoked"]["prefix"], "--reason", "leaked", check=0)
    store("lock", minted["locked"]["prefix"], check=0)
    store("owner", "disable", "gone", "--yes", check=0)
    set_key(store, minted["expired"]["prefix"], expires_at=ago(seconds=1))
    return {name: key["key"] for name, key in minted.items()}


def flipped(key: str) -> str:
    return key[:-1] + ("a" if key[-1] != "a" else "b")


CASES = [
    ("good", [], 0, "VALID", "owner acme"),
    ("good", ["--scope", "read", "--env", "live", "--ip", "192.0.2.1"], 0, "VALID", ""),
    ("good", ["--resource-owner", "acme"], 0, "VALID", ""),
    ("good", ["--resource-owner", "below"], 0, "VALID", ""),
    ("good", ["--resource-owner", "gone"], 24, "FORBIDDEN_OWNER", "belongs to gone"),
    ("good", ["--resource-owner", "nobody"], 24, "FORBIDDEN_OWNER", "belongs to nobody"),
    ("good", ["--scope", "read,write"], 16, "FORBIDDEN_SCOPE", "missing scope write"),
    ("good", ["--env", "test"], 18, "FORBIDDEN_ENVIRONMENT", "the key is for live, not test"),
    ("all", ["--scope", "read", "--scope", "write,admin"], 0, "VALID", ""),
    ("all", ["--resource-owner", "acme"], 24, "FORBIDDEN_OWNER", ""),
    ("near", ["--ip", "192.0.2.255"], 0, "VALID", ""),
    ("near", ["--ip", "2001:db8:ffff::1"], 0, "VALID", ""),
    ("near", ["--ip", "::ffff:192.0.2.1"], 0, "VALID", ""),
    ("near", ["--ip", "192.0.3.0"], 17, "FORBIDDEN_IP", "192.0.3.0 is not allowed"),
    ("near", [], 17, "FORBIDDEN_IP", "no address was given"),
    ("revoked", [], 12, "KEY_REVOKED", "leaked"),
    ("expired", [], 13, "KEY_EXPIRED", "expired at"),
    ("locked", ["--env", "test"], 14, "KEY_LOCKED", "until it is unlocked"),
    ("orphan", [], 15, "OWNER_INACTIVE", "owner gone is disabled"),
]


@pytest.mark.parametrize("record", [[], ["--record"]])
def test_every_code_has_its_exit_code(store: Cli, keys: dict[str, str], record: list[str]):
    for name, options, exit_code, code, reason in CASES:
        result = store("verify", *options, *record, stdin=keys[name], check=exit_code)
        assert result.out.split()[:2] == [code, keys[name].rsplit("_", 1)[0]], result
        assert reason in result.out, result
        assert len(result.out.splitlines()) == 1
        assert result.err == ""
        answer = store("verify", *options, *record, "--json", stdin=keys[name], check=exit_code).json
        assert answer.keys() >= {"valid", "code", "reason", "key", "owner", "http", "bundle"}
        assert (answer["valid"], answer["code"]) == (exit_code == 0, code)
        assert answer["key"].keys() >= KEY_FIELDS
        assert answer["http"].keys() >= {"status", "headers", "body"}
        assert answer["bundle"] is None


def test_near_misses_disclose_nothing_about_the_key(store: Cli, keys: dict[str, str]):
    key = keys["revoked"]
    head, secret = key.rsplit("_", 1)
    for text, reason in [
        (f" {key}", "malformed"),
        (f"{key} ", "malformed"),
        (f"\ufeff{key}", "malformed"),
        (key.upper(), "malformed"),
        (key.swapcase(), "malformed"),
        (key[:-1], "malformed"),
        (key + "x", "malformed"),
        (head, "malformed"),
        (f"{head}_{key}", "malformed"),
        (key.replace("kc_", "ck_"), "malformed"),
        (key.replace("_live_", "_test_"), "checksum"),
        (flipped(key), "checksum"),
        (f"{head}_{secret[::-1]}", "checksum"),
        ("\uff10" + key[1:], "malformed"),
        ("x", "malformed"),
    ]:
        result = store("verify", stdin=text, check=11)
        assert result.out == f"INVALID_API_KEY ({reason})\n", text
        answer = store("verify", "--json", stdin=text, check=11).json
        assert (answer["key"], answer["owner"]) == (None, None)


def test_a_wrong_secret_and_an_unknown_prefix_are_reported_to_the_operator_only(empty: Cli):
    cli = with_profile(empty)  # a format without a checksum
    key = mint(cli)["key"]

    assert cli("verify", stdin=flipped(key), check=11).out == "INVALID_API_KEY (wrong secret)\n"
    unknown = "ak_live_" + "0" * 12 + key[20:]
    assert cli("verify", stdin=unknown, check=11).out == "INVALID_API_KEY (unknown prefix)\n"
    for text in (flipped(key), unknown):
        answer = cli("verify", "--json", stdin=text, check=11).json
        assert (answer["key"], answer["owner"]) == (None, None)


# ── how a key is presented ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_key_is_one_line_on_stdin_or_in_a_file(store: Cli, end: str):
    key = mint(store)["key"]
    (store.cwd / "key.txt").write_bytes((key + end).encode())

    for how in ({"stdin": key + end}, {}):
        options = [] if how else ["--key-file", "key.txt"]
        assert store("verify", *options, **how, check=0).out.startswith("VALID ")
    assert store("verify", "--key-file", "-", stdin=key, check=0)


def test_at_a_terminal_the_prompt_hides_what_is_typed(store: Cli):
    key = mint(store)["key"]

    shown = store.tty("verify", talk=[("Key: ", key + "\n")], check=0)

    assert "VALID" in shown.out
    assert key not in shown.out
    piped = store.tty("verify", talk=[("Key: ", key + "\n")], pipe_stdout=True, check=0)
    assert piped.out.startswith("VALID")
    assert key not in piped.err
    store.tty("verify", talk=[("Key: ", "\n")], check=10)
    store.tty("verify", talk=[("Key: ", "\x04")], check=10)


@pytest.mark.parametrize("command", ["verify", "inspect"])
@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (b"", 10, "no key on standard input"),
        (b"\n", 10, "no key on standard input"),
        (b" \t \n", 10, "no key on standard input"),
        (b"kc_live_" + b"x" * 10_000_000, 11, "more than 65,536 bytes"),
        (b"kc_live_\0\n", 11, "NUL"),
        (b"kc_live_\xff\n", 11, "not UTF-8"),
        (b"kc_live_x\nkc_live_y\n", 11, "several lines"),
        (b"kc_live_x\n\n", 11, "several lines"),
        (b"kc_live_x\rkc_live_y", 11, "several lines"),
    ],
)
def test_what_cannot_be_one_key(store: Cli, command: str, given: bytes, code: int, says: str):
    result = refused(store, command, stdin=given, code=code, says=says)
    assert "kc_live" not in result.err
    (store.cwd / "key.txt").write_bytes(given)
    refused(store, command, "--key-file", "key.txt", code=code, says=says.replace("standard input", "key.txt"))


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--scope", "raed"], 2, 'did you mean "read"?'),
        (["--env", "liev"], 2, 'did you mean "live"?'),
        (["--ip", "192.0.2.0/24"], 2, "is not an IP address"),
        (["--ip", "localhost"], 2, "is not an IP address"),
        (["--key-file", "missing"], 2, "No such file"),
        (["--key-file", "."], 2, "Is a directory"),
        (["kc_live_x"], 2, "unexpected extra argument"),
    ],
)
def test_what_cannot_be_understood(store: Cli, options: list[str], code: int, says: str):
    refused(store, "verify", *options, stdin=mint(store)["key"], code=code, says=says)


# ── recording use ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_written_unless_asked(store: Cli):
    key = mint(store)["key"]
    before = dump(store)

    store("verify", stdin=key, check=0)
    store("verify", stdin=flipped(key), check=11)
    store("verify", "--record", stdin=flipped(key), check=11)
    store("verify", "--record", "--scope", "read", stdin=key, check=16)

    assert dump(store) == before


def test_record_notes_the_last_use_and_nothing_else(store: Cli):
    key = mint(store)
    before = show(store, key["prefix"])

    store("verify", "--record", stdin=key["key"], check=0)

    after = show(store, key["prefix"])
    assert after["last_used_at"]
    assert {name for name in after if after[name] != before[name]} == {"last_used_at"}
    store("audit", "verify", check=0)


def test_the_last_use_only_moves_forward(store: Cli):
    key = mint(store)
    later = int((time.time() + 3600) * 1000)
    set_key(store, key["prefix"], last_used_at=later)

    store("verify", "--record", stdin=key["key"], check=0)

    assert show(store, key["prefix"])["last_used_at"] == format_time(from_milliseconds(later))
