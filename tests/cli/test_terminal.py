"""Questions at a terminal, asked in the test's own process."""

from __future__ import annotations

import ctypes
import operator
import os
import pty
import select
import signal
import termios
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from keyctl.cli import terminal

libc = ctypes.CDLL(None)


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard input is a terminal; this is the descriptor to type at."""
    master, slave = pty.openpty()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: slave))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield master
    signal.signal(signal.SIGINT, before)
    os.close(master)
    os.close(slave)


def echoes(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


@pytest.mark.parametrize("hidden", [False, True])
def test_ctrl_c_is_answered_even_between_the_last_look_at_signals_and_the_wait(
    typist: int, monkeypatch: pytest.MonkeyPatch, hidden: bool
):
    """The signal comes, and the wait begins, within one call into C: Python cannot look for signals in between."""
    outcomes: list[Any] = []
    wait = select.select

    def interrupted(*files: list[int]) -> Any:
        outcomes.extend(map(operator.call, [partial(libc.raise_, signal.SIGINT), partial(wait, *files, 5.0)]))

    monkeypatch.setattr("select.select", interrupted)
    libc.raise_ = libc["raise"]

    with pytest.raises(KeyboardInterrupt):
        terminal.ask("Key: ", hidden=hidden)

    raised, ready = outcomes
    assert raised == 0
    assert ready[0], "the wait was not woken, and would have lasted until something was typed"
    assert echoes(typist)
    assert signal.set_wakeup_fd(-1) == -1
