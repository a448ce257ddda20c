"""Stores that are not there, not stores, or not for this user."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.helpers import config_file, location, mint, ordinarily, refused
from tests.runner import Cli

pytestmark = pytest.mark.sqlite

COMMANDS = [["list"], ["mint"], ["verify"], ["revoke", "kc_live_x", "--yes"], ["owner", "add", "x"], ["db", "status"]]
KEY = "kc_live_" + "0" * 12 + "_" + "0" * 38


@pytest.mark.parametrize("command", [*COMMANDS, ["init"]], ids=" ".join)
@pytest.mark.parametrize(
    ("place", "code", "says"),
    [
        ("/nowhere/keys.db", 5, "/nowhere"),
        (".", 2, "unknown store"),
        ("./", 5, "is a folder"),
        ("./text.db", 5, "is not a SQLite database"),
        ("./short.db", 5, "is damaged"),
        ("./header.db", 5, "is not a SQLite database"),
        ("unknown", 2, 'unknown store "unknown"'),
        ("mysql://u:p@h/d", 2, 'unsupported store URL scheme "mysql://"'),
        ("file:///x.db", 2, 'unsupported store URL scheme "file://"'),
        ("sqlite://keys.db", 2, "three slashes"),
    ],
)
def test_what_is_no_store(store: Cli, command: list[str], place: str, code: int, says: str):
    good = Path(location(store)).read_bytes()
    (store.cwd / "text.db").write_text("just a text, and long enough to hold a header\n" * 50)
    (store.cwd / "short.db").write_bytes(good[: len(good) // 2])
    (store.cwd / "header.db").write_bytes(good[:10])
    before = {path.name: path.read_bytes() for path in store.cwd.iterdir()}

    result = refused(store, *command, "--store", place, stdin=KEY, code=code, says=says)

    assert {path.name: path.read_bytes() for path in store.cwd.iterdir()} == before
    assert len(result.err.splitlines()) <= 2


def test_a_database_of_another_program_is_not_changed(store: Cli):
    stranger = sqlite3.connect(store.cwd / "stranger.db")
    stranger.execute("create table users (id)")
    stranger.close()
    before = (store.cwd / "stranger.db").read_bytes()

    for command in COMMANDS:
        refused(store, *command, "--store", "./stranger.db", stdin=KEY, code=6, says="holds no keyctl store")
    refused(store, "init", "--store", "./stranger.db", code=5, says=["tables that are not keyctl's", "users"])
    assert (store.cwd / "stranger.db").read_bytes() == before


@pytest.mark.parametrize("command", [["list"], ["mint"], ["verify"]], ids=" ".join)
def test_a_store_that_another_process_writes_to_is_busy(store: Cli, command: list[str]):
    writer = sqlite3.connect(location(store), isolation_level=None)
    writer.execute("begin exclusive")

    result = store(*command, "--wait", "0", stdin=KEY)

    writer.close()
    assert (result.code, result.out) == (5, "")
    assert "is busy" in result.err
    assert "--wait" in result.err


def test_waiting_outlasts_a_writer(store: Cli):
    writer = sqlite3.connect(location(store), isolation_level=None)
    writer.execute("begin exclusive")
    process = store.spawn("mint", "--wait", "20s")

    writer.rollback()
    writer.close()

    process.wait().expect(0)


# ── as an ordinary user ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_read_only_store_can_be_read_and_not_written(store: Cli):
    key = mint(store)
    file = Path(location(store))
    file.chmod(0o400)
    file.parent.chmod(0o500)
    try:
        assert ordinarily(store, "keyctl list").expect(0).out.startswith(key["prefix"])
        assert ordinarily(store, "keyctl verify", stdin=key["key"]).expect(0).out.startswith("VALID")
        before = file.read_bytes()
        for command in ("mint", f"lock {key['prefix']}", "owner add x", "verify --record"):
            result = ordinarily(store, f"keyctl {command}", stdin=key["key"])
            assert (result.code, result.out) == (5, ""), result
            assert "read-only for this user" in result.err
            assert "Traceback" not in result.err
        assert file.read_bytes() == before
    finally:
        file.parent.chmod(0o700)


def test_a_store_that_may_not_be_read(store: Cli):
    Path(location(store)).chmod(0o000)

    for command in ("list", "mint", "verify", "config show; keyctl list"):
        result = ordinarily(store, f"bash -c 'keyctl {command}'", stdin=KEY)
        assert result.code == 5, result
        assert "may not read it" in result.err


@pytest.mark.parametrize("command", ["init", "mint"])
def test_a_home_that_cannot_be_written_to(cli: Cli, command: str):
    cli.home.chmod(0o500)
    try:
        result = ordinarily(cli, f"keyctl {command}")
    finally:
        cli.home.chmod(0o700)

    assert (result.code, result.out) == (5, "")
    assert "cannot create the folder" in result.err
    assert "--store" in result.err
    assert not any(cli.home.iterdir())


def test_a_folder_that_cannot_be_written_to(store: Cli):
    store.cwd.chmod(0o500)
    try:
        created = ordinarily(store, "keyctl init --store ./keys.db")
        written = ordinarily(store, "keyctl mint --out key.txt")
    finally:
        store.cwd.chmod(0o700)

    assert (created.code, created.out) == (5, "")
    assert "Permission denied" in created.err
    assert (written.code, written.out) == (21, "")
    assert "Permission denied" in written.err
    assert store("list", check=0).out == ""


def test_a_home_that_does_not_exist_is_made_by_the_first_mint(cli: Cli):
    shutil.rmtree(cli.home)

    cli("mint", check=0)

    assert Path(location(cli)).exists()


def test_without_a_home_the_users_own_is_taken(cli: Cli):
    shown = cli("config", "show", "--json", env={"HOME": None}, check=0).json

    assert shown["store"].endswith("keyctl.db")


def test_without_the_driver_of_postgres_the_hint_names_a_package_that_exists(cli: Cli):
    (cli.cwd / "psycopg.py").write_text("raise ImportError")

    result = cli.cold("list", "--store", "postgresql://host/keys", env={"PYTHONPATH": str(cli.cwd)}, check=6)

    assert "hint: pip install 'psycopg[binary]'" in result.err


@pytest.mark.parametrize(
    "text",
    [
        *("host=db.example password=hunter2", "postgresql:/u:hunter2@db.example/d", "sqlite://u:hunter2@db.example/d"),
        *("postgresql://o?ps:hunter2@127.0.0.1:1/d", "postgresql://127.0.0.1:1/d?sslpassword=hunter2"),
        *("postgresql://127.0.0.1:1/d?pass%77ord=hunter2", "postgresql://u:1/hunter2@127.0.0.1:1/d"),
        *("postgresql://127.0.0.1:1/d?passwrd=hunter2", "postgresql://%80:hunter2@127.0.0.1:1/d"),
    ],
)
def test_a_password_is_in_no_message_whatever_the_form_of_the_store(cli: Cli, text: str):
    config_file(cli, f"stores.team = '{text}'\n")

    for given in ({"KEYCTL_STORE": text}, {"KEYCTL_STORE": "team"}):
        for args in (["list"], ["init"], ["config", "show"], ["verify"]):
            result = cli(*args, env=given, stdin="kc_live_" + "0" * 12)
            assert result.code in (0, 2, 5, 6), result
            assert "hunter2" not in result.out + result.err
