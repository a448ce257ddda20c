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
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keyctl.cli import secret_input, terminal
from keyctl.errors import UsageError


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard input is a terminal; this is the descriptor to type at."""
    master, slave = pty.openpty()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: slave, isatty=lambda: True))
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
    interrupt, wait = partial(ctypes.CDLL(None)["raise"], signal.SIGINT), select.select

    def interrupted_wait(*files: list[int]) -> None:
        outcomes.extend(map(operator.call, [interrupt, partial(wait, *files, 5.0)]))

    monkeypatch.setattr("select.select", interrupted_wait)

    with pytest.raises(KeyboardInterrupt):
        terminal.ask("Key: ", hidden=hidden)

    raised, ready = outcomes
    assert raised == 0
    assert ready[0], "the wait was not woken, and would have lasted until something was typed"
    assert echoes(typist)
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_that_interrupts_nothing_does_not_end_the_wait(typist: int):
    count = 0

    def type_at_last(*_: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            os.write(typist, b"yes\n")

    before = signal.signal(signal.SIGALRM, type_at_last)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        assert terminal.ask("Really? ") == b"yes"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert count >= 3


@pytest.mark.parametrize(
    ("typed", "line"), [(b"a key\n", b"a key"), (b"\n", b""), (b"\x04", b""), (b"a \x04key\n", b"a key")]
)
def test_a_line_ends_with_enter_and_an_empty_one_with_ctrl_d(typist: int, typed: bytes, line: bytes):
    os.write(typist, typed)

    assert terminal.ask("Name: ") == line


def test_what_is_typed_and_is_no_text_is_a_usage_error(typist: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(terminal, "_show", lambda prompt: os.write(typist, b"\xff\n" if prompt.strip() else b""))

    with pytest.raises(UsageError, match="not UTF-8 text"):
        secret_input.ask_admin_token()
    with pytest.raises(secret_input.NotOneKey, match="not UTF-8 text"):
        secret_input.read_presented_key(None)


def test_what_cannot_hide_what_is_typed_is_not_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    with Path(os.devnull).open() as device:
        monkeypatch.setattr("sys.stdin", device)
        with pytest.raises(UsageError, match="cannot ask at this terminal: Inappropriate ioctl"):
            terminal.ask("Key: ", hidden=True)

    assert capsys.readouterr().err == ""
