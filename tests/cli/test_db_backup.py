"""`keyctl db backup`."""

from __future__ import annotations

import contextlib
import os
import random
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import (
    Filled,
    dump,
    execute,
    location,
    locked,
    mint,
    mint_many,
    ordinarily,
    refused,
    set_key,
    verify,
)
from tests.runner import Cli
from tests.stores import names


def fill(store: Cli) -> list[dict[str, Any]]:
    """Mint a valid key, a revoked one and a locked one, of owners above each other."""
    store("owner", "add", "zz-top", check=0)  # its children sort before it
    store("owner", "add", "below", "--parent", "zz-top", check=0)
    minted = [
        mint(store, "--name", "kept", "--owner", "below", "--scope", "read,write"),
        mint(store, "--name", "gone", "--owner", "zz-top"),
        mint(store, "--name", "held", "--allow-ip", "10.0.0.0/8", "--meta", "team=ü"),
    ]
    store("revoke", minted[1]["prefix"], check=0)
    store("lock", minted[2]["prefix"], check=0)
    return minted


@pytest.fixture
def keys(filled: Filled) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = filled(fill)
    return found


def test_a_backup_is_the_whole_store_in_one_private_file(store: Cli, keys: list[dict[str, Any]]):
    result = store("db", "backup", "backup.db", check=0)

    file = store.cwd / "backup.db"
    assert (result.out, result.err) == ("backup.db\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names(store.cwd) == ["backup.db"]
    found = dump(store)
    store.env["KEYCTL_STORE"] = str(file)
    assert dump(store) == found
    assert verify(store, keys[0]["key"]) == "VALID"
    assert verify(store, keys[1]["key"]) == "KEY_REVOKED"
    assert not any(key["key"].encode() in file.read_bytes() for key in keys)


def test_json_says_where_the_log_ends_and_what_was_verified(store: Cli, keys: list[dict[str, Any]]):
    facts = store("db", "backup", "backup.db", "--json", check=0).json

    [last] = store("audit", "list", "--limit", "1", "--json", check=0).json["events"]
    assert (facts["file"], facts["seq"], facts["hash"]) == ("backup.db", last["seq"], last["hash"])
    assert (facts["events"], facts["keys"], facts["owners"]) == (last["seq"], 3, 2)
    assert facts["store_id"].startswith("store_")


def test_an_existing_file_is_replaced_only_with_force(store: Cli):
    file = store.cwd / "backup.db"
    file.write_text("precious")

    refused(store, "db", "backup", "backup.db", code=4, says=["already exists", "--force"])
    assert file.read_text() == "precious"

    store("db", "backup", "backup.db", "--force", check=0)
    assert file.read_bytes().startswith(b"SQLite format 3")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.sqlite
def test_what_is_not_a_regular_file_of_its_own_is_never_replaced(store: Cli):
    (store.cwd / "folder").mkdir()
    (store.cwd / "link").symlink_to("elsewhere")
    os.mkfifo(store.cwd / "pipe")
    (store.cwd / "used.db").touch()
    (store.cwd / "used.db-journal").write_text("a write that was interrupted")

    for name in ("folder", "link", "pipe", "/dev/null", "used.db", location(store)):
        refused(store, "db", "backup", name, "--force", code=4)
    assert names(store.cwd) == ["folder", "link", "pipe", "used.db", "used.db-journal"]


def test_a_store_that_was_altered_is_refused_and_the_earlier_backup_stays(store: Cli, keys: list[dict[str, Any]]):
    store("db", "backup", "backup.db", check=0)
    before = (store.cwd / "backup.db").read_bytes()
    set_key(store, keys[1]["prefix"], revoked_at=None)

    refused(store, "db", "backup", "backup.db", "--force", code=9, says=["revoked_at", "audit verify"])

    assert (store.cwd / "backup.db").read_bytes() == before
    assert names(store.cwd) == ["backup.db"]


def test_a_store_that_is_missing_or_of_another_schema_is_reported_as_elsewhere(store: Cli):
    refused(store, "db", "backup", "backup.db", "--store", "./none.db", code=5, says="there is no keyctl store")
    execute(store, "update alembic_version set version_num = '9999'")
    refused(store, "db", "backup", "backup.db", code=6, says="has schema 9999")
    assert names(store.cwd) == []


@pytest.mark.sqlite
def test_a_user_who_may_only_read_the_store_can_back_it_up(store: Cli, keys: list[dict[str, Any]]):
    file = Path(location(store))
    file.chmod(0o400)
    file.parent.chmod(0o500)

    result = ordinarily(store, "keyctl db backup backup.db")

    file.parent.chmod(0o700)
    assert (result.code, result.out) == (0, "backup.db\n"), result


@pytest.mark.sqlite
def test_a_full_disk_leaves_nothing(store: Cli):
    result = store.shell("ulimit -f 16; keyctl db backup backup.db", check=5)
    assert re.search(rf"{store.cwd}/backup\.db cannot be .*: disk I/O error\n.*ulimit -f there$", result.err.strip())
    assert names(store.cwd) == []


@pytest.mark.sqlite
def test_a_full_folder_for_temporary_files_is_named(store: Cli):
    execute(store, "insert into settings values ('large', :value)", value="x" * 8_000_000)

    result = store.shell("ulimit -f 1024; keyctl db backup backup.db", check=5)
    assert "the folder for temporary files" in result.err
    assert "TMPDIR" in result.err
    assert names(store.cwd) == []


@pytest.mark.sqlite
def test_a_backup_waits_for_no_writer(store: Cli, keys: list[dict[str, Any]]):
    with locked(store):
        store("db", "backup", "backup.db", "--wait", "0", check=0)


def test_a_backup_of_a_store_in_use_is_of_one_moment(store: Cli, rounds: Callable[[int, int], int]):
    writers = [store.spawn("mint", "--count", "40") for _ in range(rounds(1, 8))]
    counts = [
        store("db", "backup", f"{i}.db", "--json", "--wait", "30s", check=0).json["keys"] for i in range(rounds(2, 30))
    ]
    for writer in writers:
        writer.wait().expect(0)

    assert all(count % 40 == 0 for count in counts)
    assert counts == sorted(counts)


@pytest.mark.torture
@pytest.mark.sqlite
def test_a_backup_that_is_killed_is_absent_or_complete(store: Cli, rounds: Callable[[int, int], int]):
    mint_many(store, 20)
    for _ in range(rounds(2, 100)):
        process = store.spawn("db", "backup", "backup.db", "--force")
        time.sleep(random.uniform(0.02, 0.25))
        process.kill(9)
        process.wait()
        if "backup.db" in names(store.cwd):
            store("audit", "verify", "--store", "./backup.db", check=0)
    left = [name for name in names(store.cwd) if name != "backup.db"]
    assert all(name.startswith(".backup.db.") for name in left)

    warned = store("db", "backup", "backup.db", "--force", check=0)

    assert all(name in warned.err for name in left)
    with contextlib.suppress(FileNotFoundError):
        (store.cwd / "backup.db").unlink()
