"""`keyctl revoke`."""

from __future__ import annotations

import json

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


def record_use(cli: Cli, *, since: int) -> None:
    """Let the store have recorded use since then."""
    execute(cli, "insert into settings (name, value) values ('usage_recorded_since', :since)", since=str(since))


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


def test_json_is_a_key_or_all_of_them(store: Cli):
    one, two, three = (key["prefix"] for key in mint_many(store, 3))

    single = store("revoke", one, "--json", check=0).json
    both = store("revoke", two, three, two, "--yes", "--json", check=0).json
    lines = store("revoke", two, three, "--yes", "--jsonl", check=0).out.splitlines()

    assert single.keys() >= KEY_FIELDS
    assert both.keys() == {"keys"}
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

    store("revoke", used, unused, "--if-unused-for", "24h", "--yes", check=0)


def test_if_unused_for_refuses_where_the_store_cannot_know(store: Cli):
    prefix = mint(store)["prefix"]
    refused(store, "revoke", prefix, "--if-unused-for", "24h", code=4, says=["it is unknown whether", "--record"])

    record_use(store, since=ago(hours=23))

    refused(store, "revoke", prefix, "--if-unused-for", "24h", code=4, says=["it is unknown whether", "Z"])
    store("revoke", prefix, "--if-unused-for", "22h", check=0)


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


@pytest.mark.parametrize("value", ["x", "", "-1", "9" * 18, "9" * 5000])
def test_a_time_of_recording_that_was_altered_is_reported(store: Cli, value: str):
    key = mint(store)
    store("verify", "--record", stdin=key["key"], check=0)
    execute(store, "update settings set value = :value where name = 'usage_recorded_since'", value=value)

    says = "is damaged: its usage_recorded_since is not a "
    refused(store, "revoke", key["prefix"], "--if-unused-for", "24h", "--yes", code=5, says=says)
