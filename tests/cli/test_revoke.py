"""`keyctl revoke`."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from tests.cli.helpers import (
    KEY_FIELDS,
    ago,
    changes_nothing,
    dump,
    execute,
    is_so_already,
    mint,
    mint_many,
    refused,
    set_key,
    show,
    verify,
)
from tests.runner import Cli


def record_use(cli: Cli, *, since: int, name: str = "api", **other: object) -> None:
    """Let a recorder have reported since then, until now."""
    values = {
        "instance": uuid.uuid4().hex,
        "name": name,
        "host": "web1",
        "pid": 4242,
        "since": since,
        "began_at": since,
        "reported_at": ago(seconds=4),
        "every": 60_000,
        "counted": "1-9",
        "dropped_at": None,
        "ended_at": None,
        "from_file": 0,
    } | other
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    execute(cli, f"insert into usage_recorders ({names}) values ({places})", **values)


def test_a_revoked_key_is_dead_and_says_why(store: Cli):
    key = mint(store)

    result = store("revoke", key["prefix"], "--reason", "leaked in a log", check=0)

    assert (result.out, result.err) == (f"revoked {key['prefix']}\n", "")
    assert verify(store, key["key"]) == "KEY_REVOKED"
    after = show(store, key["prefix"])
    assert (after["status"], after["revoked_reason"]) == ("revoked", "leaked in a log")
    assert after["revoked_at"]


def test_revoking_again_is_done_already(store: Cli):
    prefix = mint(store)["prefix"]
    store("revoke", prefix, check=0)

    is_so_already(store, "revoke", prefix, "--reason", "again", says="is already revoked")


def test_revoked_is_final(store: Cli):
    prefix = mint(store)["prefix"]
    store("revoke", prefix, check=0)

    for command in (["unlock"], ["lock"], ["expire", "--to", "1d"], ["expire", "--to", "never"], ["rotate"]):
        refused(store, *command, prefix, code=4, says="is permanently revoked")
    refused(store, "scope", prefix, "--add", "read", code=4, says="is permanently revoked")


@pytest.mark.parametrize("selectors", [["kc_live_nosuchkey123"], ["key_01"], [""], ["%"], ["{}", "nobody"]])
def test_an_unknown_selector_revokes_none(store: Cli, selectors: list[str]):
    prefix = mint(store)["prefix"]

    refused(store, "revoke", "--yes", *(one.format(prefix) for one in selectors), code=3, says="no key")
    refused(store, "revoke", code=2, says="SELECTOR...")


def test_json_has_one_form_however_many_keys_are_revoked(store: Cli):
    one, two, three = (key["prefix"] for key in mint_many(store, 3))

    single = store("revoke", one, "--json", check=0).json
    both = store("revoke", two, three, two, "--yes", "--json", check=0).json
    lines = store("revoke", two, three, "--yes", "--jsonl", check=0).out.splitlines()

    assert single.keys() == both.keys() == {"keys"}
    assert single["keys"][0].keys() >= KEY_FIELDS
    assert [key["prefix"] for key in both["keys"]] == [two, three]
    assert [json.loads(line)["status"] for line in lines] == ["revoked", "revoked"]


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_used_lately_is_asked_about_on_a_terminal(store: Cli):
    key = mint(store)
    store("verify", "--record", stdin=key["key"], check=0)

    asked = store.tty("revoke", key["prefix"], talk=[("[y/N]", "\n")], check=8)

    assert f"revoke {key['prefix']}? [y/N]" in asked.out
    assert "last used" in asked.out
    assert "nothing was changed" in asked.out
    assert verify(store, key["key"]) == "VALID"
    store.tty("revoke", key["prefix"], talk=[("[y/N]", "y\n")], check=0)
    assert verify(store, key["key"]) == "KEY_REVOKED"


def test_a_key_used_long_ago_or_never_is_revoked_unasked(store: Cli):
    prefix = mint(store)["prefix"]
    set_key(store, prefix, last_used_at=ago(hours=25))

    assert "[y/N]" not in store.tty("revoke", prefix, check=0).out


def test_off_a_terminal_nothing_waits_for_an_answer(store: Cli):
    key, other = mint(store), mint(store)
    set_key(store, key["prefix"], last_used_at=ago(hours=23))

    for selectors in ([key["prefix"]], [key["prefix"], other["prefix"]]):
        before = dump(store)
        result = store("revoke", *selectors, stdin="y\n", check=4)
        assert result.out == ""
        assert "standard input is not a terminal: add --yes" in result.err
        assert dump(store) == before
    store("revoke", key["prefix"], other["prefix"], "--yes", check=0)


@pytest.mark.parametrize("answer", ["n\n", "\n", "yeah\n", "\x04"])
def test_any_other_answer_than_yes_aborts(store: Cli, answer: str):
    prefixes = [key["prefix"] for key in mint_many(store, 3)]
    before = dump(store)

    asked = store.tty("revoke", *prefixes, talk=[("revoke 3 keys? [y/N]", answer)], check=8)

    assert all(prefix in asked.out for prefix in prefixes)
    assert dump(store) == before


def test_the_same_key_twice_is_one_key(store: Cli):
    key = mint(store)

    assert store("revoke", key["prefix"], key["id"], check=0).out == f"revoked {key['prefix']}\n"


def test_a_dry_run_asks_nothing_and_changes_nothing(store: Cli):
    one, two = (key["prefix"] for key in mint_many(store, 2))
    set_key(store, one, last_used_at=ago(hours=1))

    assert changes_nothing(store, "revoke", one, two, "--dry-run", says=f"{one}: would be revoked").out == ""


# ── only if unused ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_if_unused_for_refuses_a_key_in_use_and_says_when(store: Cli):
    prefix = mint(store)["prefix"]
    record_use(store, since=ago(days=9))
    set_key(store, prefix, last_used_at=ago(hours=3))

    refused(store, "revoke", prefix, "--if-unused-for", "24h", "--yes", code=4, says=["last used 3h ago", "Z"])
    refused(store, "revoke", prefix, "--if-unused-for", "24h", "--dry-run", code=4, says="last used")
    store("revoke", prefix, "--if-unused-for", "2h", "--yes", check=0)


def test_if_unused_for_revokes_a_key_that_was_not_used(store: Cli):
    used, unused = (key["prefix"] for key in mint_many(store, 2))
    record_use(store, since=ago(days=2))
    set_key(store, used, last_used_at=ago(hours=30))

    result = store("revoke", used, unused, "--if-unused-for", "24h", "--yes", check=0)

    assert re.search(r"unused for 24h, as recorded: api last reported \ds ago \(1 process\)", result.err)


def test_if_unused_for_refuses_where_no_recorder_reports(store: Cli):
    key = mint(store)
    store("verify", "--record", stdin=key["key"], check=0)  # it says nothing about other uses
    set_key(store, key["prefix"], last_used_at=ago(days=9))

    refuses(store, key["prefix"], "no recorder reports to this store")


def test_if_unused_for_refuses_where_a_recorder_began_later(store: Cli):
    prefix = mint(store)["prefix"]
    record_use(store, since=ago(days=9))
    record_use(store, since=ago(hours=23), name="edge")

    refuses(store, prefix, "the recorder edge began 23h ago, at 2")
    store("revoke", prefix, "--if-unused-for", "22h", check=0)


def test_if_unused_for_refuses_where_a_recorder_is_silent_until_it_is_forgotten(store: Cli):
    prefix = mint(store)["prefix"]
    record_use(store, since=ago(days=9))
    record_use(store, since=ago(days=9), name="edge", reported_at=ago(hours=3))

    refuses(store, prefix, "the recorder edge (web1, process 4242) is silent, and last reported 3h ago, at 2")
    refused(store, "usage", "recorders", "--forget", "api", "--yes", code=4, says="is reporting")
    refused(store, "usage", "recorders", "--forget", "edg", "--yes", code=3, says='did you mean "edge"?')
    refused(store, "usage", "recorders", "--forget", "edge", code=4, says="add --yes")
    changes_nothing(store, "usage", "recorders", "--forget", "edge", "--dry-run", says="")
    store("usage", "recorders", "--forget", "edge", "--yes", check=0)
    store("revoke", prefix, "--if-unused-for", "24h", check=0)


def test_if_unused_for_trusts_a_recorder_that_was_restarted(store: Cli):
    prefix = mint(store)["prefix"]
    record_use(store, since=ago(days=9), reported_at=ago(hours=3))
    record_use(store, since=ago(hours=2))

    store("revoke", prefix, "--if-unused-for", "24h", check=0)


def test_if_unused_for_takes_no_restart_for_two(store: Cli):
    prefix = mint(store)["prefix"]
    for _ in range(2):
        record_use(store, since=ago(days=9), reported_at=ago(hours=3))
    record_use(store, since=ago(hours=2))

    refuses(store, prefix, "is silent, and last reported 3h ago")


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"counted": "1-4 7-9"}, "reports 5 to 6 are missing of the recorder api (web1, process 4242)"),
        ({"counted": "2-9"}, "report 1 is missing of the recorder api"),
        ({"dropped_at": 1}, None),
        ({"dropped_at": ago(hours=5)}, "could not count every answer until 5h"),
        ({"ended_at": ago(hours=5), "reported_at": ago(hours=5)}, "no recorder is running; the recorder api ended 5h"),
        ({"reported_at": ago(hours=-2)}, "reported of a time in the future"),
    ],
)
def test_if_unused_for_refuses_what_was_not_reported_whole(store: Cli, other: dict[str, object], says: str | None):
    prefix = mint(store)["prefix"]
    record_use(store, since=ago(days=9), **other)

    if says:
        refuses(store, prefix, says)
    else:
        store("revoke", prefix, "--if-unused-for", "24h", check=0)


def refuses(store: Cli, prefix: str, says: str) -> None:
    for how in ("--yes", "--dry-run"):
        result = refused(store, "revoke", prefix, "--if-unused-for", "24h", how, code=4, says=says)
        assert "it is unknown what was used in the last 24h" in result.err
        assert "keyctl usage recorders" in result.err


def test_if_unused_for_spares_all_for_one_in_use(store: Cli):
    used, unused = (key["prefix"] for key in mint_many(store, 2))
    record_use(store, since=ago(days=9))
    set_key(store, used, last_used_at=ago(hours=1))

    refused(store, "revoke", unused, used, "--if-unused-for", "1d", "--yes", code=4, says=used)


@pytest.mark.parametrize("length", ["-1d", "1e9d", "soon", ""])
def test_if_unused_for_takes_a_duration(store: Cli, length: str):
    refused(store, "revoke", mint(store)["prefix"], "--if-unused-for", length, code=2, says="is not a duration")


def test_if_unused_for_is_content_with_what_is_revoked_already(store: Cli):
    prefix = mint(store)["prefix"]
    store("revoke", prefix, check=0)

    is_so_already(store, "revoke", prefix, "--if-unused-for", "24h", says="is already revoked")


def test_use_recorded_meanwhile_never_revives_a_key(store: Cli):
    for _ in range(4):
        key = mint(store)
        verifying = [store.spawn("verify", "--record", stdin=key["key"]) for _ in range(3)]
        revoking = store.spawn("revoke", key["prefix"], "--yes")

        codes = {process.wait().code for process in verifying}

        revoking.wait().expect(0)
        assert codes <= {0, 12}
        assert verify(store, key["key"]) == "KEY_REVOKED"
    store("audit", "verify", check=0)


@pytest.mark.parametrize("counted", ["x", "0-1", "2-1", "1-2  3-4", "1-" + "9" * 30])
def test_a_recorder_that_was_altered_is_reported(store: Cli, counted: str):
    key = mint(store)
    record_use(store, since=ago(days=9), counted=counted)

    says = "is damaged: what a recorder has reported cannot be read"
    refused(store, "revoke", key["prefix"], "--if-unused-for", "24h", "--yes", code=5, says=says)
