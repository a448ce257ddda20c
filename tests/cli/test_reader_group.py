"""`keyctl init --reader-group`: a SQLite store that a group may read."""

from __future__ import annotations

import grp
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keyctl.errors import UsageError
from keyctl.reader_group import ReaderGroup
from tests.cli.helpers import AS_ORDINARY_USER, CHEAP, refused
from tests.runner import Cli, Result

GROUP = "daemon" if os.geteuid() == 0 else grp.getgrgid(os.getegid()).gr_name
GID = grp.getgrnam(GROUP).gr_gid


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the group reaches: pytest's own are for their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="keyctl-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def shared(cli: Cli, place: Path) -> Path:
    """The file of a store that the group may read; keyctl uses it."""
    file = place / "store/keys.db"
    cli.env["KEYCTL_STORE"] = str(file)
    cli("init", "--reader-group", GROUP, *CHEAP, check=0)
    return file


def modes(file: Path) -> list[tuple[int, int]]:
    """The mode and the group of a store's file and folder."""
    return [(stat.S_IMODE(status.st_mode), status.st_gid) for status in (file.stat(), file.parent.stat())]


def as_reader(cli: Cli, file: Path, *groups: int, command: str, **how: object) -> Result:
    """Run a command as an ordinary user who is not the store's owner, and is in these groups."""
    if os.geteuid() == 0:
        for path in (file, file.parent):
            os.chown(path, 65534, -1)
        return cli.shell(f"exec {AS_ORDINARY_USER} --groups={groups[0]} {command}", check=None, **how)
    # There is no other user to be: the owner gets what the group has.
    for path in (file, file.parent):
        mode = path.stat().st_mode
        path.chmod(mode & ~0o700 | (mode & 0o070 if groups == (GID,) else 0) << 3)
    return cli.shell(f"exec {command}", check=None, **how)


def in_child(work: Callable[[], str], *, user: int | None = None) -> str:
    """Run `work` in a child process, as an ordinary user and group if this is root; return its result."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        if user is not None and os.geteuid() == 0:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        try:
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def test_the_group_gets_the_file_and_the_folder_whatever_the_umask(cli: Cli, place: Path):
    file = place / "store/keys.db"

    result = cli.shell(f"umask 077; keyctl init --store {file} --reader-group {GROUP} {' '.join(CHEAP)} --json")

    assert result.json["reader_group"] == GROUP
    # With the setgid bit, a journal belongs to the group too, and not to the writer's own.
    assert modes(file) == [(0o640, GID), (0o2750, GID)]
    cli("audit", "verify", "--store", file, check=0)


def test_every_later_command_keeps_the_modes(cli: Cli, shared: Path):
    before = modes(shared)

    prefix = cli.shell("umask 077; keyctl mint --json").json["prefix"]
    cli.shell(f"umask 000; keyctl lock {prefix}; keyctl admin-token set <<< 'a long enough token'")

    assert modes(shared) == before
    assert list(shared.parent.iterdir()) == [shared]


def test_the_journal_of_a_write_is_for_the_group_alone(shared: Path):
    def write() -> str:
        with closing(sqlite3.connect(shared, isolation_level=None)) as writer:
            writer.execute("begin immediate")
            writer.execute("update settings set value = value || 'x'")
            journal = shared.with_name("keys.db-journal").stat()
        return f"{stat.S_IMODE(journal.st_mode):o} {journal.st_gid}"

    assert in_child(write) == f"640 {GID}"
    if os.geteuid() == 0:  # SQLite takes care of root's journals itself
        for path in (shared, shared.parent):
            os.chown(path, 65534, -1)
        assert in_child(write, user=65534) == f"640 {GID}"


def test_a_reader_in_the_group_verifies_and_does_not_write(cli: Cli, shared: Path):
    key = cli("mint", "--json", check=0).json
    before = shared.read_bytes()

    assert as_reader(cli, shared, GID, command="keyctl verify", stdin=key["key"]).out.startswith("VALID")
    assert key["prefix"] in as_reader(cli, shared, GID, command="keyctl list").expect(0).out
    for command in ("mint", f"revoke {key['prefix']} --yes", "verify --record"):
        written = as_reader(cli, shared, GID, command=f"keyctl {command}", stdin=key["key"])
        assert (written.code, written.out) == (5, ""), written
        assert "it is read-only for this user" in written.err
    assert shared.read_bytes() == before


@pytest.mark.parametrize("command", ["verify", "mint"])
def test_a_user_outside_the_group_reads_nothing(cli: Cli, shared: Path, command: str):
    key = cli("mint", check=0).out

    result = as_reader(cli, shared, 65534, command=f"keyctl {command}", stdin=key)

    assert (result.code, result.out) == (5, "")
    assert "this user may not read it" in result.err


def test_a_reader_cannot_roll_an_interrupted_write_back_and_says_so(cli: Cli, shared: Path):
    key = cli("mint", check=0).out
    script = f"""if True:
        import os, sqlite3
        c = sqlite3.connect({str(shared)!r}, isolation_level=None)
        c.execute("pragma cache_size = 1")
        c.execute("begin immediate")
        c.execute("update keys set revoked_at = 1, name = hex(randomblob(9000))")
        c.execute("update settings set value = value || hex(randomblob(9000))")
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", script], check=False)

    unknown = as_reader(cli, shared, GID, command="keyctl verify", stdin=key)

    assert (unknown.code, unknown.out) == (5, "")
    assert "was interrupted and must be rolled back, which this user may not do" in unknown.err
    for path in (shared.parent, shared):
        path.chmod(0o750)
    assert cli("verify", stdin=key, check=0).out.startswith("VALID")


def test_the_group_is_under_the_audit(cli: Cli, shared: Path):
    with closing(sqlite3.connect(shared)) as connection, connection:
        connection.execute("update settings set value = 'other' where name = 'reader_group'")

    assert "reader_group was altered" in cli("audit", "verify", check=9).err


# ── what is refused creates nothing ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("store", "group", "code", "says"),
    [
        ("{place}/store/keys.db", "no-such-group", 2, 'there is no group "no-such-group"'),
        ("{place}/store/keys.db", "\0", 2, "there is no group"),
        ("postgresql:///keys", GROUP, 2, "--reader-group is for a SQLite file"),
        ("{place}/missing/store/keys.db", GROUP, 5, "mkdir -p"),
        ("{place}/used/keys.db", GROUP, 4, "chgrp"),
        ("{place}/closed/store/keys.db", GROUP, 4, "has no access to {place}/closed"),
    ],
    ids=["unknown group", "no name", "a server", "no folder", "a folder in use", "a closed folder above"],
)
def test_what_cannot_be_shared_is_not_created(cli: Cli, place: Path, store: str, group: str, code: int, says: str):
    (place / "used").mkdir()
    (place / "used/file").touch()
    (place / "closed").mkdir(mode=0o700)
    before = sorted((path, path.stat().st_mode) for path in place.rglob("*"))

    refused(
        cli, "init", "--store", store.format(place=place), "--reader-group", group, code=code,
        says=says.format(place=place),
    )  # fmt: skip

    assert sorted((path, path.stat().st_mode) for path in place.rglob("*")) == before


def test_a_group_that_this_user_is_not_in_is_refused():
    other = next(one.gr_name for one in grp.getgrall() if one.gr_gid not in (65534, os.getegid(), *os.getgroups()))

    def find() -> str:
        with pytest.raises(UsageError) as error:
            ReaderGroup.find(other)
        return error.value.message

    assert in_child(find, user=65534) == f'this user is not in the group "{other}"'


def test_a_store_that_is_there_keeps_its_group(cli: Cli, shared: Path):
    before = modes(shared)
    other = next(one.gr_name for one in grp.getgrall() if one.gr_name != GROUP and one.gr_gid != GID)

    assert "nothing was changed" in cli("init", "--reader-group", GROUP, check=0).err
    if os.geteuid() == 0:
        refused(cli, "init", "--reader-group", other, code=4, says=f'its reader group is "{GROUP}"')

    assert modes(shared) == before


def test_a_store_without_readers_is_not_opened_to_any(cli: Cli, place: Path):
    file = place / "keys.db"
    cli("init", "--store", file, *CHEAP, check=0)

    refused(cli, "init", "--store", file, "--reader-group", GROUP, code=4, says="its reader group is none")

    assert modes(file)[0] == (0o600, file.stat().st_gid)
