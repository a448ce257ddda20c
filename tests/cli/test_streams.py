"""Standard streams that are closed, full or broken, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.cli.helpers import CHEAP, closed_pipe, dump, full_disk, mint, mint_many
from tests.runner import Cli

READING = [
    ["list"],
    ["list", "--json"],
    ["show", "{prefix}"],
    ["verify"],
    ["inspect"],
    ["audit", "list"],
    ["audit", "verify"],
    ["owner", "list", "--json"],
    ["profile", "show"],
    ["config", "show"],
    ["db", "status"],
    ["--help"],
    ["mint", "--help"],
    ["--version"],
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize(("output", "code"), [(full_disk, 21), (closed_pipe, 141)])
def test_an_answer_that_cannot_be_written_is_a_failure(store: Cli, command: list[str], output, code: int):
    key = mint(store)
    before = dump(store)

    with output() as descriptor:
        result = store(*(arg.format(**key) for arg in command), stdin=key["key"], stdout=descriptor, check=code)

    assert ("could not be written" in result.err) is (output is full_disk)
    assert "Traceback" not in result.err
    assert "Exception ignored" not in result.err
    assert dump(store) == before


@pytest.mark.parametrize("command", [["mint"], ["rotate", "{prefix}"], ["list"], ["verify"], ["--help"]], ids=" ".join)
def test_with_stdout_closed_nothing_is_done(store: Cli, command: list[str]):
    key = mint(store)
    (store.cwd / "key").write_text(key["key"])
    before = dump(store)

    result = store.shell(f"keyctl {' '.join(command).format(**key)} < key >&-", check=21)

    assert "standard output is closed: nothing was done" in result.err
    assert dump(store) == before


def test_with_stderr_closed_or_full_the_answer_still_comes(store: Cli):
    for redirection in ("2>&-", "2>/dev/full"):
        assert store.shell(f"keyctl mint {redirection}").out.startswith("kc_live_")
        assert store.shell(f"keyctl show nope1234 {redirection}", check=3).out == ""
        assert store.shell(f"keyctl list --nope {redirection}", check=2).out == ""


def test_with_all_streams_closed_the_store_survives(store: Cli):
    store.shell("keyctl mint <&- >&- 2>&-", check=21)
    store.shell("keyctl mint --out key.txt <&- >/dev/null 2>&-")
    store.shell("keyctl lock $(cut -c -20 key.txt) <&- >/dev/null 2>&-")

    assert store("audit", "verify", check=0).out.startswith("intact: 4 events, 1 key")


def test_with_stdin_closed_nothing_hangs(store: Cli):
    key = mint(store)

    assert store.shell("keyctl verify <&-", check=10).out == ""
    assert "--yes" in store.shell(f"keyctl lock {key['prefix']} {mint(store)['prefix']} <&-", check=4).err


def test_a_reader_may_leave_early(store: Cli):
    mint_many(store, 2000)

    result = store.shell("set +o pipefail; keyctl list --all | head -n 1")

    assert (len(result.out.splitlines()), result.err) == (1, "")


# ── Ctrl-C ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ctrl_c_at_a_prompt(store: Cli):
    key, other = mint(store), mint(store)
    before = dump(store)

    asked = store.tty("lock", key["prefix"], other["prefix"], talk=[("[y/N]", "\x03")], check=130)
    typed = store.tty("verify", talk=[("Key: ", key["key"][:30] + "\x03")], check=130)

    for result in (asked, typed):
        assert "Traceback" not in result.out
        assert "internal error" not in result.out
    assert key["key"][:30] not in typed.out
    assert dump(store) == before


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_minting_500_keys_mints_none_or_all(cli: Cli, signum: int):
    cli("init", check=0)  # with hashes that take their time
    process = cli.spawn("mint", "--count", "500", "--out", "keys.txt")
    time.sleep(0.7)

    process.kill(signum)
    result = process.wait(timeout=20)

    assert result.code in ({130, 0} if signum == signal.SIGINT else {143, -signal.SIGTERM, 0})
    keys = cli("list", "--all", check=0).out.splitlines()
    files = [path.name for path in cli.cwd.iterdir()]
    assert (len(keys), files) in [(0, []), (500, ["keys.txt"])]
    assert (result.out, result.err) == ("", "")
    cli("audit", "verify", check=0)


def test_ctrl_c_at_a_terminal_while_minting_leaves_the_screen_in_order(cli: Cli):
    cli("init", check=0)

    shown = cli.tty("mint", "--count", "500", talk=[("hashing 500 keys", "\x03")], check=130)

    assert "Traceback" not in shown.out
    assert shown.out.rindex("\x1b[?25h") > shown.out.rindex("\x1b[?25l")  # the cursor is back
    assert cli("list", check=0).out == ""


def test_interrupted_while_handing_over_revokes(store: Cli):
    """A reader that takes nothing: the keys are committed, and wait to be written."""
    reader, writer = os.pipe()
    process = store.spawn("mint", "--count", "3000", stdout=writer)
    end = time.monotonic() + 30
    while not dump(store)["keys"]:
        assert time.monotonic() < end
        time.sleep(0.05)

    process.kill(signal.SIGINT)
    result = process.wait(timeout=20)

    os.close(reader)
    os.close(writer)
    assert result.code == 130
    keys = store("list", "--all", "--json", check=0).json["keys"]
    assert {(key["status"], key["revoked_reason"]) for key in keys} == {("revoked", "undelivered")}
    store("audit", "verify", check=0)


def test_interrupted_keys_are_never_half_there(cli: Cli):
    cli("init", *CHEAP, check=0)
    for i in range(6):
        process = cli.spawn("mint", "--count", "300")
        time.sleep(0.05 * i)
        process.kill(signal.SIGINT)
        process.wait()

        counts = [len(cli("list", "--all", "--status", status).out.splitlines()) for status in ("active", "revoked")]
        assert all(count % 300 == 0 for count in counts)
