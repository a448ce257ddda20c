"""The runner's short cut must be indistinguishable from a start from scratch."""

from __future__ import annotations

import os
import signal

import pytest

from tests.runner import Cli


@pytest.mark.sqlite
@pytest.mark.parametrize("args", [["--help"], ["--version"], ["nonsense"], ["list", "--sort", "nonsense"], ["verify"]])
def test_a_forked_process_does_what_a_cold_one_does(store: Cli, args: list[str]):
    forked, cold = store(*args, stdin="no key\r\n"), store.cold(*args, stdin="no key\r\n")

    assert (forked.code, forked.out, forked.err) == (cold.code, cold.out, cold.err)


@pytest.mark.sqlite
def test_what_the_device_refuses_ends_both_alike(store: Cli):
    full = os.open("/dev/full", os.O_WRONLY)

    forked, cold = store("list", "--json", stdout=full), store.cold("list", "--json", stdout=full)

    os.close(full)
    assert forked.code == cold.code != 0


def test_a_process_can_be_interrupted(cli: Cli):
    reader, writer = os.pipe()
    process = cli.spawn("verify", stdin=reader)

    process.kill(signal.SIGKILL)

    assert process.wait().code == -signal.SIGKILL
    os.close(reader)
    os.close(writer)
