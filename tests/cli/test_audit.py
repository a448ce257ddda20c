"""`keyctl audit …`."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from keyctl.times import utc_now
from tests.cli.helpers import Filled, dump, execute, mint, mint_many, refused, set_key, with_profile
from tests.runner import Cli

FIELDS = {"seq", "at", "actor", "claimed_actor", "action", "reason", "detail", "previous_hash", "hash"}


@pytest.fixture
def history(filled: Filled) -> dict[str, str]:
    """A store in which something has happened; returns prefixes."""
    prefixes: dict[str, str] = filled(some_history)
    return prefixes


def some_history(store: Cli) -> dict[str, str]:
    store("owner", "add", "acme", "--reason", "a customer", check=0)
    one, two = mint(store, "--owner", "acme")["prefix"], mint(store, "--name", "b")["prefix"]
    store("lock", one, "--reason", "odd [/x] traffic", check=0, env={"KEYCTL_ACTOR": "ci job 7"})
    store("revoke", two, check=0)
    return {"one": one, "two": two}


def actions(cli: Cli, *args: str) -> list[str]:
    return [event["action"] for event in cli("audit", "list", "--json", *args, check=0).json["events"]]


def test_every_change_has_its_event_newest_first(store: Cli, history: dict[str, str]):
    assert actions(store) == [
        "key.revoked",
        "key.locked",
        *("key.delivered", "key.minted"),
        *("key.delivered", "key.minted"),
        "owner.added",
        "store.created",
    ]


def test_an_event_reports_who_what_and_why(store: Cli, history: dict[str, str]):
    [event] = store("audit", "list", "--action", "key.locked", "--json", check=0).json["events"]

    assert event.keys() >= FIELDS
    assert (event["claimed_actor"], event["reason"]) == ("ci job 7", "odd [/x] traffic")
    assert "@" in event["actor"]
    assert event["detail"]["keys"][0]["prefix"] == history["one"]
    line = store("audit", "list", "--action", "key.locked", check=0).out.removesuffix("\n").split("\t")
    assert line[2:] == [event["actor"], "ci job 7", "key.locked", history["one"], "odd [/x] traffic"]
    assert "odd [/x] traffic" in store.tty("audit", "list", columns=160, check=0).out
    narrow = store.tty("audit", "list", check=0).out
    assert max(len(line) for line in re.sub(r"\x1b\[[0-9;]*m", "", narrow).splitlines()) <= 80


def test_list_filters_and_pages(store: Cli, history: dict[str, str]):
    assert actions(store, "--key", history["two"]) == ["key.revoked", "key.delivered", "key.minted"]
    assert actions(store, "--owner", "acme") == ["key.locked", "key.delivered", "key.minted", "owner.added"]
    assert actions(store, "--action", "owner") == ["owner.added"]
    assert actions(store, "--limit", "1") == ["key.revoked"]
    assert actions(store, "--before", "3") == ["owner.added", "store.created"]
    lines = store("audit", "list", "--jsonl", check=0).out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [8, 7, 6, 5, 4, 3, 2, 1]
    refused(store, "audit", "list", "--key", "kc_live_nosuchkey", code=3, says="no key")
    refused(store, "audit", "list", "--owner", "acne", code=3, says='did you mean "acme"?')
    refused(store, "audit", "list", "--limit", "0", code=2, says="--limit")
    refused(store, "audit", "list", "--before", "x", code=2, says="--before")


def test_several_values_of_a_filter_are_alternatives_and_several_filters_must_all_match(
    store: Cli, history: dict[str, str]
):
    one, two = history["one"], history["two"]

    assert actions(store, "--action", "key.locked,key.revoked", "--action", "store") == [
        "key.revoked",
        "key.locked",
        "store.created",
    ]
    assert actions(store, "--key", one, "--key", two, "--action", "key.locked,key.revoked") == [
        "key.revoked",
        "key.locked",
    ]
    assert actions(store, "--owner", "acme", "--key", two) == []
    assert actions(store, "--owner", "acme", "--key", one, "--action", "key.locked") == ["key.locked"]


def test_changes_are_found_by_who_made_them_in_any_case(store: Cli, history: dict[str, str]):
    user = store("audit", "list", "--json", "--limit", "1", check=0).json["events"][0]["actor"]

    assert actions(store, "--actor", "CI JOB") == ["key.locked"]
    assert actions(store, "--actor", "ci job 7", "--actor", user) == actions(store, "--actor", user.upper())
    assert actions(store, "--actor", "100%") == []
    refused(store, "audit", "list", "--actor", "", code=2, says="--actor is empty")


def test_changes_are_found_by_their_time(store: Cli, history: dict[str, str]):
    events = store("audit", "list", "--json", check=0).json["events"]
    locked = next(event for event in events if event["action"] == "key.locked")

    assert actions(store, "--since", "1h") == [event["action"] for event in events]
    assert actions(store, "--since", locked["at"]) == ["key.revoked", "key.locked"]
    assert actions(store, "--until", locked["at"]) == [event["action"] for event in events[2:]]
    assert store("audit", "list", "--until", "1h", check=0).err == "keyctl: no events match\n"
    today = utc_now().date()
    assert actions(store, "--until", today.isoformat()) == [event["action"] for event in events]
    assert actions(store, "--until", (today - timedelta(days=2)).isoformat()) == []
    refused(store, "audit", "list", "--since", "1h", "--until", "2h", code=2, says="nothing is in between")
    refused(store, "audit", "list", "--since", "yesterdaily", code=2, says="yesterdaily")


def test_an_unknown_action_is_refused_rather_than_found_nowhere(store: Cli):
    refused(store, "audit", "list", "--action", "key.revoke", code=2, says='did you mean "key.revoked"?')


def test_the_events_of_an_owner_include_those_of_its_keys_and_on_request_of_owners_below(store: Cli):
    store("owner", "add", "acme", check=0)
    store("owner", "add", "acme-eu", "--parent", "acme", check=0)
    mint_many(store, 60, "--owner", "acme")  # more than a statement searches for
    below = mint(store, "--owner", "acme-eu")["prefix"]
    mint(store, "--name", "of no owner")

    assert actions(store, "--owner", "acme") == ["key.delivered", "key.minted", "owner.added"]
    assert actions(store, "--owner", "acme", "--below") == [*["key.delivered", "key.minted"] * 2, *["owner.added"] * 2]
    assert actions(store, "--owner", "acme-eu", "--owner", "acme", "--key", below) == ["key.delivered", "key.minted"]
    refused(store, "audit", "list", "--below", code=2, says="--below requires --owner")


def test_with_serial_ids_an_owner_is_not_taken_for_the_key_of_that_number(empty: Cli):
    cli = with_profile(empty, '[ids]\nkey = "serial"\nowner = "serial"\n')
    cli("owner", "add", "acme", check=0)
    prefix = mint(cli)["prefix"]

    assert cli("show", prefix, "--json", check=0).json["id"] == cli("owner", "show", "acme", "--json").json["id"]
    assert actions(cli, "--owner", "acme") == ["owner.added"]
    assert actions(cli, "--key", prefix) == ["key.delivered", "key.minted"]


def test_what_is_beyond_the_limit_is_said_and_can_be_had(store: Cli):
    columns = "at, actor, claimed_actor, action, reason, detail, previous_hash, hash"
    for so_far in (1, 2, 4, 8, 16, 32, 64):
        execute(store, f"insert into events (seq, {columns}) select seq + {so_far}, {columns} from events")

    page = store("audit", "list", check=0)

    assert len(page.out.splitlines()) == 100
    assert page.err == "keyctl: there are more results: add --all, or --before 29\n"
    assert store("audit", "list", "--json", check=0).json["next"] == 29
    assert store("audit", "list", "--json", "--before", "29", check=0).json["next"] is None
    for args, count in ((["--all"], 128), (["--jsonl"], 128), (["--jsonl", "--limit", "3"], 3)):
        assert len(store("audit", "list", *args, check=0).out.splitlines()) == count
    refused(store, "audit", "list", "--all", "--limit", "3", code=2, says="--all cannot be used with --limit")


def test_a_terminal_shows_dates_and_in_a_wide_one_how_long_ago(store: Cli):
    at = store("audit", "list", "--json", check=0).json["events"][0]["at"]

    narrow = store.tty("audit", "list", check=0).out
    wide = store.tty("audit", "list", columns=160, check=0).out

    assert "WHEN (UTC)" in narrow
    assert f"{at[:10]} {at[11:16]}" in narrow
    assert f"{at[:10]} {at[11:19]}  " in wide
    assert "ago" in wide


def test_many_keys_at_once_are_one_event_for_a_thousand(store: Cli):
    keys = mint_many(store, 1001)

    [second, first] = store("audit", "list", "--action", "key.minted", "--json", check=0).json["events"]

    assert (len(first["detail"]["keys"]), len(second["detail"]["keys"])) == (1000, 1)
    assert "and 999 more" in store("audit", "list", check=0).out
    assert len(actions(store, "--key", keys[500]["prefix"])) == 2


# ── audit verify ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_untouched_store_is_intact(store: Cli, history: dict[str, str]):
    store("rotate", history["one"], check=4)
    store("unlock", history["one"], check=0)
    store("rotate", history["one"], check=0)
    store("scope", history["one"], "--add", "read", check=0)
    store("owner", "disable", "acme", "--yes", check=0)

    assert store("audit", "verify", check=0).out.startswith("intact: 13 events, 3 keys, 1 owner")
    assert store("audit", "verify", "--json", check=0).json == {
        "intact": True,
        "fault": None,
        "faults": [],
        "fault_count": 0,
        "since": 1,
        "events": 13,
        "keys": 3,
        "owners": 1,
    }


TAMPERING = [
    ("update events set reason = 'nothing to see' where seq = 7", "event 7 was altered"),
    ("update events set actor = 'somebody@else' where seq = 7", "event 7 was altered"),
    ("update events set at = at + 1 where seq = 3", "event 3 was altered"),
    ("delete from events where seq = 5", "event 5 is missing"),
    ("delete from events where seq = 8", "event 8 is missing"),
    ("update events set previous_hash = hash where seq = 4", "event 4 does not follow"),
    ("update keys set revoked_at = null, revoked_reason = null", "revoked_at is null"),
    ("update keys set scopes = '[\"admin\"]' where prefix = :one", "scopes is"),
    ("update keys set locked_until = 1 where prefix = :one", "locked_until is 1"),
    ("update keys set expires_at = 99999999999999 where prefix = :one", "expires_at is 99999999999999"),
    ("update keys set prefix = 'kc_live_other' where prefix = :one", "the prefix of key"),
    ("update keys set phc = replace(phc, '$m=8', '$m=9') where prefix = :one", "the hash of key"),
    ("update keys set id = 'key_0' where prefix = :one", "no event created it"),
    ("delete from keys where prefix = :one", "missing from the store"),
    ("update owners set disabled_at = 1", "disabled_at is 1"),
    ("update settings set value = replace(value, '19456', '8') || ' ' where name = 'profile'", "profile was altered"),
    ("update settings set value = replace(value, '8', '9') where name = 'hash'", "hash was altered"),
]


@pytest.mark.parametrize(("statement", "fault"), TAMPERING, ids=[fault for _, fault in TAMPERING])
def test_the_first_broken_thing_is_named(store: Cli, history: dict[str, str], statement: str, fault: str):
    execute(store, statement, **({"one": history["one"]} if ":one" in statement else {}))

    result = refused(store, "audit", "verify", code=9, says=[fault, "outside keyctl"])

    assert "$argon2id$" not in result.err


def test_a_broken_store_is_reported_as_json_too(store: Cli):
    execute(store, "update events set actor = 'somebody@else'")

    answer = store("audit", "verify", "--json", check=9).json

    assert answer["intact"] is False
    assert "event 1 was altered" in answer["fault"]
    assert answer["faults"] == [answer["fault"]]


def test_every_broken_thing_is_named_a_line_for_each(store: Cli, history: dict[str, str]):
    execute(store, "update events set reason = 'nothing to see' where seq = 3")
    execute(store, "update keys set revoked_at = null, revoked_reason = null, scopes = '[\"admin\"]'")
    execute(store, "update owners set disabled_at = 1")

    result = refused(store, "audit", "verify", code=9)

    *faults, hint = result.err.splitlines()
    assert [("event 3" in faults[0]), ("owner acme" in faults[1]), len(faults)] == [True, True, 4]
    assert hint.startswith("keyctl: hint: ")
    answer = store("audit", "verify", "--json", check=9).json
    assert [f"keyctl: error: {answer['fault']}", *answer["faults"][1:]] == faults
    assert answer["fault_count"] == 4


def test_of_many_faults_the_first_hundred_are_named(store: Cli):
    mint_many(store, 130)
    execute(store, "update keys set scopes = '[\"admin\"]'")

    result = refused(store, "audit", "verify", code=9)

    assert len(result.err.splitlines()) == 102
    assert "\nand 30 more faults\n" in result.err
    answer = store("audit", "verify", "--json", check=9).json
    assert (len(answer["faults"]), answer["fault_count"]) == (100, 130)


def test_no_altered_text_makes_up_a_line_of_the_answer(store: Cli):
    prefix = mint(store)["prefix"]
    set_key(store, prefix, prefix="kc_live_x\nkeyctl: hint: all is well", id="key_x\u202e")

    result = refused(store, "audit", "verify", code=9, says=r"kc_live_x\nkeyctl: hint: all is well (key_x\u202e)")

    assert len(result.err.splitlines()) == 3


def test_a_hash_copied_to_another_row_never_verifies(store: Cli):
    one, two = mint_many(store, 2)
    phc = {row[1]: row[2] for row in dump(store)["keys"]}

    set_key(store, two["prefix"], phc=phc[one["prefix"]])

    for key in (one["prefix"] + two["key"][20:], two["key"]):
        assert store("verify", stdin=key, check=11).out.startswith("INVALID_API_KEY")
    store("audit", "verify", check=9)


def test_a_key_moved_to_another_prefix_never_verifies(empty: Cli):
    cli = with_profile(empty)
    key = mint(cli)
    moved = key["prefix"][:-1] + ("0" if key["prefix"][-1] != "0" else "1")

    set_key(cli, key["prefix"], prefix=moved)

    assert cli("verify", stdin=key["key"], check=11).out == "INVALID_API_KEY (unknown prefix)\n"
    assert cli("verify", stdin=key["key"].replace(key["prefix"], moved), check=11).out.endswith("(wrong secret)\n")


def test_numbers_and_prefixes_stay_whole_at_80_columns(store: Cli):
    owner = "a-very-long-customer-handle@some-company.example"
    minted = store("mint", "--owner", owner, "--create-owner", "--json", "--reason", "x" * 60, check=0).json

    lines = store.tty("audit", "list", env={"TERM": "dumb"}, check=0).out.splitlines()

    assert [line.split()[0] for line in lines] == ["#", "4", "3", "2", "1"]
    assert sum(minted["prefix"] in line for line in lines) == 2
    assert max(map(len, lines)) <= 80
