from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keyctl.admin.owners import NewOwner
from keyctl.errors import ConfigurationInvalid, KeyctlError, StoreBusy, StoreUnavailable
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.selection import Selection
from keyctl.store.sqlite_file import read_settings
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.verifier import Verifier
from tests.runner import Cli
from tests.stores import Opened, names, new_store


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A store with keys of every kind: `opened`, and the keys' texts by what befell them."""
    (tmp_path / "folder").mkdir()
    opened = new_store(tmp_path / "folder/store.db")
    opened.owners.add(NewOwner("acme", name="Acme “é”"))
    opened.owners.add(NewOwner("middle", parent="acme"))
    opened.owners.add(NewOwner("below", parent="middle"))
    texts = {"plain": opened.mint()[0].text}
    for name in ("rich", "revoked", "locked", "rotated"):
        texts[name] = opened.mint(
            name=name, owner="below", scopes=["read"], expires="30d", metadata=["a=b"], allowed_ips=["192.0.2.0/24"]
        )[0].text
    prefixes = {name: text.rpartition("_")[0] for name, text in texts.items()}
    opened.admin.revoke(Selection.named(prefixes["revoked"]), reason="leaked")
    opened.admin.lock(Selection.named(prefixes["locked"]), duration=timedelta(hours=1))
    texts["new"] = opened.rotate(prefixes["rotated"]).text
    prefixes["new"] = texts["new"].rpartition("_")[0]
    opened.owners.disable("middle")
    yield SimpleNamespace(opened=opened, path=opened.path, texts=texts, prefixes=prefixes)
    opened.store.close()


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        assert connection.execute(statement).rowcount != 0, statement
    connection.commit()
    connection.close()


def run_unprivileged(script: str) -> str:
    """Run a program that may write only what modes allow, and return what it prints."""
    # 24 drops a capability from those that a program of root is given when it starts: CAP_DAC_OVERRIDE.
    start = (
        "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1);"
        " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", start] if os.getuid() == 0 else [sys.executable]
    return subprocess.run([*command, "-c", script], capture_output=True, text=True, check=True).stdout


def test_it_answers_as_the_store_does(filled: SimpleNamespace):
    store, reader = filled.opened.store, SqliteReader(filled.path)

    for prefix in [*filled.prefixes.values(), "kc_live_nobody000000", "", "kc_live_%", "'", "kc_live_\0"]:
        assert reader.find(prefix) == store.find(prefix)
    for handle in ["acme", "middle", "below", "nobody", "ACME", ""]:
        assert reader.find_owners(handle) == store.find_owners(handle)
    assert [owner.handle for owner in reader.find_owners("below")] == ["below", "middle", "acme"]
    assert reader.find(filled.prefixes["rich"]).inactive_owner.handle == "middle"
    assert reader.profile == store.profile
    assert reader.hash_parameters == store.hash_parameters
    assert reader.store_id == store.settings["store_id"]
    reader.close()


def test_it_sees_a_revocation_at_once(filled: SimpleNamespace):
    reader = SqliteReader(filled.path)
    assert reader.find(filled.prefixes["plain"]).key.revoked_at is None

    filled.opened.admin.revoke(Selection.named(filled.prefixes["plain"]))

    assert reader.find(filled.prefixes["plain"]).key.revoked_at is not None
    reader.close()


def test_it_holds_no_lock_between_look_ups(filled: SimpleNamespace):
    reader = SqliteReader(filled.path)
    reader.find(filled.prefixes["rich"])
    impatient = Opened(Store(filled.opened.store.location, wait=0), filled.opened.clock)

    impatient.mint()

    impatient.store.close()
    reader.close()


def test_it_writes_nothing_and_opens_nothing_else(filled: SimpleNamespace):
    filled.opened.store.close()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in filled.path.parent.iterdir()}
    reader = SqliteReader(filled.path)
    reader.find(filled.prefixes["rich"])
    reader.find_owners("below")

    links = list(Path("/proc/self/fd").iterdir())
    names = [str(link.readlink()) for link in links if link.is_symlink()]
    assert [name for name in names if name.startswith(str(filled.path.parent))] == [str(filled.path)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("delete from keys")
    reader.close()
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in filled.path.parent.iterdir()} == before


def test_a_store_in_a_read_only_folder_can_be_read(filled: SimpleNamespace):
    filled.opened.store.close()
    filled.path.chmod(0o444)
    filled.path.parent.chmod(0o555)

    shown = run_unprivileged(f"""if True:
        import os
        from pathlib import Path
        from keyctl.store.sqlite_reader import SqliteReader
        path = Path({str(filled.path)!r})
        print(SqliteReader(path).find({filled.prefixes["rich"]!r}).key.name, os.access(path, os.W_OK))
    """)

    assert shown == "rich False\n"
    filled.path.parent.chmod(0o755)


@pytest.mark.parametrize(
    "name", ["with space", "with?question=mark", "with#hash", "with%20percent", "é🙂", "a&mode=rwc"]
)
def test_a_file_may_be_called_anything(tmp_path: Path, name: str):
    opened = new_store(tmp_path / name)
    [minted] = opened.mint()
    opened.store.close()

    with closing(SqliteReader(tmp_path / name)) as reader:
        assert reader.find(minted.record.key.prefix).key == minted.record.key
    assert names(tmp_path) == [name]


def test_what_is_not_there_is_not_made(tmp_path: Path):
    for path in (tmp_path / "none.db", tmp_path / "no folder/none.db", tmp_path):
        with pytest.raises(StoreUnavailable) as error:
            SqliteReader(path)
        assert error.value.exit_code == 5
        assert error.value.hint
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no keyctl store"),
        (b"just text\n" * 100, "not a SQLite database"),
        (b"SQLite format 3\0" + bytes(4080), "database"),
    ],
)
def test_a_file_that_is_no_store_is_reported_as_such(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "strange.db"
    path.write_bytes(content)

    with pytest.raises(KeyctlError, match=message) as error:
        SqliteReader(path)

    assert error.value.exit_code in {5, 6}
    assert path.read_bytes() == content


def test_a_truncated_store_is_reported_as_damaged(filled: SimpleNamespace):
    filled.opened.store.close()
    whole = filled.path.read_bytes()
    filled.path.write_bytes(whole[: len(whole) // 3])

    with pytest.raises(StoreUnavailable, match="is damaged"):
        SqliteReader(filled.path).find(filled.prefixes["rich"])


@pytest.mark.parametrize(
    ("revision", "hint"),
    [("9999", "a newer keyctl wrote it: upgrade keyctl"), ("0000", "keyctl db upgrade --store {path}")],
)
def test_another_schema_is_refused_with_what_to_do(filled: SimpleNamespace, revision: str, hint: str):
    execute(filled.path, f"update alembic_version set version_num = '{revision}'")

    with pytest.raises(ConfigurationInvalid) as error:
        SqliteReader(filled.path)

    assert error.value.hint == hint.format(path=filled.path)


def test_it_waits_for_a_commit_and_then_gives_up(filled: SimpleNamespace):
    other = sqlite3.connect(filled.path, isolation_level=None)
    other.execute("begin exclusive")

    with pytest.raises(StoreBusy) as error:
        SqliteReader(filled.path, wait=0.1)

    assert error.value.hint == "wait longer: --wait 30s"
    other.close()


# ── damage is a failing store (exit 5), never an answer about the key ────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statement",
    [
        "update keys set scopes = '[' where name = 'rich'",
        "update keys set metadata = '' where name = 'rich'",
        "update keys set expires_at = 'soon' where name = 'rich'",
        "update keys set expires_at = 9e18 where name = 'rich'",
        "update keys set phc = '$argon2id$nonsense' where name = 'rich'",
        "update keys set phc = '' where name = 'rich'",
        "update owners set attributes = '{' where handle = 'middle'",
        "update owners set disabled_at = 'x' where handle = 'middle'",
        "delete from owners where handle = 'below'",
        "delete from owners where handle = 'acme'",
        "update owners set parent_id = (select id from owners where handle = 'below') where handle = 'acme'",
        "update settings set value = '' where name = 'profile'",
        "update settings set value = '{}' where name = 'hash'",
        "delete from settings where name = 'hash'",
    ],
)
@pytest.mark.parametrize("record", [[], ["--record"]], ids=["reader", "store"])
def test_damage_is_a_store_that_fails(cli: Cli, filled: SimpleNamespace, statement: str, record: list[str]):
    filled.opened.store.close()
    execute(filled.path, statement)

    result = cli("verify", "--store", filled.path, "--ip", "192.0.2.1", *record, stdin=filled.texts["rich"], timeout=20)

    assert (result.code, result.out) == (5, ""), result
    assert "is damaged" in result.err
    assert "keyctl audit verify" in result.err


# ── a write that was interrupted ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def interrupted(filled: SimpleNamespace) -> SimpleNamespace:
    """The store after a process was killed while it was committing: what it wrote so far does not count."""
    filled.opened.store.close()
    script = f"""if True:
        import os, sqlite3
        c = sqlite3.connect({str(filled.path)!r}, isolation_level=None)
        c.execute("pragma cache_size = 1")
        c.execute("begin immediate")
        c.execute("update keys set revoked_at = 1, name = hex(randomblob(3000))")
        c.execute("update owners set name = hex(randomblob(9000))")
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", script], check=False)
    filled.journal = filled.path.with_name(filled.path.name + "-journal")
    assert filled.journal.stat().st_size > 0
    return filled


@pytest.mark.parametrize(
    "open_it",
    [lambda path: Store(StoreLocation.of_file(path)), SqliteReader, lambda path: Verifier.from_store(str(path))],
    ids=["store", "reader", "verifier"],
)
def test_a_write_that_was_interrupted_is_rolled_back_by_whatever_opens_the_store(
    interrupted: SimpleNamespace, open_it: Callable[[Path], Any]
):
    with closing(open_it(interrupted.path)) as opened:
        keyring = opened._engine.keyring if isinstance(opened, Verifier) else opened
        assert keyring.find(interrupted.prefixes["plain"]).key.revoked_at is None

    assert not interrupted.journal.exists()


def test_a_verifier_that_is_open_already_rolls_it_back_too(filled: SimpleNamespace, request: pytest.FixtureRequest):
    with closing(SqliteReader(filled.path)) as reader:
        interrupted = request.getfixturevalue("interrupted")

        assert reader.find(filled.prefixes["plain"]).key.revoked_at is None

    assert not interrupted.journal.exists()


def test_settings_are_read_after_it_was_rolled_back(interrupted: SimpleNamespace):
    assert read_settings(interrupted.path)["store_id"]
    assert not interrupted.journal.exists()


def test_many_threads_and_one_interrupted_write(interrupted: SimpleNamespace):
    with ThreadPoolExecutor(8) as pool, closing(Verifier.from_store(str(interrupted.path))) as verifier:
        decisions = list(pool.map(verifier.verify, [interrupted.texts["plain"]] * 16))

    assert all(decisions)


@pytest.mark.parametrize("how", ["SqliteReader(path)", "read_settings(path)"])
def test_who_may_not_roll_it_back_is_refused_with_what_to_do(interrupted: SimpleNamespace, how: str):
    interrupted.path.chmod(0o444)
    interrupted.path.parent.chmod(0o555)

    answer = run_unprivileged(f"""
from pathlib import Path
from keyctl.errors import StoreUnavailable
from keyctl.store.sqlite_file import read_settings
from keyctl.store.sqlite_reader import SqliteReader
path = Path({str(interrupted.path)!r})
try:
    {how}
except StoreUnavailable as error:
    print(error.message, error.hint, sep="\\n")
""")

    interrupted.path.parent.chmod(0o755)
    message, hint = answer.splitlines()
    assert f"a write to the store {interrupted.path} was interrupted" in message
    assert hint.endswith(f": keyctl list --store {interrupted.path}")
    assert interrupted.journal.exists()


def test_a_write_in_progress_is_not_taken_for_one_that_was_interrupted(filled: SimpleNamespace):
    with closing(sqlite3.connect(filled.path, isolation_level=None)) as other:
        other.execute("pragma cache_size = 1")
        other.execute("begin immediate")
        other.execute("update keys set name = hex(randomblob(3000))")
        other.execute("update owners set name = hex(randomblob(9000))")

        with pytest.raises(StoreBusy):
            SqliteReader(filled.path, wait=0.1)

        other.execute("commit")
