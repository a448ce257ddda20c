"""`keyctl list`."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest

from tests.cli.helpers import CHEAP, KEY_FIELDS, Filled, ago, mint, mint_many, refused, set_key, show
from tests.runner import Cli

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def names(cli: Cli, *args: str) -> list[str]:
    return [key["name"] for key in cli("list", "--json", *args, check=0).json["keys"]]


@pytest.fixture
def variety(store: Cli, filled: Filled) -> Cli:
    """One key of each status, made hours apart, the first one first; two owners, two environments."""
    filled(a_key_of_each_status)
    return store


def a_key_of_each_status(store: Cli) -> None:
    store("owner", "add", "acme", check=0)
    store("owner", "add", "below", "--parent", "acme", check=0)
    keys = {
        "active": mint(store, "--name", "active", "--owner", "acme", "--scope", "read"),
        "expired": mint(store, "--name", "expired", "--env", "test", "--expires", "1h"),
        "locked": mint(store, "--name", "locked", "--owner", "below", "--scope", "read,write", "--expires", "2d"),
        "revoked": mint(store, "--name", "revoked_100%", "--expires", "1d"),
        "retiring": mint(store, "--name", "retiring", "--expires", "3d"),
    }
    store("lock", keys["locked"]["prefix"], check=0)
    store("revoke", keys["revoked"]["prefix"], check=0)
    store("rotate", keys["retiring"]["prefix"], "--grace", "2h", check=0)
    set_key(store, keys["expired"]["prefix"], expires_at=ago(seconds=1))
    for i, (name, key) in enumerate(keys.items()):
        set_key(store, key["prefix"], created_at=ago(hours=10 - i))
        if name in {"active", "locked"}:
            set_key(store, key["prefix"], last_used_at=ago(hours=1 + i))


FILTERS = [
    ([], ["retiring", "retiring", "revoked_100%", "locked", "expired", "active"]),
    (["--status", "active"], ["retiring", "active"]),
    (["--status", "retiring"], ["retiring"]),
    (["--status", "locked"], ["locked"]),
    (["--status", "expired"], ["expired"]),
    (["--status", "revoked"], ["revoked_100%"]),
    (["--owner", "acme"], ["active"]),
    (["--owner", "below"], ["locked"]),
    (["--owner", "acme", "--below"], ["locked", "active"]),
    (["--owner", "acme", "--below", "--status", "active"], ["active"]),
    (["--owner", "below", "--below"], ["locked"]),
    (["--env", "test"], ["expired"]),
    (["--scope", "read"], ["locked", "active"]),
    (["--scope", "write"], ["locked"]),
    (["--scope", "admin"], []),
    (["--name", "*e*d*"], ["revoked_100%", "locked", "expired"]),
    (["--name", "?ctive"], ["active"]),
    (["--name", "ACTIVE"], ["active"]),
    (["--name", "active*", "--env", "test"], []),
    (["--name", "revoked?100%"], ["revoked_100%"]),
    (["--name", "TIVE"], ["active"]),
    (["--name", "lock", "--name", "exp*"], ["locked", "expired"]),
    (["--owner", "acme", "--owner", "below"], ["locked", "active"]),
    (["--status", "locked,expired", "--status", "revoked"], ["revoked_100%", "locked", "expired"]),
    (["--status", "locked", "--env", "test"], []),
    (["--created-since", "7h"], ["retiring", "retiring"]),
    (["--created-before", "8h30m", "--created-since", "9h30m"], ["expired"]),
    (["--meta", "team=web"], []),
    (["--created-by", "@"], ["retiring", "retiring", "revoked_100%", "locked", "expired", "active"]),
    (["--name", "r%"], []),
    (["--name", "revoked_100_"], []),
    (["--expires-within", "3h"], ["retiring"]),
    (["--expires-within", "36h"], ["retiring", "revoked_100%"]),
    (["--older-than", "7h"], ["revoked_100%", "locked", "expired", "active"]),
    (["--older-than", "11h"], []),
    (["--unused-for", "2h"], ["retiring", "revoked_100%", "locked", "expired"]),
    (["--unused-for", "4h", "--status", "expired"], ["expired"]),
    (["--sort", "name"], ["active", "expired", "locked", "retiring", "retiring", "revoked_100%"]),
    (["--sort", "name", "--reverse"], ["revoked_100%", "retiring", "retiring", "locked", "expired", "active"]),
    (["--sort", "expires"], ["expired", "retiring", "revoked_100%", "locked", "retiring", "active"]),
    (["--sort", "owner"], ["expired", "revoked_100%", "retiring", "retiring", "active", "locked"]),
    (["--sort", "status"], ["active", "retiring", "retiring", "locked", "expired", "revoked_100%"]),
    (["--sort", "status", "--reverse", "--status", "locked"], ["locked"]),
    (["--sort", "created", "--reverse"], ["active", "expired", "locked", "revoked_100%", "retiring", "retiring"]),
]


def test_filters_and_order(variety: Cli):
    found = [(filters, names(variety, *filters)) for filters, _ in FILTERS]

    assert found == FILTERS


def test_sorted_by_last_use_those_never_used_come_first(variety: Cli):
    assert names(variety, "--sort", "last-used")[-2:] == ["locked", "active"]


def test_the_json_object(variety: Cli):
    page = variety("list", "--json", check=0).json

    assert page.keys() == {"keys", "next"}
    assert page["next"] is None
    assert all(key.keys() >= KEY_FIELDS and "key" not in key for key in page["keys"])
    lines = variety("list", "--jsonl", check=0).out.splitlines()
    assert [json.loads(line) for line in lines] == page["keys"]


def test_off_a_terminal_columns_are_separated_by_tabs_and_never_cut(variety: Cli):
    mint(variety, "--name", "x" * 200, "--scope", "read,write")

    first, *_, last = [line.split("\t") for line in variety("list", check=0).out.splitlines()]

    prefix, name, owner, env, scopes, status, expires, used = last
    assert (name, owner, env, scopes, status, expires) == ("active", "acme", "live", "read", "active", "never")
    assert re.fullmatch(r"kc_live_\w{12}", prefix)
    assert datetime.fromisoformat(used).tzinfo
    assert first[1] == "x" * 200
    assert first[4] == "read,write"


def test_wide_also_shows_creation_and_id(variety: Cli):
    """Some platforms revoke a key by its id."""
    keys = variety("list", "--json", check=0).json["keys"]

    plain = [line.split("\t") for line in variety("list", "--wide", check=0).out.splitlines()]
    shown = ESCAPE.sub("", variety.tty("list", "--wide", columns=200, check=0).out).splitlines()

    assert [line[8:] for line in plain] == [[key["created_at"], key["id"]] for key in keys]
    assert shown[0].split()[-2:] == ["CREATED", "ID"]
    assert [line.split()[-1] for line in shown[1:]] == [key["id"] for key in keys]


# ── what is due for rotation ─────────────────────────────────────────────────────────────────────────────────────────

ROTATED = """
name = "rotated"
[key]
template = "ro_{prefix}_{secret}"
environments = { live = "live" }
fields.prefix = { length = 12 }
fields.secret = { length = 32 }
[lifetime]
rotate_every = "90d"
grace = "1d"
"""


def test_what_is_due_for_rotation_is_what_can_be_rotated_and_what_doctor_finds(empty: Cli):
    (empty.cwd / "rotated.toml").write_text(ROTATED)
    empty("init", "--profile", "./rotated.toml", *CHEAP, check=0)
    keys = {name: mint(empty, "--name", name) for name in ("due", "young", "locked", "expired", "revoked", "rotated")}
    empty("rotate", keys["rotated"]["prefix"], check=0)
    empty("lock", keys["locked"]["prefix"], check=0)
    empty("revoke", keys["revoked"]["prefix"], check=0)
    for name, key in keys.items():
        set_key(empty, key["prefix"], created_at=ago(days=89 if name == "young" else 91))
    set_key(empty, keys["expired"]["prefix"], expires_at=ago(days=1))

    due = empty("list", "--due", "--all", "--json", check=0).json["keys"]

    assert [key["name"] for key in due] == ["due"]
    rotation = [check for check in empty("doctor", "--json").json["checks"] if check["name"] == "rotation"]
    assert [finding["value"] for finding in rotation[0]["findings"]] == [due[0]["prefix"]]
    empty("rotate", due[0]["prefix"], check=0)
    assert names(empty, "--due") == []


@pytest.mark.sqlite
def test_without_a_schedule_in_the_profile_nothing_can_be_due(empty: Cli):
    empty("init", "--profile", "ventryx", *CHEAP, check=0)

    says = ['profile "ventryx" does not say how often keys are to be rotated', "keyctl list --older-than TIME"]
    refused(empty, "list", "--due", code=2, says=says)


def test_pages_of_keys_below_an_owner_follow_each_other(variety: Cli):
    mint_many(variety, 3, "--owner", "below")
    every = variety("list", "--owner", "acme", "--below", "--json", check=0).json["keys"]

    first = variety("list", "--owner", "acme", "--below", "--limit", "2", "--json", check=0).json
    rest = variety("list", "--owner", "acme", "--below", "--after", first["next"], "--json", check=0).json

    assert len(every) == 5
    assert first["keys"] + rest["keys"] == every


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_follow_each_other_without_gap_or_repetition(store: Cli):
    minted = mint_many(store, 130) + mint_many(store, 120, "--name", "b", "--expires", "1d")  # many ties
    for sort in ("created", "expires", "last-used", "name", "owner", "prefix", "status"):
        for reverse in ([], ["--reverse"]):
            order = ["--sort", sort, *reverse, "--json"]

            pages, cursor = [], None
            while cursor or not pages:
                page = store("list", *order, "--limit", "70", *(["--after", cursor] if cursor else []), check=0).json
                pages.append([key["prefix"] for key in page["keys"]])
                cursor = page["next"]

            walked = [prefix for page in pages for prefix in page]
            assert [len(page) for page in pages] == [70, 70, 70, 40]
            assert sorted(walked) == sorted(key["prefix"] for key in minted)
            assert walked == [key["prefix"] for key in store("list", *order, "--all", check=0).json["keys"]]


def test_a_page_ends_with_a_note_how_to_go_on(store: Cli):
    mint_many(store, 250)

    result = store("list", check=0)

    assert len(result.out.splitlines()) == 100
    cursor = re.search(r"--after (\S+)", result.err)[1]
    assert len(store("list", "--after", cursor, "--limit", "1000", check=0).out.splitlines()) == 150
    assert store("list", "--quiet", check=0).err == ""
    assert len(store("list", "--all", check=0).out.splitlines()) == 250


def test_keys_made_meanwhile_do_not_disturb_the_pages(store: Cli):
    mint_many(store, 20)
    page = store("list", "--json", "--limit", "10", check=0).json

    mint_many(store, 5)

    rest = store("list", "--json", "--after", page["next"], check=0).json
    assert len(rest["keys"]) == 10


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--status", "actve"], 2, ['unknown status "actve"', 'did you mean "active"?']),
        (["--sort", "nam"], 2, ['cannot sort by "nam"', 'did you mean "name"?']),
        (["--sort", "phc"], 2, "known: created"),
        (["--owner", "nobody"], 3, 'no owner "nobody"'),
        (["--below"], 2, ["--below requires --owner", "add --owner HANDLE"]),
        (["--env", "liev"], 2, 'did you mean "live"?'),
        (["--scope", "raed"], 2, 'did you mean "read"?'),
        (["--expires-within", "soon"], 2, "is not a duration"),
        (["--older-than", "-1d"], 2, "is not a duration"),
        (["--unused-for", "1e9d"], 2, "is not a duration"),
        (["--limit", "0"], 2, "--limit"),
        (["--limit", "-1"], 2, "--limit"),
        (["--after", "nonsense"], 2, ["is not a valid cursor", "--sort created"]),
        (["--after", "!\n"], 2, "is not a valid cursor"),
        (["--after", "W10"], 2, "is not a valid cursor"),
        (["--after", "bnVsbA"], 2, "is not a valid cursor"),
        (["--sort", "name", "--after", "WyJjcmVhdGVkIiwgMSwgIngiXQ"], 2, "continue that list: --sort created"),
        (["--reverse", "--after", "WyJjcmVhdGVkIiwgMSwgIngiXQ"], 2, "continue that list: --sort created"),
        (["--sort", "created", "--after", "WyJjcmVhdGVkIiwgMTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMCwgIngiXQ"], 2, "cursor"),
        (["extra"], 3, 'no key "extra"'),
        (["extra", "--limit", "5"], 2, "--limit cannot be used with keys that are named"),
    ],
)
def test_what_cannot_be_understood(store: Cli, options: list[str], code: int, says: list[str] | str):
    refused(store, "list", *options, code=code, says=says)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("columns", [80, 200])
def test_the_table_fits_the_terminal_and_never_cuts_a_prefix(variety: Cli, columns: int):
    long = mint(variety, "--name", "a rather long name, in fact " * 5, "--scope", "read,write,admin")
    wide = mint(variety, "--name", "漢字" * 40, "--owner", "a" * 60, "--create-owner")

    shown = ESCAPE.sub("", variety.tty("list", columns=columns, rows=20, check=0).out)

    lines = shown.splitlines()
    assert lines[0].split() == ["PREFIX", "NAME", "OWNER", "ENV", "SCOPES", "STATUS", "EXPIRES", "USED"]
    assert len(lines) == 1 + 8
    assert max(_width(line) for line in lines) <= columns
    prefixes = {key["prefix"] for key in variety("list", "--json", check=0).json["keys"]}
    assert {line.split()[0] for line in lines[1:]} == prefixes
    for prefix in (long["prefix"], wide["prefix"]):
        [line] = [line for line in lines if line.startswith(prefix)]
        assert "…" in line
        assert "live" in line
        assert "active" in line
    [expired] = [line for line in lines if " expired " in line]
    assert re.search(r"1s ago|now|\ds ago", expired)


def test_states_are_coloured_on_a_terminal_and_only_there(variety: Cli):
    coloured = variety.tty("list", columns=100, check=0).out

    for style, status in [("32", "active"), ("33", "locked"), ("31", "revoked"), ("33", "retiring"), ("90", "expired")]:
        assert f"\x1b[{style}m{status}" in coloured
    for plain in (
        variety.tty("list", "--no-color", check=0),
        variety.tty("list", env={"NO_COLOR": "1"}, check=0),
        variety("list", check=0),
    ):
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain.out)


def test_keys_of_a_disabled_owner_are_marked(variety: Cli):
    variety("owner", "disable", "acme", "--yes", check=0)

    assert "disabled" in variety.tty("list", "--name", "active", columns=100, check=0).out
    [key] = variety("list", "--name", "active", "--json", check=0).json["keys"]
    assert (key["status"], key["owner_active"]) == ("disabled", False)
    assert names(variety, "--status", "disabled") == ["active"]
    assert names(variety, "--status", "active") == ["retiring"]
    assert variety("list", "--name", "active").out.split("\t")[5] == "disabled"
    assert show(variety, key["prefix"])["status"] == "disabled"


def test_nothing_to_show_is_said_on_stderr(store: Cli):
    for result, note in [
        (store("list", check=0), "mint one: keyctl mint"),
        (store("list", "--status", "locked", check=0), "no keys match"),
    ]:
        assert result.out == ""
        assert note in result.err
    assert store("list", "--json", check=0).json == {"keys": [], "next": None}


def _width(line: str) -> int:
    return sum(2 if "\u2e80" <= character <= "\u9fff" else 1 for character in line)
