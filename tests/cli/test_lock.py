"""`keyctl lock` and `keyctl unlock`: the state that can be undone."""

from __future__ import annotations

import pytest

from tests.cli.helpers import (
    ago,
    changes_nothing,
    is_so_already,
    mint,
    mint_many,
    refused,
    seconds_from_now,
    set_key,
    show,
    verify,
)
from tests.runner import Cli


def test_a_lock_holds_until_it_is_lifted(store: Cli):
    key = mint(store)

    assert store("lock", key["prefix"], check=0).out == f"locked {key['prefix']}\n"
    assert verify(store, key["key"]) == "KEY_LOCKED"
    assert (show(store, key["prefix"])["status"], show(store, key["prefix"])["locked_until"]) == ("locked", None)
    assert store("unlock", key["prefix"], check=0).out == f"unlocked {key['prefix']}\n"
    assert verify(store, key["key"]) == "VALID"


def test_a_lock_for_a_time_ends_by_itself(store: Cli):
    key = mint(store)

    locked = store("lock", key["prefix"], "--for", "1h", "--json", check=0).json["keys"][0]

    assert abs(seconds_from_now(locked["locked_until"]) - 3600) < 30
    assert verify(store, key["key"]) == "KEY_LOCKED"
    set_key(store, key["prefix"], locked_until=ago(seconds=1))
    assert verify(store, key["key"]) == "VALID"
    assert show(store, key["prefix"])["locked_until"] is None


def test_a_lock_can_be_made_longer_shorter_or_open_ended(store: Cli):
    prefix = mint(store)["prefix"]

    for length, seconds in [("1h", 3600), ("3h", 10800), ("2h", 7200)]:
        locked = store("lock", prefix, "--for", length, "--json", check=0).json["keys"][0]
        assert abs(seconds_from_now(locked["locked_until"]) - seconds) < 30
    assert store("lock", prefix, "--json", check=0).json["keys"][0]["locked_until"] is None


def test_doing_it_again_is_no_failure(store: Cli):
    prefix = mint(store)["prefix"]

    is_so_already(store, "unlock", prefix, says="is not locked")
    store("lock", prefix, check=0)
    is_so_already(store, "lock", prefix, says="is already locked")


def test_an_expired_key_is_not_locked_but_its_lock_is_lifted(store: Cli):
    prefix = mint(store)["prefix"]
    store("lock", prefix, check=0)
    set_key(store, prefix, expires_at=ago(seconds=1))

    refused(store, "lock", prefix, "--for", "1h", code=4, says="expired")
    store("unlock", prefix, check=0)


@pytest.mark.parametrize("command", ["lock", "unlock"])
def test_several_keys_are_asked_about(store: Cli, command: str):
    one, two = (key["prefix"] for key in mint_many(store, 2))
    if command == "unlock":
        store("lock", one, two, "--yes", check=0)

    refused_result = store(command, one, two, check=4)
    assert "--yes" in refused_result.err
    assert store.tty(command, one, two, talk=[(f"{command} 2 keys? [y/N]", "n\n")], check=8)
    assert store(command, one, two, "--yes", check=0).out == f"{command}ed {one}\n{command}ed {two}\n"


def test_one_unknown_key_spares_all(store: Cli):
    prefix = mint(store)["prefix"]

    refused(store, "lock", prefix, "kc_live_nosuchkey123", "--yes", code=3, says="no key")


@pytest.mark.parametrize("length", ["-1h", "1e9d", "tomorrow", "never", ""])
def test_for_takes_a_duration(store: Cli, length: str):
    refused(store, "lock", mint(store)["prefix"], "--for", length, code=2, says="is not a duration")


def test_a_dry_run_changes_nothing(store: Cli):
    prefix = mint(store)["prefix"]

    changes_nothing(store, "lock", prefix, "--dry-run", says="would be locked")
    store("lock", prefix, check=0)
    changes_nothing(store, "unlock", prefix, "--dry-run", says="would be unlocked")


@pytest.mark.parametrize(("length", "hours"), [("1d12h", 36), ("2 days", 48), ("1y", 8760)])
def test_a_lock_lasts_as_long_as_is_written(store: Cli, length: str, hours: int):
    prefix = mint(store)["prefix"]

    store("lock", prefix, "--for", length, check=0)

    assert seconds_from_now(show(store, prefix)["locked_until"]) == pytest.approx(hours * 3600, abs=60)
