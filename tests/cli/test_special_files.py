"""Only regular files are replaced: never a link, a device or a pipe."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from keyctl import private_files
from tests.cli.helpers import dump, mint, refused
from tests.runner import Cli

pytestmark = pytest.mark.sqlite
KINDS = pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "link to a device", "socket"])


def make(cli: Cli, kind: str) -> None:
    """Make `node` in the current folder, of this kind."""
    node = cli.cwd / "node"
    if kind == "pipe":
        os.mkfifo(node)
    elif kind == "socket":
        os.mknod(node, stat.S_IFSOCK | 0o600)
    else:
        (cli.cwd / "file").write_text("precious")
        node.symlink_to({"link": "file", "dangling link": "nowhere", "link to a device": "/dev/null"}[kind])


def stdout_link(cli: Cli) -> None:
    """Make a link like /dev/stdout: root would lose that one if the command failed."""
    (cli.cwd.parent / "out").symlink_to("/proc/self/fd/1")


@KINDS
@pytest.mark.parametrize("command", [["mint"], ["rotate", "{prefix}"]], ids=["mint", "rotate"])
def test_out_never_replaces_a_special_file(store: Cli, kind: str, command: list[str]):
    key = mint(store)
    make(store, kind)
    before = [(path.name, path.lstat()) for path in store.cwd.iterdir()]
    args = [arg.format(**key) for arg in command]

    refused(store, *args, "--out", "node", "--force", code=4, says="node is a link, a device or a pipe")

    after = [(path.name, path.lstat()) for path in store.cwd.iterdir()]
    assert [(name, status.st_ino) for name, status in after] == [(name, status.st_ino) for name, status in before]


@KINDS
def test_a_bundle_never_replaces_a_special_file(store: Cli, kind: str):
    store("bundle", "key", "--create", check=0)
    make(store, kind)
    before = (store.cwd / "node").lstat()

    refused(store, "bundle", "export", "node", code=2, says="is never replaced")

    assert (store.cwd / "node").lstat().st_ino == before.st_ino


@pytest.mark.parametrize("redirection", ["> b", "| cat > b", ">> b"])
def test_a_bundle_is_written_to_stdout(store: Cli, redirection: str):
    key = mint(store)
    signer = store("bundle", "key", "--create", check=0).out.split()[-1]

    stdout_link(store)

    store.shell(f"keyctl bundle export ../out {redirection}")

    assert store("verify", "--bundle", "b", "--trust", signer, stdin=key["key"], check=0).out.startswith("VALID")
    assert [path.name for path in store.cwd.iterdir()] == ["b"]


def test_a_bundle_on_stdout_leaves_no_room_for_json(store: Cli):
    store("bundle", "key", "--create", check=0)
    stdout_link(store)
    before = dump(store)

    result = store.shell("keyctl bundle export ../out --json | cat", check=2)

    assert "--json cannot be used with a bundle on stdout" in result.err
    assert (result.out, dump(store)) == ("", before)


def test_a_device_is_not_replaceable():
    """Not tried with a command: if it failed, root's /dev/null would be lost."""
    assert not private_files.is_replaceable(Path(os.devnull))
    assert not private_files.is_replaceable(Path("/dev/stdout"))
