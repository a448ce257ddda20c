"""`keyctl rotate`, to the letter of the design: the owner always has a valid key, and no key lives longer by it."""

from __future__ import annotations

import os
import re
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.helpers import (
    CHEAP,
    KEY_FIELDS,
    ago,
    changes_nothing,
    closed_pipe,
    dump,
    full_disk,
    locked,
    mint,
    refused,
    seconds_from_now,
    set_key,
    show,
    verify,
    with_profile,
    write_profile,
)
from tests.runner import Cli, Process

DAY = 86400


def rotate(cli: Cli, prefix: str, *args: str) -> dict[str, Any]:
    return cli("rotate", prefix, "--json", *args, check=0).json


def test_rotate_prints_the_new_key_alone(store: Cli):
    old = mint(store)

    result = store("rotate", old["prefix"], check=0)

    assert re.fullmatch(r"kc_live_\w{12}_\w{38}\n", result.out)
    assert result.err == ""
    assert verify(store, result.out) == "VALID"
    assert not result.out.startswith(old["prefix"])


def test_on_a_terminal_the_old_keys_end_is_reported_on_stderr(store: Cli):
    old = mint(store)

    result = store.tty("rotate", old["prefix"], "--grace", "2h", pipe_stdout=True, columns=40, check=0)

    assert len(result.out.splitlines()) == 1
    assert f"replaces  {old['prefix']}, which remains valid until" in result.err
    assert result.out.strip() not in result.err


def test_the_successor_inherits_everything_but_the_secret(store: Cli):
    store("owner", "add", "acme", check=0)
    options = ["--owner", "acme", "--env", "test", "--scope", "write,read", "--meta", "team=a"]
    old = mint(store, "--name", "ci", "--allow-ip", "192.0.2.0/24", *options)
    set_key(store, old["prefix"], last_used_at=ago(hours=1))

    new = rotate(store, old["prefix"])

    assert new.keys() >= KEY_FIELDS | {"key", "previous"}
    assert new["previous"].keys() == {"id", "prefix", "expires_at", "status"}
    for name in ("name", "owner", "environment", "scopes", "effective_scopes", "allowed_ips", "metadata", "expires_at"):
        assert new[name] == old[name]
    assert new["last_used_at"] is None
    assert new["delivered_at"]


def test_both_keys_name_each_other(store: Cli):
    old = mint(store)

    new = rotate(store, old["prefix"], "--grace", "1h")

    assert (new["replaces"], new["replaced_by"]) == (old["id"], None)
    assert new["lineage"] == old["lineage"] == old["id"]
    before = show(store, old["prefix"])
    assert (before["replaced_by"], before["replaces"], before["status"]) == (new["id"], None, "retiring")
    assert new["previous"] == {name: before[name] for name in ("id", "prefix", "expires_at", "status")}


# ── the old key's end ────────────────────────────────────────────────────────────────────────────────────────────────


def test_grace_0_revokes_the_old_key(store: Cli):
    old = mint(store)

    new = rotate(store, old["prefix"], "--grace", "0")

    assert verify(store, old["key"]) == "KEY_REVOKED"
    assert verify(store, new["key"]) == "VALID"
    assert show(store, old["prefix"])["revoked_reason"] == "rotated"
    assert new["previous"]["status"] == "revoked"


@pytest.mark.parametrize(
    ("lifetime", "grace", "seconds"),
    [("never", "2h", 7200), ("1h", "2h", 3600), ("30d", "2h", 7200), ("30d", None, DAY), ("never", None, DAY)],
)
def test_the_grace_ends_the_old_key_never_later_than_it_would_have(
    store: Cli, lifetime: str, grace: str | None, seconds: int
):
    old = mint(store, "--expires", lifetime)

    new = rotate(store, old["prefix"], *(["--grace", grace] if grace else []))

    assert verify(store, old["key"]) == verify(store, new["key"]) == "VALID"
    assert abs(seconds_from_now(new["previous"]["expires_at"]) - seconds) < 30
    assert new["previous"]["status"] == "retiring"


def test_a_replaced_key_cannot_be_made_to_live_longer(store: Cli):
    old = mint(store)
    rotate(store, old["prefix"], "--grace", "1h")

    for to in ("2h", "never"):
        refused(store, "expire", old["prefix"], "--to", to, code=4, says="was replaced")
    store("expire", old["prefix"], "--to", "30m", check=0)


# ── the successor's lifetime ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_successor_lives_as_long_as_the_old_keys_whole_life_was(store: Cli):
    old = mint(store, "--expires", "30d")
    set_key(store, old["prefix"], created_at=ago(days=20), expires_at=ago(days=-10))

    new = rotate(store, old["prefix"])

    assert abs(seconds_from_now(new["expires_at"]) - 30 * DAY) < 60


def test_the_successors_expiry_may_be_given(store: Cli):
    old = mint(store, "--expires", "30d")

    assert rotate(store, rotate(store, old["prefix"])["prefix"], "--expires", "never")["expires_at"] is None


def test_the_successor_keeps_within_the_policy(empty: Cli):
    cli = with_profile(empty, '[lifetime]\ndefault = "10d"\nmaximum = "10d"\n')
    old = mint(cli)
    set_key(cli, old["prefix"], created_at=ago(days=90), expires_at=ago(days=-5))  # from a laxer time

    refused(cli, "rotate", old["prefix"], "--expires", "11d", code=4, says=["maximum lifetime", ": 10d"])
    refused(cli, "rotate", old["prefix"], "--expires", "never", code=4, says=["maximum lifetime", ": 10d"])

    assert abs(seconds_from_now(rotate(cli, old["prefix"])["expires_at"]) - 10 * DAY) < 60


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("locked", ["is locked", "keyctl unlock"]),
        ("expired", "expired"),
        ("revoked", "is permanently revoked"),
        ("replaced", ["was already replaced", "its successor: keyctl show"]),
        ("inactive", "the owner top is disabled"),
    ],
)
def test_a_key_that_is_not_in_force_is_not_rotated(store: Cli, state: str, says: list[str] | str):
    store("owner", "add", "top", check=0)
    prefix = mint(store, "--owner", "low", "--create-owner")["prefix"]
    store("owner", "update", "low", "--parent", "top", check=0)
    if state == "expired":
        set_key(store, prefix, expires_at=ago(seconds=1))
    else:
        change = {
            "locked": ["lock", prefix],
            "revoked": ["revoke", prefix],
            "replaced": ["rotate", prefix],
            "inactive": ["owner", "disable", "top", "--yes"],
        }[state]
        store(*change, check=0)

    refused(store, "rotate", prefix, code=4, says=says)
    refused(store, "rotate", prefix, "--dry-run", code=4, says=says)


def test_a_key_whose_environment_the_profile_no_longer_has_is_refused(cli: Cli):
    prefix = mint(with_profile(cli), "--env", "test")["prefix"]
    set_key(cli, prefix, expires_at=ago(seconds=1))
    file = write_profile(cli)
    file.write_text(file.read_text().replace(', test = "test"', ""))
    cli("profile", "apply", file, check=0)
    cli("expire", prefix, "--to", "30d", check=0)

    result = refused(
        cli, "rotate", prefix, code=4, says=f'{prefix} cannot be rotated: profile "acme" has no environment'
    )

    assert f"hint: keyctl mint, and then: keyctl revoke {prefix}\n" in result.err


@pytest.mark.parametrize("scopes", ["[]", '["gone"]'])
def test_a_key_whose_primary_scope_the_profile_does_not_have_is_refused(cli: Cli, scopes: str):
    cli("init", "--profile", "vexa", *CHEAP, check=0)
    prefix = mint(cli, "--owner", "acme", "--create-owner")["prefix"]
    set_key(cli, prefix, scopes=scopes)

    refused(
        cli, "rotate", prefix, code=4, says=[f'{prefix} cannot be rotated: profile "vexa" has no ', "primary scope"]
    )


def test_a_key_whose_lock_has_ended_is_rotated(store: Cli):
    prefix = mint(store)["prefix"]
    store("lock", prefix, "--for", "1h", check=0)
    set_key(store, prefix, locked_until=ago(seconds=1))

    rotate(store, prefix)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--grace", "-1h"], "is not a duration"),
        (["--grace", "never"], "is not a duration"),
        (["--grace", "1e9d"], "is not a duration"),
        (["--expires", "0"], "must be greater than zero"),
        (["--expires", "2020-01-01T00:00:00Z"], "is in the past"),
        (["--reason", "two\nlines"], "U+000A"),
    ],
)
def test_what_cannot_be_understood_rotates_nothing(store: Cli, options: list[str], says: str):
    refused(store, "rotate", mint(store)["prefix"], *options, code=2, says=says)


def test_a_dry_run_changes_nothing(store: Cli):
    prefix = mint(store)["prefix"]

    result = changes_nothing(store, "rotate", prefix, "--dry-run", "--out", "k.txt", says=f"would replace {prefix}")

    assert result.out == ""
    assert not any(store.cwd.iterdir())


# ── delivery ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("output", [full_disk, closed_pipe])
def test_a_successor_that_was_not_delivered_leaves_the_old_key_untouched(store: Cli, output):
    old = mint(store)
    before = show(store, old["prefix"])

    with output() as descriptor:
        store("rotate", old["prefix"], "--grace", "0", stdout=descriptor, check=21)

    assert verify(store, old["key"]) == "VALID"
    assert show(store, old["prefix"]) == before
    [dead] = store("list", "--status", "revoked", "--json", check=0).json["keys"]
    assert (dead["revoked_reason"], dead["delivered_at"], dead["replaces"]) == ("undelivered", None, old["id"])
    new = rotate(store, old["prefix"], "--grace", "0")
    assert show(store, old["prefix"])["replaced_by"] == new["id"]
    store("audit", "verify", check=0)


def test_a_successor_lost_to_a_kill_is_revoked_by_the_next_rotation_after_confirmation(store: Cli):
    old = mint(store)
    killed = _killed_before_delivery(store, old["prefix"])
    assert show(store, killed)["delivered_at"] is None
    assert verify(store, old["key"]) == "VALID"

    says = [f"{killed}, from another rotation of {old['prefix']}, may have been delivered", "--yes", "keyctl revoke"]
    refused(store, "rotate", old["prefix"], code=4, says=says)
    refused(store, "rotate", old["prefix"], "--dry-run", code=4, says=says)
    no = store.tty("rotate", old["prefix"], talk=[(f"revoke {killed}, which an earlier rotation", "n\n")], check=8)
    assert "nothing was changed" in no.out
    assert show(store, killed)["status"] == "active"
    new = rotate(store, old["prefix"], "--yes")

    assert show(store, killed)["revoked_reason"] == "undelivered"
    assert show(store, old["prefix"])["replaced_by"] == new["id"]
    assert [key["prefix"] for key in store("list", "--status", "active", "--json").json["keys"]] == [new["prefix"]]
    store("audit", "verify", check=0)


def test_out_is_private_and_refuses_a_file_that_is_there(store: Cli):
    old = mint(store)
    (store.cwd / "new.key").write_text("precious")

    refused(store, "rotate", old["prefix"], "--out", "new.key", code=4, says="--force")
    refused(store, "rotate", old["prefix"], "--out", "missing/new.key", code=21, says="No such file")
    new = rotate(store, old["prefix"], "--out", "new.key", "--force")

    file = store.cwd / "new.key"
    assert (new["key"], new["out"], stat.S_IMODE(file.stat().st_mode)) == (None, "new.key", 0o600)
    assert verify(store, file.read_text()) == "VALID"
    assert [path.name for path in store.cwd.iterdir()] == ["new.key"]


# ── two at once ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("grace", ["0", "1h"])
def test_of_two_rotations_at_once_exactly_one_wins(store: Cli, grace: str):
    for _ in range(4):
        old = mint(store)

        processes = [store.spawn("rotate", old["prefix"], "--grace", grace) for _ in range(2)]
        results = sorted((process.wait() for process in processes), key=lambda result: result.code)

        assert [result.code for result in results] == [0, 4], results
        won, lost = results
        assert verify(store, won.out) == "VALID"
        assert lost.err.startswith("keyctl: error: ")
        successors = [key for key in store("list", "--all", "--json").json["keys"] if key["replaces"] == old["id"]]
        alive = [key["prefix"] for key in successors if key["status"] == "active"]
        assert alive == [won.out[: len(old["prefix"])]]
        assert not lost.out or verify(store, lost.out) == "KEY_REVOKED"
    store("audit", "verify", check=0)


@pytest.mark.parametrize("signum", [None, signal.SIGTERM])
def test_a_key_that_was_delivered_survives_the_failure_to_record_it(store: Cli, signum: int | None):
    old = mint(store)
    command = ["rotate", old["prefix"], "--grace", "0", "--wait", "2s"]
    with _unread_rotation(store, *command) as (process, reader, prefix), locked(store):
        text = b""
        while not text.endswith(b"\n"):
            text += os.read(reader, 1 << 16).lstrip(b"x")
        if signum is not None:
            time.sleep(0.5)
            process.kill(signum)
        result = process.wait()
    new = text.decode()

    assert result.code == (5 if signum is None else 143)
    for words in (
        f"the key {prefix} was delivered and works, but the delivery",
        f"finish the rotation: keyctl revoke {old['prefix']}, or keyctl expire {old['prefix']} --to TIME",
        f"rotating {old['prefix']} again would revoke {prefix}",
    ):
        assert words in result.err
    assert [verify(store, key) for key in (new, old["key"])] == ["VALID", "VALID"]

    refused(store, "rotate", old["prefix"], code=4, says=[prefix, "may have been delivered"])
    store("revoke", old["prefix"], check=0)

    assert verify(store, new) == "VALID"
    store("audit", "verify", check=0)


def _killed_before_delivery(cli: Cli, prefix: str) -> str:
    """Kill a rotation once it has committed, and return the successor's prefix."""
    with _unread_rotation(cli, "rotate", prefix) as (process, _, successor):
        process.kill(signal.SIGKILL)
        process.wait()
    return successor


@contextmanager
def _unread_rotation(cli: Cli, *command: str) -> Iterator[tuple[Process, int, str]]:
    """Start a rotation whose answer is not read. Yields it once it has committed, the pipe, and the new prefix.

    Its standard output is a pipe that is full, so that it waits for a reader for ever.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    process = cli.spawn(*command, stdout=writer)
    os.close(writer)
    end = time.monotonic() + 20
    while not (successors := [row for row in dump(cli)["keys"] if row[1] not in command]):
        assert time.monotonic() < end, "no successor was committed"
        time.sleep(0.02)
    yield process, reader, successors[0][1]
    os.close(reader)
