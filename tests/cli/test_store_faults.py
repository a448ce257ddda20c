"""A SQLite store whose disk or file fails: exit 5 with the cause, nothing half done, and all is well afterwards."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from keyctl.errors import StoreUnavailable
from keyctl.store.database import Connection, Store
from keyctl.store.location import StoreLocation
from tests.cli.helpers import location, mint, verify
from tests.runner import Cli

pytestmark = pytest.mark.sqlite
PAGE = 4096


@pytest.fixture
def file(store: Cli) -> Path:
    return Path(location(store))


def change(prefix: str) -> list[list[str]]:
    """The commands that are tried, each of which writes."""
    return [
        ["mint"],
        ["mint", "--out", "key.txt"],
        ["rotate", prefix, "--grace", "0"],
        ["revoke", prefix, "--yes"],
    ]


def no_files_but(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


# ── no space ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_disk_is_named_and_once_there_is_space_commands_work_again(store: Cli):
    commands = "\n".join(f'answers "{" ".join(command)}"' for command in change("$prefix"))

    result = store.shell(
        f"""exec unshare --map-root-user --mount bash -euo pipefail -c '
        mount -t tmpfs -o size=512k none {store.cwd} && cd {store.cwd}
        export KEYCTL_STORE=./keys.db
        keyctl init >/dev/null; key=$(keyctl mint); prefix=${{key%_*}}
        answers() {{ code=0; keyctl $1 || code=$?; echo "$code $1"; }}
        head -c 1m /dev/zero > filler || true
        {commands}
        answers list; keyctl verify <<< $key
        rm filler; ls -A
        keyctl audit verify
        keyctl mint
        '"""
    )

    *full, listed, code, valid, only_file, log, key = result.out.splitlines()
    assert full == [f"5 {' '.join(command)}" for command in change(listed.split("\t")[0])]
    assert (code, valid.split()[0], only_file) == ("0 list", "VALID", "keys.db")
    assert log == "intact: 3 events, 1 key, 0 owners"
    assert result.err.count("cannot be written to: its disk is full") == len(full)
    assert key.startswith("kc_live_")


def test_a_quota_is_named_and_never_taken_for_a_damaged_store(store: Cli, file: Path):
    mint(store)
    before = file.read_bytes()

    result = store.shell(f"ulimit -f {len(before) // 1024}; keyctl mint --count 300", check=5)

    assert result.out == ""
    assert "disk I/O error" in result.err
    assert "quota" in result.err
    assert "damaged" not in result.err
    assert (file.read_bytes(), no_files_but(file.parent, file.name)) == (before, True)
    store("mint", "--count", "300", check=0)


# ── a damaged file ───────────────────────────────────────────────────────────────────────────────────────────────────


def corrupted(content: bytes) -> bytes:
    """Every second page after the schema's is noise."""
    pages = [content[i : i + PAGE] for i in range(0, len(content), PAGE)]
    return b"".join(page if i < 2 or i % 2 else os.urandom(PAGE) for i, page in enumerate(pages))


@pytest.mark.parametrize(
    "damage",
    [corrupted, lambda content: content[: len(content) // 2]],
    ids=["corrupt pages", "half of it"],
)
def test_a_damaged_file_is_reported_and_left_as_it_is(store: Cli, file: Path, damage: Callable[[bytes], bytes]):
    old = mint(store)
    store("mint", "--count", "200", check=0)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    before = file.read_bytes()

    for command in [*change(old["prefix"]), ["audit", "verify"], ["list"], ["verify"]]:
        result = store(*command, stdin=old["key"])
        if result.code == 0:  # it read none of the damaged pages
            assert command in (["verify"], ["list"])
            continue
        assert (result.code, result.out) == (5, ""), result
        assert "is damaged" in result.err
        assert len(result.err) < 500
    assert file.read_bytes() == before
    assert no_files_but(store.cwd)

    file.write_bytes(whole)
    assert verify(store, old["key"]) == "VALID"
    store("audit", "verify", check=0)
    store("mint", check=0)


@pytest.mark.parametrize(
    "command", [["list"], ["mint"], ["verify"], ["audit", "verify"], ["db", "upgrade"]], ids=" ".join
)
def test_a_schema_that_is_not_even_text_is_damage(store: Cli, file: Path, command: list[str]):
    key = mint(store)["key"]
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE keys", b"CREATE TABL\xff keys"))

    result = store(*command, stdin=key, check=5)

    assert f"the store {file} is damaged: it holds text that is not UTF-8" in result.err
    assert result.out == ""


# ── another file in its place ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("remove", [False, True], ids=["replaced", "removed"])
def test_a_file_that_is_replaced_during_a_command_gets_no_half_of_it(store: Cli, file: Path, remove: bool):
    old = mint(store)
    backup = shutil.copy(file, store.cwd / "backup.db")
    for command in change(old["prefix"]):
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("begin immediate")  # the command waits for this lock
            process = store.spawn(*command, "--wait", "20s")
            until_it_waits(process.pid, file)
            if remove:
                file.unlink()
            else:
                shutil.copy(backup, store.cwd / "new.db")
                (store.cwd / "new.db").rename(file)
        result = process.wait()

        assert (result.code, result.out) == (5, ""), result
        assert "was replaced or removed during the command, and nothing was changed" in result.err
        if remove:
            shutil.copy(backup, file)
        assert store("audit", "verify", check=0).out == "intact: 3 events, 1 key, 0 owners\n"
        assert no_files_but(store.cwd, "backup.db")
    assert verify(store, old["key"]) == "VALID"


def test_a_store_that_is_open_follows_its_file(store: Cli, file: Path):
    old = mint(store)
    with closing(Store(StoreLocation.of_file(file))) as opened:
        copy = shutil.copy(file, store.cwd / "new.db")
        store("revoke", old["prefix"], "--yes", "--store", copy, check=0)
        assert opened.find(old["prefix"]).key.revoked_at is None

        copy.rename(file)

        assert opened.find(old["prefix"]).key.revoked_at
    assert verify(store, old["key"]) == "KEY_REVOKED"


def test_a_file_that_is_replaced_between_a_write_and_its_commit_is_noticed(store: Cli, file: Path):
    mint(store)
    before = file.read_bytes()
    with closing(Store(StoreLocation.of_file(file))) as opened:

        def work(connection: Connection) -> None:
            connection.exec_driver_sql("update keys set name = 'new'")
            shutil.copy(file, store.cwd / "new.db").rename(file)

        with pytest.raises(StoreUnavailable, match="was replaced or removed during the command"):
            opened.write(work)
    assert file.read_bytes() == before


def until_it_waits(pid: int, file: Path) -> None:
    """Wait until a process has the file open, and a moment longer: it then polls for the lock."""
    end = time.monotonic() + 20
    while not any(os.path.realpath(fd) == str(file) for fd in Path(f"/proc/{pid}/fd").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.3)


# ── another process ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.torture(only=True)
def test_a_store_that_is_locked_for_a_minute_costs_only_the_time_that_was_allowed(store: Cli, file: Path):
    old = mint(store)
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        began = time.monotonic()
        patient = [store.spawn(*command, "--wait", "90s") for command in (["mint"], ["lock", old["prefix"]])]
        impatient = [
            store.spawn(*command, "--wait", "10s", stdin=old["key"])
            for command in (["mint"], ["revoke", old["prefix"], "--yes"], ["list"], ["verify"])
        ]
        for process in impatient:
            result = process.wait()
            assert (result.code, result.out) == (5, ""), result
            assert "is busy" in result.err
        assert 10 <= time.monotonic() - began < 14  # and not 15: the look for keys among the arguments waits too
        time.sleep(60 - (time.monotonic() - began))

    for process in patient:
        process.wait().expect(0)
    assert store("audit", "verify", check=0).out == "intact: 6 events, 2 keys, 0 owners\n"
