"""An answer that is written in part: a full disk, a quota, a reader that leaves or is slow. With and without buffers.

A limit on the size of a file stands for a full disk: what fits is written, and the rest is not, without any privilege.
`-u` gives Python's own stdout no buffer, and then Python drops what one write leaves over.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyctl.cli import streams
from tests.cli.helpers import dump, full_disk, mint, mint_many, show, verify
from tests.runner import Cli
from tests.stores import names

LIMIT = 4 << 20  # bytes: more than any of these stores
BUFFERS = pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])


def with_space_for(cli: Cli, space: int, command: str, *, check: int, env: dict[str, str]):
    """Append the output of a command to `log`, which can grow by `space` bytes."""
    with (cli.cwd / "log").open("wb") as log:
        log.truncate(LIMIT - space)
    result = cli.shell(f"ulimit -f {LIMIT // 1024}; {command} >> log", check=check, env=env)
    assert (cli.cwd / "log").stat().st_size <= LIMIT
    return result


def written(cli: Cli, space: int) -> str:
    return (cli.cwd / "log").read_bytes()[LIMIT - space :].decode()


@contextmanager
def unblocking_pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose writer gets EAGAIN where another would wait, as `node` and some supervisors make them."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@BUFFERS
@pytest.mark.parametrize("space", [0, 59])
def test_a_new_key_that_fits_in_part_is_revoked_and_the_old_one_stays(store: Cli, space: int, env: dict[str, str]):
    old = mint(store)
    before = show(store, old["prefix"])

    result = with_space_for(store, space, f"keyctl rotate {old['prefix']} --grace 0", check=21, env=env)

    assert len(written(store, space)) == space
    assert "could not be delivered and was revoked: File too large" in result.err
    assert verify(store, old["key"]) == "VALID"
    assert show(store, old["prefix"]) == before
    [lost] = [key for key in store("list", "--all", "--json").json["keys"] if key["prefix"] != old["prefix"]]
    assert (lost["status"], lost["revoked_reason"], lost["delivered_at"]) == ("revoked", "undelivered", None)


@BUFFERS
def test_a_new_key_that_just_fits_is_delivered(store: Cli, env: dict[str, str]):
    old = mint(store)
    space = len(old["key"]) + 1

    with_space_for(store, space, f"keyctl rotate {old['prefix']} --grace 0", check=0, env=env)

    assert verify(store, old["key"]) == "KEY_REVOKED"
    assert verify(store, written(store, space)) == "VALID"


@BUFFERS
@pytest.mark.parametrize("options", ["", "--json"])
def test_keys_that_a_reader_takes_only_in_part_are_all_revoked(store: Cli, options: str, env: dict[str, str]):
    result = store.shell(f"keyctl mint --count 3000 {options} | head -c 10", check=21, env=env)

    assert len(result.out) == 10
    assert "each of the 3000 keys could not be delivered and was revoked: Broken pipe" in result.err
    keys = store("list", "--all", "--json", check=0).json["keys"]
    assert {(key["status"], key["revoked_reason"]) for key in keys} == {("revoked", "undelivered")}


@BUFFERS
def test_a_response_that_fits_in_part_revokes_its_key(cli: Cli, env: dict[str, str]):
    cli("init", "--profile", "vexa", "--argon2", "m=8,t=1,p=1", check=0)
    cli("owner", "add", "acme", check=0)

    result = with_space_for(cli, 40, "keyctl mint --owner acme --scope bot --http", check=21, env=env)

    assert "could not be delivered and was revoked" in result.err
    assert [key["status"] for key in cli("list", "--all", "--json").json["keys"]] == ["revoked"]


@BUFFERS
def test_a_key_file_that_fits_in_part_is_not_there_and_no_key_is(store: Cli, env: dict[str, str]):
    before = dump(store)

    result = store.shell("ulimit -f 100; keyctl mint --count 2000 --out keys.txt", check=21, env=env)

    assert "cannot write keys.txt: File too large" in result.err
    assert list(store.cwd.iterdir()) == []
    assert dump(store) == before


@pytest.mark.sqlite
def test_a_store_that_cannot_grow_is_not_called_damaged_and_has_no_new_key(store: Cli):
    old = mint(store)
    before = dump(store)

    for command in ("mint --count 200 | cat", "mint --count 200 --out k.txt", f"rotate {old['prefix']} | cat"):
        result = store.shell(f"ulimit -f 8; keyctl {command}", check=5)

        assert result.out == ""
        assert "cannot be read or written: disk I/O error" in result.err
        assert "hint: check the disk, its quota and ulimit -f, and then: keyctl audit verify" in result.err
        assert names(store.cwd) == []
        assert dump(store) == before
        assert verify(store, old["key"]) == "VALID"


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

ANSWERS = ["list", "list --json", "list --jsonl", "audit list --json", "help", "help tour", "--help", "mint --help"]
ANSWERS += ["--version", "version --json", "completion bash", "profile show", "config show", "db status", ""]


@pytest.mark.sqlite
@pytest.mark.parametrize("command", ANSWERS)
def test_an_answer_that_fits_in_part_is_a_failure(store: Cli, command: str):
    mint(store)

    result = with_space_for(store, 3, f"keyctl {command}", check=21, env={"PYTHONUNBUFFERED": "1"})

    assert "the output could not be written: File too large" in result.err
    assert len(result.err.splitlines()) == 1


@BUFFERS
@pytest.mark.parametrize("command", ["list --all", "list --all --json"])
@pytest.mark.sqlite
def test_an_answer_that_a_reader_takes_only_in_part_ends_with_141(store: Cli, command: str, env: dict[str, str]):
    mint_many(store, 1800)  # more than a pipe holds

    result = store.shell(f"keyctl {command} | head -c 10", check=141, env=env)

    assert (len(result.out), result.err) == (10, "")


@pytest.mark.sqlite
@pytest.mark.parametrize("request_", ["source_bash", "complete_bash"])
def test_a_shell_that_gets_part_of_what_it_asked_for_learns_so(store: Cli, request_: str):
    command = f"_KEYCTL_LINE='keyctl ' _KEYCTL_COMPLETE={request_} keyctl"

    with_space_for(store, 100, command, check=21, env={"PYTHONUNBUFFERED": "1"})


# ── pipes that do not block ──────────────────────────────────────────────────────────────────────────────────────────


def read_slowly(reader: int, process) -> bytes:
    """Read what a process writes, with a pause before each piece, until it has ended and nothing is left."""
    seen, last = b"", time.monotonic() + 30
    while time.monotonic() < last:
        ended = not Path(f"/proc/{process.pid}").exists()
        if select.select([reader], [], [], 0.1)[0]:
            seen += os.read(reader, 20_000)
        elif ended:
            return seen
        time.sleep(0.02)
    raise AssertionError("the process did not end")


@BUFFERS
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_a_pipe_that_does_not_block_gets_every_key_whole(store: Cli, options: list[str], env: dict[str, str]):
    with unblocking_pipe() as (reader, writer):
        process = store.spawn("mint", "--count", "3000", *options, stdout=writer, env=env)
        seen = read_slowly(reader, process).decode()
        result = process.wait()

    assert (result.code, result.err) == (0, "")
    assert seen.count("kc_live_") == 3000 * (2 if options else 1)
    assert seen.endswith("\n")
    assert len(store("list", "--all", "--status", "active").out.splitlines()) == 3000


@BUFFERS
def test_a_reader_that_leaves_a_pipe_that_does_not_block_gets_no_key_that_works(store: Cli, env: dict[str, str]):
    with unblocking_pipe() as (reader, writer):
        process = store.spawn("mint", "--count", "3000", stdout=writer, env=env)
        os.read(reader, 10)
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), reader)
        result = process.wait()

    assert result.code == 21
    assert {key["status"] for key in store("list", "--all", "--json").json["keys"]} == {"revoked"}


@BUFFERS
def test_an_error_longer_than_a_pipe_that_does_not_block_is_printed_whole(cli: Cli, env: dict[str, str]):
    (cli.cwd / "acme.toml").write_text("".join(f"unknown{number} = 1\n" for number in range(5000)))

    with unblocking_pipe() as (reader, writer):
        process = cli.spawn("profile", "check", "acme.toml", stderr=writer, env=env)
        seen = read_slowly(reader, process).decode()

    assert process.wait().code == 6
    assert [number for number in range(5000) if f"  unknown{number}:" not in seen] == []
    assert "keyctl: hint: " in seen.splitlines()[-1]


# ── a reader that does not read ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "command", ["mint --count 3000", "list --all --json", "list --all --jsonl", "audit list --json"]
)
def test_a_reader_that_does_not_read_keeps_no_one_from_the_store(store: Cli, command: str):
    mint_many(store, 1000)
    reader, writer = os.pipe()
    process = store.spawn(*command.split(), stdout=writer)
    os.close(writer)
    end = time.monotonic() + 30
    while waiting_in(reader) < 40_000:
        assert time.monotonic() < end
        time.sleep(0.02)

    store("mint", "--wait", "1s", check=0)

    os.close(reader)
    assert process.wait().code in {21, 141}


def waiting_in(pipe: int) -> int:
    """Return how many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_key_file_that_was_delivered_stays_if_its_description_cannot_be_printed(store: Cli):
    for command in (["mint"], ["rotate", mint(store)["prefix"]]):
        with full_disk() as descriptor:
            result = store(*command, "--out", "k.txt", "--force", "--json", stdout=descriptor, check=21)

        assert "each new key was written to k.txt and is valid, but the output could not be written" in result.err
        assert verify(store, (store.cwd / "k.txt").read_text()) == "VALID"


@pytest.mark.sqlite
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_name_that_the_locale_cannot_express_does_not_prevent_the_delivery(store: Cli, encoding: str):
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}

    result = store.shell("keyctl mint --json --name 鍵😀", env=env)

    assert (result.json["name"], verify(store, result.json["key"])) == ("鍵😀", "VALID")


def test_a_disk_that_reports_only_when_it_is_synced_that_it_is_full_has_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(_: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with (tmp_path / "log").open("w") as file:
        streams.sync(file)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="quota"):
            streams.sync(file)


def test_pipes_and_devices_need_no_sync():
    with full_disk() as device, unblocking_pipe() as (_, pipe):
        for descriptor in (device, pipe):
            with os.fdopen(descriptor, "w", closefd=False) as file:
                streams.sync(file)
