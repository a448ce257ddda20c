"""SIGTERM and SIGHUP end a command as Ctrl-C does: it revokes what was not delivered, and leaves no file with a key."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.cli.helpers import dump, mint, verify
from tests.runner import Cli, Result

ENDING = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
# Runs a command in which one call of the operating system is preceded or followed by a signal.
INTERRUPTED = """
import os, sys
name, when, signum = sys.argv[1:4]
real = getattr(os, name)

def interrupted(*args, **options):
    if when == "before":
        os.kill(os.getpid(), int(signum))
    result = real(*args, **options)
    if when == "after":
        os.kill(os.getpid(), int(signum))
    return result

setattr(os, name, interrupted)
sys.argv = ["keyctl", *sys.argv[4:]]
from keyctl.__main__ import run
run()
"""


def interrupted(cli: Cli, call: str, signum: int, *args: str) -> Result:
    """Run a command that gets a signal at a call, such as "before link"."""
    when, name = call.split()
    command = shlex.join([sys.executable, "-c", INTERRUPTED, name, when, str(int(signum)), *args])
    return cli.shell(f"exec {command}", check=None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@ENDING
@pytest.mark.parametrize("call", ["before link", "after link", "before replace", "after replace"])
def test_a_signal_during_the_delivery_to_a_file_revokes_the_key_and_removes_the_file(
    store: Cli, call: str, signum: int
):
    old = mint(store)
    force = ["--force"] if call.endswith("replace") else []

    result = interrupted(store, call, signum, "rotate", old["prefix"], "--grace", "0", "--out", "k.txt", *force)

    assert (result.code, result.out) == (128 + signum, "")
    assert "could not be delivered and was revoked: interrupted" in result.err
    assert len(result.err.splitlines()) == 1
    assert names(store.cwd) == []
    assert verify(store, old["key"]) == "VALID"
    [new] = [key for key in store("list", "--all", "--json").json["keys"] if key["prefix"] != old["prefix"]]
    assert new["prefix"] in result.err
    assert (new["status"], new["revoked_reason"]) == ("revoked", "undelivered")


@ENDING
def test_a_signal_before_the_commit_leaves_neither_key_nor_file(store: Cli, signum: int):
    before = dump(store)

    result = interrupted(store, "before fsync", signum, "mint", "--out", "k.txt")

    assert (result.code, result.out, result.err) == (128 + signum, "", "")
    assert names(store.cwd) == []
    assert dump(store) == before


@ENDING
def test_a_signal_while_no_one_reads_revokes_the_keys_even_if_it_comes_again(store: Cli, signum: int):
    reader, writer = os.pipe()
    process = store.spawn("mint", "--count", "3000", stdout=writer)
    end = time.monotonic() + 30
    while not dump(store)["keys"]:
        assert time.monotonic() < end
        time.sleep(0.05)

    for _ in range(20):
        process.kill(signum)
        time.sleep(0.005)
    result = process.wait(timeout=20)

    os.close(reader)
    os.close(writer)
    assert result.code == 128 + signum
    assert result.err == "keyctl: error: each of the 3000 keys could not be delivered and was revoked: interrupted\n"
    keys = store("list", "--all", "--json", check=0).json["keys"]
    assert {(key["status"], key["revoked_reason"]) for key in keys} == {("revoked", "undelivered")}
    store("audit", "verify", check=0)


@pytest.mark.sqlite
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_an_export_leaves_no_file(store: Cli, signum: int):
    store("bundle", "key", "--create", check=0)

    result = interrupted(store, "before fsync", signum, "bundle", "export", "b")

    assert (result.code, result.out, result.err) == (128 + signum, "", "")
    assert names(store.cwd) == []


@pytest.mark.sqlite
def test_nohup_keeps_a_command_running(store: Cli):
    script = (
        f"trap '' HUP; {shlex.join([sys.executable, '-c', INTERRUPTED, 'link', 'before', str(int(signal.SIGHUP))])}"
    )

    store.shell(f"{script} mint --out k.txt", check=0)

    assert verify(store, (store.cwd / "k.txt").read_text()) == "VALID"


@pytest.mark.sqlite
def test_what_a_killed_command_left_is_named_by_the_next_one_on_that_path(store: Cli):
    store("bundle", "key", "--create", check=0)
    assert interrupted(store, "before link", signal.SIGKILL, "mint", "--out", "k.txt").code == -signal.SIGKILL
    assert interrupted(store, "before fsync", signal.SIGKILL, "bundle", "export", "b").code == -signal.SIGKILL
    left = names(store.cwd)
    assert len(left) == 3

    minted = store("mint", "--out", "k.txt", check=0)
    exported = store("bundle", "export", "b", check=0)
    elsewhere = store("mint", "--out", "other.txt", check=0)

    [key] = [name for name in left if name.startswith(".k.txt.")]
    assert f"keyctl: warning: {key} is from a command that was killed" in minted.err
    assert [name in exported.err for name in left] == [name != key for name in left]
    assert "warning" not in elsewhere.err
