"""`keyctl mint`."""

from __future__ import annotations

import json
import re
import signal
import stat
import time

import pytest

from tests.cli.helpers import (
    KEY_FIELDS,
    changes_nothing,
    closed_pipe,
    dump,
    execute,
    full_disk,
    mint,
    mint_many,
    refused,
    seconds_from_now,
    show,
    verify,
    with_profile,
)
from tests.runner import Cli

KEY = re.compile(r"kc_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}")
DAY = 86400


# ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_mint_prints_the_key_alone(store: Cli):
    result = store("mint", "--name", "ci", check=0)

    assert KEY.fullmatch(result.out.removesuffix("\n"))
    assert result.err == ""
    assert verify(store, result.out) == "VALID"


def test_on_a_terminal_details_go_to_stderr_and_the_key_is_not_wrapped(store: Cli):
    result = store.tty("mint", "--name", "ci", "--scope", "read", columns=30, pipe_stdout=True, check=0)

    assert KEY.fullmatch(result.out.removesuffix("\n"))
    for words in ("prefix", "ci", "read", "live", "never", "shown only once"):
        assert words in result.err
    assert result.out.strip() not in result.err


def test_everything_asked_for_is_in_the_json_object(store: Cli):
    store("owner", "add", "acme", check=0)
    options = ["--owner", "acme", "--env", "test", "--scope", "write,read", "--scope", "read", "--expires", "30d"]

    key = mint(store, "--name", "ci", "--allow-ip", "192.0.2.7", "--meta", "team=a", "--meta", "url=b=c", *options)

    assert key.keys() >= KEY_FIELDS | {"key"}
    assert KEY.fullmatch(key["key"])
    assert key["key"].startswith(key["prefix"] + "_")
    expected = {
        "name": "ci",
        "owner": "acme",
        "environment": "test",
        "scopes": ["write", "read"],
        "effective_scopes": ["write", "read"],
        "allowed_ips": ["192.0.2.7/32"],
        "metadata": {"team": "a", "url": "b=c"},
        "status": "active",
        "owner_active": True,
        "locked_until": None,
        "revoked_at": None,
        "replaced_by": None,
        "replaces": None,
        "last_used_at": None,
    }
    assert {name: key[name] for name in expected} == expected
    assert abs(seconds_from_now(key["expires_at"]) - 30 * DAY) < 60
    assert key["delivered_at"].endswith("Z")
    del key["key"]
    assert show(store, key["prefix"]) == key


def test_implied_scopes_are_in_force(store: Cli):
    assert mint(store, "--scope", "admin")["effective_scopes"] == ["admin", "read", "write"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("90", 90), ("2m", 120), ("3h", 10800), ("1d", DAY), ("2w", 14 * DAY), ("never", None)],
)
def test_expiry_is_read_in_every_unit(store: Cli, text: str, seconds: int | None):
    ends = mint(store, "--expires", text)["expires_at"]

    assert ends is None if seconds is None else abs(seconds_from_now(ends) - seconds) < 30


def test_expiry_in_another_zone_is_kept_in_utc(store: Cli):
    assert mint(store, "--expires", "2100-01-01T01:30:00+05:30")["expires_at"] == "2099-12-31T20:00:00Z"


@pytest.mark.parametrize("how", ["lines", "--json", "--jsonl"])
def test_many_keys_in_one_transaction(store: Cli, how: str):
    result = store("mint", "--count", "25", "--name", "bulk", *([how] if how != "lines" else []), check=0)

    if how == "--json":
        keys = [one["key"] for one in result.json["keys"]]
    else:
        keys = [json.loads(line)["key"] if how == "--jsonl" else line for line in result.out.splitlines()]
    assert len({*keys}) == 25
    assert all(KEY.fullmatch(key) for key in keys)
    assert result.err == ""
    assert {verify(store, key) for key in keys[::12]} == {"VALID"}
    assert sorted(row[4] for row in dump(store)["events"]) == ["key.delivered", "key.minted", "store.created"]


def test_the_progress_bar_is_on_the_terminals_stderr_only(store: Cli):
    result = store.tty("mint", "--count", "40", pipe_stdout=True, check=0)

    assert all(KEY.fullmatch(line) for line in result.out.splitlines())
    assert len(result.out.splitlines()) == 40
    assert "hashing 40 keys" in result.err
    assert not KEY.search(result.err)
    assert "hashing" not in store.tty("mint", "--count", "40", "--quiet", check=0).out


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--scope", "raed"], 2, ['unknown scope "raed" in profile "standard"', 'did you mean "read"?']),
        (["--scope", "read,"], 2, "an empty value is not allowed"),
        (["--scope", ""], 2, "an empty value is not allowed"),
        (["--env", "liev"], 2, ['unknown environment "liev"', 'did you mean "live"?']),
        (["--env", "prod"], 2, "known: live, test"),
        (["--owner", "nobody"], 3, ['no owner "nobody"', "to add it: --create-owner"]),
        (["--owner", "bad handle", "--create-owner"], 2, "is not a valid owner handle"),
        (["--create-owner"], 2, "--owner HANDLE"),
        (["--owner-kind", "account"], 2, "--create-owner"),
        (["--owner", "x", "--create-owner", "--owner-kind", "agency"], 2, 'unknown kind of owner "agency"'),
        (["--profile", "standard"], 2, "--profile requires --init"),
        (["--expires", "0"], 2, ["must be greater than zero", "keyctl revoke"]),
        (["--expires", "-1d"], 2, '"-1d" is not a time'),
        (["--expires", "1e9d"], 2, "is not a time"),
        (["--expires", "tomorrow"], 2, ["is not a time", "30d"]),
        (["--expires", ""], 2, "is not a time"),
        (["--expires", "1.5d"], 2, "is not a time"),
        (["--expires", "٣d"], 2, "is not a time"),
        (["--expires", "2020-01-01T00:00:00Z"], 2, ["is in the past", "keyctl revoke"]),
        (["--expires", "2100-01-01T00:00:00"], 2, ["with a zone", "2027-01-31T00:00:00Z"]),
        (["--expires", "2020-01-01"], 2, ["is in the past: that day has ended in UTC", "keyctl revoke"]),
        (["--expires", "3mo"], 2, ["is not a time", "m is minutes"]),
        (["--expires", "2100-02-30T00:00:00Z"], 2, "not a date in the calendar"),
        (["--expires", "4102444800"], 2, "a Unix time?"),
        (["--expires", "99999d"], 2, ["more than a hundred years", "never"]),
        (["--allow-ip", "192.0.2.1/24"], 2, ["not a network", "192.0.2.0/24"]),
        (["--allow-ip", "2001:db8::1/32"], 2, "2001:db8::/32"),
        (["--allow-ip", "192.0.2.256"], 2, "CIDR"),
        (["--allow-ip", "example.com"], 2, "CIDR"),
        (["--allow-ip", ""], 2, "CIDR"),
        (["--meta", "team"], 2, "is not NAME=VALUE"),
        (["--meta", "=x"], 2, "is not NAME=VALUE"),
        (["--meta", "a\nb=x"], 2, "is not NAME=VALUE"),
        (["--meta", "a=\x1b[2J"], 2, "U+001B"),
        (["--meta", "a=" + "x" * 1001], 2, "1,001 characters"),
        (["--count", "0"], 2, "1 to 1,000,000"),
        (["--count", "-3"], 2, "1 to 1,000,000"),
        (["--count", "1000001"], 2, "1 to 1,000,000"),
        (["--count", "many"], 2, "not a valid int"),
        (["--reason", "a\nb"], 2, "U+000A"),
        (["--reason", "x" * 501], 2, "501 characters"),
    ],
)
def test_what_cannot_be_understood_mints_nothing(store: Cli, options: list[str], code: int, says: list[str] | str):
    refused(store, "mint", *options, code=code, says=says)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x" * 10_000, "10,000 characters"),
        ("two\nlines", "U+000A"),
        ("carriage\rreturn", "U+000D"),
        ("\x1b[31mred", "U+001B"),
        ("\x9b31mred", "U+009B"),
        ("evil\u202egnp.exe", "U+202E"),
        ("\u2067x", "U+2067"),
        ("line\u2028separator", "U+2028"),
        (b"latin-1 \xe9", "U+DCE9"),
        ("", "empty"),
        (" \t ", "empty"),
    ],
)
def test_names_that_would_deceive_or_break_a_screen_are_refused(store: Cli, name: str | bytes, says: str):
    result = refused(store, "mint", "--name", name, code=2, says=["the name", says])
    assert len(result.err) < 400
    assert result.err.isprintable() or set(result.err) - {"\n"} <= {c for c in result.err if c.isprintable()}


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "[/x]", "[link=https://a.b]x", "🎉 fête", "名前", "a\\b", ":boom:"])
def test_names_are_shown_literally_everywhere(store: Cli, name: str):
    prefix = mint(store, "--name", name)["prefix"]

    assert show(store, prefix)["name"] == name
    assert store("list", check=0).out.split("\t")[1] == name
    assert name in store.tty("list", columns=200, check=0).out
    assert name in store.tty("show", prefix, check=0).out
    assert name in store.tty("mint", "--name", name, check=0).out


# ── owners and policy ────────────────────────────────────────────────────────────────────────────────────────────────


def test_create_owner_adds_it_once(store: Cli):
    first = mint(store, "--owner", "acme", "--create-owner")
    second = mint(store, "--owner", "acme", "--create-owner")

    assert first["owner"] == second["owner"] == "acme"
    assert len(store("owner", "list", check=0).out.splitlines()) == 1


def test_an_inactive_owner_gets_no_keys_and_neither_do_those_below(store: Cli):
    store("owner", "add", "top", check=0)
    store("owner", "add", "below", "--parent", "top", check=0)
    store("owner", "disable", "top", "--yes", check=0)

    for owner in ("top", "below"):
        refused(store, "mint", "--owner", owner, code=4, says=["top is disabled", "keyctl owner enable top"])


POLICY = """
[defaults]
scopes = ["view"]
[scopes]
exclusive = true
required = true
list.view = {}
list.predict = { plans = ["pro"] }
list.manage = { owner_kinds = ["agency"] }
[owners]
required = true
default_kind = "customer"
kinds.customer.parent = "agency"
kinds.agency.attributes.region = { required = true }
[plans.free]
[plans.pro]
[lifetime]
default = "7d"
maximum = "30d"
"""


def test_the_profiles_policy_is_enforced(empty: Cli):
    cli = with_profile(empty, POLICY)
    cli("owner", "add", "agency", "--kind", "agency", "--attr", "region=eu", check=0)
    cli("owner", "add", "free", "--parent", "agency", "--plan", "free", check=0)
    cli("owner", "add", "pro", "--parent", "agency", "--plan", "pro", check=0)
    for options, says in [
        ([], "needs an owner"),
        (["--owner", "free", "--expires", "31d"], ["maximum lifetime", ": 30d"]),
        (["--owner", "free", "--expires", "never"], ["maximum lifetime", ": 30d"]),
        (["--owner", "free", "--expires", "2100-01-01T00:00:00Z"], ["maximum lifetime", ": 30d"]),
        (
            ["--owner", "free", "--scope", "predict"],
            "scope predict needs the plan pro, and the owner has the plan free",
        ),
        (["--owner", "free", "--scope", "manage"], "scope manage is not for a customer: only for agency"),
        (["--owner", "pro", "--scope", "predict,view"], "only one scope in this profile"),
        (["--owner", "new", "--create-owner"], "must belong to an agency"),
        (["--owner", "new", "--create-owner", "--owner-kind", "agency"], "requires the attribute region"),
        (["--owner", "free", "--create-owner", "--owner-kind", "agency"], "its kind is customer"),
    ]:
        refused(cli, "mint", *options, code=4, says=says)

    key = mint(cli, "--owner", "free")

    assert key["scopes"] == ["view"]
    assert abs(seconds_from_now(key["expires_at"]) - 7 * DAY) < 60
    assert mint(cli, "--owner", "pro", "--scope", "predict", "--expires", "30d")["scopes"] == ["predict"]


def test_scopes_may_follow_from_the_owners_kind(empty: Cli):
    cli = with_profile(
        empty,
        """
        [scopes]
        assign = "owner_kind"
        list.AGENCY = { owner_kinds = ["agency"] }
        list.SUB = { owner_kinds = ["sub"] }
        [owners]
        default_kind = "agency"
        kinds.agency = {}
        kinds.sub = { parent = "agency" }
        """,
    )
    cli("owner", "add", "a", check=0)
    cli("owner", "add", "s", "--kind", "sub", "--parent", "a", check=0)

    assert mint(cli, "--owner", "a")["scopes"] == ["AGENCY"]
    assert mint(cli, "--owner", "s", "--scope", "SUB")["scopes"] == ["SUB"]
    refused(cli, "mint", "--owner", "s", "--scope", "AGENCY", code=4, says="the scope of a key for a sub is SUB")
    refused(cli, "mint", code=4, says="--owner HANDLE")


def test_the_primary_scope_may_be_in_the_key(cli: Cli):
    rules = (
        '[scopes]\nprimary = "first"\nrequired = true\nlist.bot = {tag = "bt"}\nlist.tx = {tag = "tx"}\nlist.no = {}\n'
    )
    file = cli.home / "vexa.toml"
    file.write_text(
        'name = "vexa"\n[key]\ntemplate = "vx_{scope}_{prefix}{secret}"\nenvironments = {live = "live"}\n'
        'fields.prefix = {alphabet = "hex", length = 8}\nfields.secret = {alphabet = "hex", length = 40}\n' + rules
    )
    cli("init", "--profile", file, "--argon2", "m=8,t=1,p=1", check=0)

    assert mint(cli, "--scope", "bot,tx")["key"].startswith("vx_bt_")
    assert mint(cli, "--scope", "tx,no")["key"].startswith("vx_tx_")
    refused(cli, "mint", "--scope", "no,tx", code=4, says="has no tag")
    refused(cli, "mint", code=4, says="a scope is required")


def test_ids_may_be_serial(empty: Cli):
    cli = with_profile(empty, '[ids]\nkey = "serial"\nowner = "serial"\n')

    keys = [mint(cli, "--owner", "a", "--create-owner"), *mint_many(cli, 3), mint(cli)]

    assert [key["id"] for key in keys] == ["1", "2", "3", "4", "5"]
    cli("audit", "verify", check=0)
    execute(cli, "update counters set value = 9 where name = 'key'")
    assert "a counter of the store was altered outside keyctl: key is 9, and should be 5" in (
        cli("audit", "verify", check=9).err
    )


# ── room for prefixes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_format_without_room_mints_none(empty: Cli):
    cli = with_profile(empty, length=2)

    refused(
        cli,
        "mint",
        "--count",
        "500",
        code=4,
        says=["cannot make 500 more unique prefixes", "it has 256", "{prefix} longer"],
    )


def test_collisions_are_redrawn_silently_while_there_is_room(empty: Cli):
    cli = with_profile(empty, length=2)

    keys = mint_many(cli, 250) + mint_many(cli, 3)

    assert len({key["prefix"] for key in keys}) == 253
    refused(cli, "mint", "--count", "4", code=4, says="cannot make 4 more unique prefixes")
    mint(cli, "--env", "test")


# ── delivered, or dead ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("options", [[], ["--json"], ["--count", "60"]])
@pytest.mark.parametrize("output", [full_disk, closed_pipe])
def test_keys_that_cannot_be_written_out_are_revoked(store: Cli, output, options: list[str]):
    with output() as descriptor:
        result = store("mint", *options, stdout=descriptor, check=21)

    keys = store("list", "--json", check=0).json["keys"]
    assert len(keys) == (60 if "--count" in options else 1)
    assert {(key["status"], key["revoked_reason"], key["delivered_at"]) for key in keys} == {
        ("revoked", "undelivered", None)
    }
    assert "could not be delivered and" in result.err
    assert not KEY.search(result.err)
    assert len(result.err.splitlines()) == (1 if "--json" in options else 2)
    assert "delivered\tnever" in store("show", keys[0]["prefix"], check=0).out
    store("audit", "verify", check=0)


def test_a_reader_that_leaves_half_way_does_not_get_live_keys(store: Cli):
    result = store.shell(
        "set +eo pipefail; keyctl mint --count 3000 --jsonl | head -n 1 > first; echo ${PIPESTATUS[0]}"
    )

    assert result.out == "21\n"
    assert verify(store, json.loads((store.cwd / "first").read_text())["key"]) == "KEY_REVOKED"
    assert store("list", "--status", "active", check=0).out == ""


def test_out_writes_a_private_file_and_nothing_else(store: Cli):
    result = store("mint", "--count", "3", "--out", "keys.txt", check=0)

    file = store.cwd / "keys.txt"
    assert (result.out, result.err) == ("", "keyctl: minted 3 keys, written to keys.txt\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [verify(store, line) for line in file.read_text().splitlines()] == ["VALID"] * 3
    assert [path.name for path in store.cwd.iterdir()] == ["keys.txt"]
    assert all(key["delivered_at"] for key in store("list", "--json", check=0).json["keys"])


def test_out_and_json_print_the_file_in_place_of_the_key(store: Cli):
    key = mint(store, "--out", "key.txt")

    assert (key["key"], key["out"]) == (None, "key.txt")
    assert (store.cwd / "key.txt").read_text().startswith(key["prefix"])


def test_out_replaces_a_file_only_by_force(store: Cli):
    target = store.cwd / "key.txt"
    target.write_text("precious")

    refused(store, "mint", "--out", "key.txt", code=4, says=["already exists", "--force"])
    assert target.read_text() == "precious"
    store("mint", "--out", "key.txt", "--force", check=0)

    assert KEY.fullmatch(target.read_text().strip())


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [("missing/key.txt", 21, "No such file"), (".", 4, "is a folder"), ("/dev/full", 4, "already exists")],
)
def test_an_impossible_out_mints_nothing(store: Cli, path: str, code: int, says: str):
    refused(store, "mint", "--out", path, code=code, says=says)
    assert not any(store.cwd.iterdir())


def test_out_is_complete_or_absent_when_killed(store: Cli):
    for delay in range(4):
        process = store.spawn("mint", "--count", "400", "--out", f"keys{delay}.txt")
        time.sleep(0.05 * delay)
        process.kill(signal.SIGKILL)
        process.wait()

        file = store.cwd / f"keys{delay}.txt"
        assert not file.exists() or len(file.read_text().splitlines()) == 400


# ── dry run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("options", [[], ["--count", "20"], ["--owner", "new", "--create-owner"], ["--out", "k.txt"]])
def test_a_dry_run_checks_all_and_changes_nothing(store: Cli, options: list[str]):
    result = changes_nothing(store, "mint", "--dry-run", *options, says="nothing was changed")

    assert result.out == ""
    assert not KEY.search(result.err)
    assert not any(store.cwd.iterdir())
    refused(store, "mint", "--dry-run", "--scope", "raed", code=2, says="raed")
    refused(store, "mint", "--dry-run", "--owner", "nobody", code=3, says="nobody")


def test_a_dry_run_creates_no_store(cli: Cli):
    refused(cli, "mint", "--dry-run", code=5, says="keyctl init")
    assert dump(cli) is None
