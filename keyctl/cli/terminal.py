"""Prompts at the terminal, so that Ctrl-C always works."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from keyctl.errors import UsageError


def ask(prompt: str, *, hidden: bool = False) -> bytes:
    """Print a prompt on standard error, and return the line that is typed on standard input, which is a terminal.

    Empty after Ctrl-D. `hidden` does not show what is typed. Raises UsageError if the terminal cannot be used.
    """
    terminal = sys.stdin.fileno()
    try:
        with _echo_off(terminal) if hidden else nullcontext():
            _show(prompt)
            line = _read_line(terminal)
    except (OSError, termios.error) as error:
        raise UsageError(f"cannot ask at this terminal: {error.args[1]}") from None
    if hidden:
        _show("\n")
    return line.removesuffix(b"\n")


@contextmanager
def _echo_off(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    silent = before[:]
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _show(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _read_line(terminal: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        _wait_for_input(terminal)
        typed = os.read(terminal, 4096)
        if not typed:
            break
        line += typed
    return line


def _wait_for_input(terminal: int) -> None:
    # A read would sleep through a signal that comes after Python last looked for one. This wait does not: the
    # signal is in the pipe by then, and Python raises KeyboardInterrupt as soon as `select` returns.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        while terminal not in select.select([terminal, woken], [], [])[0]:
            os.read(woken, 4096)  # from a signal that raises nothing, like a changed window size
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wake)
