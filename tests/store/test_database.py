from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from keyctl.errors import StoreBusy, StoreUnavailable
from keyctl.store import keys
from keyctl.store.database import Database, Store
from keyctl.store.location import StoreLocation
from tests.runner import Cli
from tests.stores import CHEAP, Opened, names

pytestmark = pytest.mark.sqlite


def hold(path: Path, how: str = "immediate") -> sqlite3.Connection:
    """Be another process in the middle of a write: readers may pass unless `how` is "exclusive"."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute(f"begin {how}")
    return other


def default_store(cli: Cli) -> Path:
    return cli.home / ".local/share/keyctl/keyctl.db"


def contents(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("pragma", "expected"),
    [("journal_mode", "delete"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 5000)],
)
def test_every_connection_is_set_up_for_safety(opened: Opened, pragma: str, expected: object):
    with opened.store.read() as connection:
        read = connection.execute(text(f"pragma {pragma}")).scalar()
    written = opened.store.write(lambda connection: connection.execute(text(f"pragma {pragma}")).scalar())

    assert (read, written) == (expected, expected)


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_the_store_is_for_its_owner_alone_whatever_the_umask(cli: Cli, umask: int):
    before = os.umask(umask)
    try:
        process = cli.shell(f"umask {umask:03o}; keyctl mint --init >/dev/null", check=None)
    finally:
        os.umask(before)

    if umask == 0o777 and os.getuid():
        return  # nothing can be made then, nor read
    process.expect(0)
    file = default_store(cli)
    assert stat.S_IMODE(file.stat().st_mode) & 0o177 == 0
    assert stat.S_IMODE(file.parent.stat().st_mode) & 0o077 == 0
    if umask == 0o022:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert names(file.parent) == [file.name]


@pytest.mark.parametrize("args", [["revoke", "PREFIX"], ["mint"], ["rotate", "PREFIX"], ["owner", "add", "acme"]])
def test_a_store_that_another_process_writes_to_is_busy_after_the_wait(store: Cli, args: list[str]):
    prefix = store("mint", "--json", check=0).json["prefix"]
    before = contents(default_store(store))
    other = hold(default_store(store))
    start = time.monotonic()

    result = store(*(arg.replace("PREFIX", prefix) for arg in args), "--wait", "1s", check=5)

    assert 1 <= time.monotonic() - start < 10
    assert result.out == ""
    assert "is busy: another process is writing to it" in result.err
    assert "--wait 30s" in result.err
    other.close()
    assert contents(default_store(store)) == before


def test_a_write_waits_until_the_other_process_is_done(store: Cli):
    other = hold(default_store(store))
    threading.Timer(0.5, lambda: other.execute("commit")).start()

    store("mint", "--wait", "30s", check=0)

    other.close()


def test_readers_pass_a_writer_that_has_not_committed(store: Cli):
    key = store("mint", check=0).out
    other = hold(default_store(store))

    store("verify", "--wait", "0", stdin=key, check=0)
    store("list", "--wait", "0", check=0)

    other.close()


@pytest.mark.parametrize("args", [["verify"], ["list"]])
def test_a_reader_that_a_commit_blocks_says_so(store: Cli, args: list[str]):
    key = store("mint", check=0).out
    other = hold(default_store(store), "exclusive")

    result = store(*args, "--json", "--wait", "0", stdin=key, check=5)

    assert '"code":"STORE_BUSY"' in result.err
    assert result.out == ""
    other.close()


def test_wait_may_be_in_the_environment(store: Cli):
    other = hold(default_store(store))
    start = time.monotonic()

    store("mint", env={"KEYCTL_WAIT": "0"}, check=5)

    assert time.monotonic() - start < 4
    other.close()


def test_a_transaction_that_fails_leaves_nothing_behind(opened: Opened):
    before = contents(opened.path)

    def work(connection: keys.Connection) -> None:
        connection.execute(text("create table left_behind (x int)"))
        connection.execute(text("update settings set value = 'x'"))
        raise LookupError

    with pytest.raises(LookupError):
        opened.store.write(work)

    assert contents(opened.path) == before


def test_a_dry_run_does_everything_and_takes_it_back(opened: Opened):
    before = contents(opened.path)

    def work(connection: keys.Connection) -> int | None:
        connection.execute(text("create table left_behind (x int)"))
        connection.execute(text("insert into left_behind values (7)"))
        return connection.execute(text("select x from left_behind")).scalar()

    assert opened.store.write(work, dry_run=True) == 7
    assert contents(opened.path) == before


def test_a_write_holds_the_lock_from_its_beginning(opened: Opened):
    """Or two who read first and write then would both have read the same."""

    def work(_: keys.Connection) -> None:
        other = Database(opened.store.location, wait=0)
        with pytest.raises(StoreBusy) as error:
            other.write(lambda _: None)
        assert error.value.exit_code == 5
        other.close()

    opened.store.write(work)


def test_a_reader_sees_one_state_however_long_it_reads(opened: Opened):
    opened.mint()
    impatient = Store(opened.store.location, wait=0)

    with opened.store.read() as connection:
        before = connection.execute(text("select count(*) from keys")).scalar()
        with pytest.raises(StoreBusy):
            Opened(impatient, opened.clock).mint()
        after = connection.execute(text("select count(*) from keys")).scalar()

    assert (before, after) == (1, 1)
    impatient.close()


def test_an_owner_that_is_not_there_is_refused_by_the_database_itself(opened: Opened):
    [minted] = opened.mint()

    lost = {minted.record.key.id: {"owner_id": "own_nobody"}}

    with pytest.raises(StoreUnavailable, match="FOREIGN KEY"):
        opened.store.write(lambda connection: keys.set_on(connection, lost))


def test_a_database_error_holds_no_parameters(opened: Opened):
    [minted] = opened.mint()
    key = minted.record.key

    with pytest.raises(StoreUnavailable) as error:
        opened.store.write(lambda connection: keys.add(connection, [key]))

    told = f"{error.value} {error.value.hint} {error.value.__cause__} {error.value.__cause__!r}"
    assert "UNIQUE" in told
    assert key.phc not in told
    assert "$argon2id$" not in told


def test_what_is_kept_opens_as_it_was(opened: Opened):
    again = Store(StoreLocation.of_file(opened.path))

    assert again.profile == opened.store.profile
    assert again.hash_parameters == CHEAP
    assert again.settings["store_id"].startswith("store_")
    again.close()


def test_words_that_no_database_can_hold_are_a_usage_error(store: Cli):
    for args in (["show", b"\xff\xfe"], ["revoke", b"kc_live_\xff"], ["owner", "show", b"\xff"]):
        result = store(*args, check=2)

        assert "is not valid UTF-8" in result.err
        assert result.out == ""
