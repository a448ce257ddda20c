"""`keyctl db restore`. What a restore makes of each row is tested in tests/admin/test_restore.py."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import (
    CHEAP,
    Filled,
    changes_nothing,
    dump,
    location,
    mint,
    mint_many,
    refused,
    set_key,
    show,
    verify,
)
from tests.cli.test_db_backup import fill
from tests.runner import Cli
from tests.stores import names

TOKEN = "correct horse battery staple"
LATER = "another long enough token"


def fill_and_back_up(store: Cli) -> list[dict[str, Any]]:
    minted = fill(store)
    store("db", "backup", store.home / "backup.db", check=0)
    return minted


@pytest.fixture
def keys(filled: Filled) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = filled(fill_and_back_up)
    return found


@pytest.fixture
def backup(store: Cli, keys: list[dict[str, Any]]) -> str:
    return str(store.home / "backup.db")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where there is no store yet."""
    url: str = request.getfixturevalue("empty_schema") if request.param == "postgres" else str(tmp_path / "new.db")
    return url


def last(store: Cli) -> dict[str, Any]:
    event: dict[str, Any] = store("audit", "list", "--limit", "1", "--json", check=0).json["events"][0]
    return event


def test_where_there_is_no_store_the_backup_becomes_one(
    store: Cli, keys: list[dict[str, Any]], backup: str, nowhere: str
):
    before = dump(store)
    assert before

    assert store("db", "restore", backup, "--store", nowhere, check=0).out == f"{nowhere}\n"

    store.env["KEYCTL_STORE"] = nowhere
    after = dump(store)
    assert after
    assert after["events"][:-1] == before["events"]
    assert all(after[name] == before[name] for name in ("keys", "owners", "settings", "counters"))
    event = last(store)
    [(_, seq, digest)] = before["audit_head"]
    assert event["action"] == "store.restored"
    assert event["detail"] == {"from": backup, "event": {"seq": seq, "hash": digest}}
    store("audit", "verify", check=0)
    assert [verify(store, key["key"]) for key in keys] == ["VALID", "KEY_REVOKED", "KEY_LOCKED"]


@pytest.mark.sqlite
def test_the_default_store_is_made_for_its_owner_alone(cli: Cli, store: Cli, backup: str):
    file = Path(location(store))
    moved = cli.cwd / "backup.db"
    Path(backup).rename(moved)
    for one in file.parent.iterdir():
        one.unlink()
    file.parent.rmdir()

    cli("db", "restore", "backup.db", check=0)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert names(file.parent) == ["keyctl.db"]
    assert names(cli.cwd) == ["backup.db"]


def test_over_the_same_store_it_says_what_it_does_and_the_log_continues(
    store: Cli, keys: list[dict[str, Any]], backup: str
):
    prefix = keys[0]["prefix"]
    store("scope", prefix, "--set", "admin", check=0)
    store("owner", "update", "below", "--name", "Oops", check=0)
    newer = mint(store)
    store("revoke", keys[2]["prefix"], check=0)
    seq = last(store)["seq"]

    asked = store("db", "restore", backup, check=4).err
    planned = store("db", "restore", backup, "--dry-run", "--json", check=0)
    done = store("db", "restore", backup, "--yes", "--reason", "a bad day", check=0)

    assert "confirmation required: restore" in asked
    for words in (
        f"restored as in the backup: {prefix}",
        f"revoked, locked or expiring earlier since the backup, and left so: {keys[2]['prefix']}",
        f"not in the backup, and left as they are: {newer['prefix']}",
        "owners, restored as in the backup: below",
    ):
        assert words in asked
        assert words in planned.err
        assert words in done.err
    assert done.out == f"{location(store)}\n"
    lists = ("created", "missing", "changed", "ended", "newer", "owners", "repaired")
    assert [planned.json[name] for name in lists] == [
        False, [], [prefix], [keys[2]["prefix"]], [newer["prefix"]], ["below"], [],
    ]  # fmt: skip
    assert show(store, prefix)["scopes"] == ["read", "write"]
    assert [verify(store, key["key"]) for key in (*keys, newer)] == ["VALID", "KEY_REVOKED", "KEY_REVOKED", "VALID"]
    assert last(store)["seq"] == seq + 3
    assert last(store)["reason"] == "a bad day"
    store("audit", "verify", check=0)
    changes_nothing(store, "db", "restore", backup, says="has everything that the backup has: nothing was changed")


@pytest.mark.sqlite
def test_at_a_terminal_it_asks(store: Cli, keys: list[dict[str, Any]], backup: str):
    set_key(store, keys[0]["prefix"], name="oops")

    no = store.tty("db", "restore", backup, talk=[("[y/N]", "n\n")])
    assert (no.code, show(store, keys[0]["prefix"])["name"]) == (8, "oops")
    store.tty("db", "restore", backup, talk=[("[y/N]", "y\n")], check=0)

    assert show(store, keys[0]["prefix"])["name"] == "kept"


@pytest.mark.sqlite
def test_another_store_or_another_history_is_left_alone(cli: Cli, store: Cli, backup: str):
    cli("init", "--store", "./other.db", *CHEAP, check=0)
    copy = store.cwd / "copy.db"
    copy.write_bytes(Path(backup).read_bytes())
    store("mint", "--store", "./copy.db", check=0)
    store("mint", check=0)

    refused(store, "db", "restore", backup, "--yes", "--store", "./other.db", code=4, says="is a backup of store_")
    refused(store, "db", "restore", "copy.db", "--yes", code=4, says="neither continues the other")


@pytest.mark.sqlite
def test_sequences_and_serial_ids_never_go_back(empty: Cli):
    empty("init", "--profile", "vexa", *CHEAP, check=0)
    empty("owner", "add", "one", check=0)
    key = mint(empty, "--owner", "one")["key"]
    trust = empty("bundle", "key", "--create", check=0).out.strip()
    empty("db", "backup", "backup.db", check=0)
    newer = mint(empty, "--owner", "one")
    empty("bundle", "export", "old.bundle", "--valid-for", "3d", check=0)
    assert verify(empty, key, "--bundle", "old.bundle", "--trust", trust) == "VALID"
    empty("owner", "update", "one", "--name", "oops", check=0)

    empty("db", "restore", "backup.db", "--yes", check=0)

    assert int(mint(empty, "--owner", "one")["id"]) == int(newer["id"]) + 1
    assert "bundles that were exported earlier may accept" in empty("revoke", newer["prefix"], check=0).err
    empty("bundle", "export", "new.bundle", check=0)
    assert verify(empty, key, "--bundle", "new.bundle", "--trust", trust) == "VALID"


# ── the admin token ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_the_store_that_is_restored_over_requires_its_own_token_and_keeps_it(
    store: Cli, keys: list[dict[str, Any]], backup: str
):
    store("admin-token", "set", stdin=LATER, check=0)  # the backup has none
    set_key(store, keys[0]["prefix"], name="oops")

    store("db", "restore", backup, "--yes", check=7)
    assert show(store, keys[0]["prefix"])["name"] == "oops"

    token = {"KEYCTL_ADMIN_TOKEN": LATER}
    store("db", "restore", backup, "--yes", env=token, check=0)
    store("mint", check=7)
    store("mint", env=token, check=0)


@pytest.mark.sqlite
def test_a_new_place_requires_the_token_of_the_backup(store: Cli):
    store("admin-token", "set", stdin=TOKEN, check=0)
    store("db", "backup", "backup.db", check=0)
    before = (store.cwd / "backup.db").read_bytes()

    for token in (None, LATER):
        result = store("db", "restore", "backup.db", "--store", "./new.db", env={"KEYCTL_ADMIN_TOKEN": token}, check=7)
        assert "the admin token of the backup" in result.err
    assert names(store.cwd) == ["backup.db"]
    assert (store.cwd / "backup.db").read_bytes() == before

    token = {"KEYCTL_ADMIN_TOKEN": TOKEN}
    store("db", "restore", "backup.db", "--store", "./new.db", env=token, check=0)
    store("mint", "--store", "./new.db", check=7)


# ── what is no backup ────────────────────────────────────────────────────────────────────────────────────────────────


def rewritten(*statements: str) -> Callable[[Path], None]:
    def rewrite(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(";".join(statements))

    return rewrite


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def overwritten(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:40000] = os.urandom(40000 - 4096)
    file.write_bytes(content)


HOSTILE: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "missing": (Path.unlink, 5, "there is no backup"),
    "a pipe": (lambda file: (file.unlink(), os.mkfifo(file)), 5, "not a regular file"),
    "empty": (lambda file: file.write_bytes(b""), 6, "is not a backup"),
    "text": (lambda file: file.write_text("precious\n" * 999), 5, "not a SQLite database"),
    "another database": (lambda file: (file.unlink(), rewritten("create table x (y)")(file)), 6, "is not a backup"),
    "cut short": (cut, 5, "damaged"),
    "overwritten": (overwritten, 5, "damaged"),
    "newer schema": (rewritten("update alembic_version set version_num = '9999'"), 6, "upgrade keyctl"),
    "older schema": (rewritten("update alembic_version set version_num = '0000'"), 6, "db upgrade --store"),
    "a revived key": (rewritten("update keys set revoked_at = null"), 9, "was altered"),
    "a cut log": (rewritten("delete from events where seq > 3"), 9, "is missing"),
    "no log": (rewritten("delete from events", "delete from audit_head"), 9, "was altered"),
    "no settings": (rewritten("delete from settings"), 9, "was altered"),
    "a trigger": (rewritten("create trigger t after insert on keys begin delete from keys; end"), 5, "trigger t"),
    "a view": (rewritten("drop table counters", "create view counters as select 1 as name, 2 as value"), 5, "view"),
    "no table": (rewritten("drop table owners"), 5, "no such table"),
    "another column": (rewritten("alter table keys rename column phc to hash"), 5, "no such column"),
}


@pytest.mark.sqlite
@pytest.mark.parametrize(("make", "code", "says"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_backup_is_named_and_nothing_is_changed(
    store: Cli, keys: list[dict[str, Any]], backup: str, make: Callable[[Path], object], code: int, says: str
):
    make(Path(backup))

    result = refused(store, "db", "restore", backup, "--yes", code=code, says=[says, backup])

    assert "db restore" not in result.err


@pytest.mark.torture
@pytest.mark.sqlite
def test_a_restore_that_is_killed_has_changed_all_or_nothing(store: Cli, rounds: Callable[[int, int], int]):
    minted = mint_many(store, 50)
    store("db", "backup", "backup.db", check=0)
    prefixes = [one["prefix"] for one in minted]
    for _ in range(rounds(1, 50)):
        store("update", *prefixes, "--set-name", "oops", "--yes", "--wait", "30s", check=0)
        process = store.spawn("db", "restore", "backup.db", "--yes")
        time.sleep(random.uniform(0.05, 0.5))
        process.kill(9)
        process.wait()
        rows = dump(store)
        assert rows
        assert len({row[3] for row in rows["keys"]}) == 1
        store("audit", "verify", "--wait", "30s", check=0)
