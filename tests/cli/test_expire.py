"""`keyctl expire`."""

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
    with_profile,
)
from tests.runner import Cli

DAY = 86400


def test_an_end_is_set_moved_and_cleared(store: Cli):
    prefix = mint(store)["prefix"]

    for to, seconds in [("30d", 30 * DAY), ("1h", 3600)]:
        ends = store("expire", prefix, "--to", to, "--json", check=0).json["keys"][0]["expires_at"]
        assert abs(seconds_from_now(ends) - seconds) < 30
    assert store("expire", prefix, "--to", "2100-01-01T02:00:00+02:00", check=0).out == f"changed {prefix}\n"
    assert show(store, prefix)["expires_at"] == "2100-01-01T00:00:00Z"
    is_so_already(store, "expire", prefix, "--to", "2100-01-01T00:00:00Z", says="already expires at that time")
    store("expire", prefix, "--to", "never", check=0)
    assert show(store, prefix)["expires_at"] is None


def test_an_expired_key_may_be_given_more_time(store: Cli):
    key = mint(store)
    set_key(store, key["prefix"], expires_at=ago(seconds=1))
    assert verify(store, key["key"]) == "KEY_EXPIRED"

    store("expire", key["prefix"], "--to", "1d", check=0)

    assert verify(store, key["key"]) == "VALID"


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("0", ["must be greater than zero", "keyctl revoke"]),
        ("-1d", "is not a time"),
        ("1e9d", "is not a time"),
        ("tomorrow", "is not a time"),
        ("", "is not a time"),
        ("2020-01-01T00:00:00Z", ["is in the past", "keyctl revoke"]),
        ("2100-01-01T00:00:00", "with a zone"),
        ("4102444800", "a Unix time?"),
        ("99999d", "more than a hundred years"),
        ("[bold]\x1b[31m", "is not a time"),
    ],
)
def test_what_is_no_time_to_come_changes_nothing(store: Cli, to: str, says: list[str] | str):
    result = refused(store, "expire", mint(store)["prefix"], "--to", to, code=2, says=says)
    assert "\x1b" not in result.err


def test_to_is_required(store: Cli):
    refused(store, "expire", mint(store)["prefix"], code=2, says="--to")


def test_the_longest_lifetime_counts_from_the_minting(empty: Cli):
    cli = with_profile(empty, '[lifetime]\ndefault = "10d"\nmaximum = "10d"\n')
    prefix = mint(cli)["prefix"]
    set_key(cli, prefix, created_at=ago(days=4))

    refused(cli, "expire", prefix, "--to", "7d", code=4, says=["maximum lifetime", ": 10d"])
    refused(cli, "expire", prefix, "--to", "never", code=4, says=["maximum lifetime", ": 10d"])
    cli("expire", prefix, "--to", "5d", check=0)


def test_several_keys_are_asked_about(store: Cli):
    prefixes = [key["prefix"] for key in mint_many(store, 2)]

    assert "--yes" in store("expire", *prefixes, "--to", "1d", check=4).err
    store.tty("expire", *prefixes, "--to", "1d", talk=[("set the expiry of 2 keys? [y/N]", "n\n")], check=8)
    store("expire", *prefixes, "--to", "1d", "--yes", check=0)


def test_a_dry_run_changes_nothing(store: Cli):
    changes_nothing(store, "expire", mint(store)["prefix"], "--to", "1d", "--dry-run", says="would be changed")


def test_a_key_that_expires_on_a_date_is_valid_to_the_end_of_that_day(store: Cli):
    prefix = mint(store)["prefix"]

    store("expire", prefix, "--to", "2099-12-31", check=0)

    assert show(store, prefix)["expires_at"] == "2100-01-01T00:00:00Z"
