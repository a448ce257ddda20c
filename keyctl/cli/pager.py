"""Shows a long text on a terminal, a screen at a time, as git does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress

from keyctl.cli.output import Output
from keyctl.cli.screen import lines_needed, size
from keyctl.cli.signals import Interrupted

_SHELL_FAILED = range(1, 128)  # exit codes; 128 and more: a signal ended it, after the text was shown


def show(output: Output, text: str) -> None:
    """Print `text`, through a pager if it does not fit on the screen, and directly if the pager fails.

    The pager is KEYCTL_PAGER, PAGER or less. Raises BrokenPipeError if it was left before it had read everything, and
    Interrupted if Ctrl-C was typed in it: git ends with the same signals.
    """
    columns, lines = size()
    command = _command() if output.pager and lines_needed(text, columns) >= lines else ""
    if command in {"", "cat"} or not _paged(command, text):
        output.answer(text)


def _command() -> str:
    for name in ("KEYCTL_PAGER", "PAGER"):
        if (given := os.environ.get(name)) is not None:
            return given.strip()
    return "less" if shutil.which("less") else ""


def _paged(command: str, text: str) -> bool:
    """Return whether the pager worked."""
    interrupted, left = False, False

    def remember(*_: object) -> None:
        nonlocal interrupted
        interrupted = True

    # Ctrl-C belongs to the pager while it runs: less stays open, so keyctl must not end before it. The pager does not
    # inherit a handler, as it would inherit SIG_IGN.
    before = signal.signal(signal.SIGINT, remember)
    try:
        # As git sets them: colors, and no alternate screen. Variables of the user take precedence.
        env = {"LESS": "FRX", "LV": "-c", **os.environ}
        with subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, env=env) as process:
            try:
                left = not _written(process, f"{text}\n".encode(errors="surrogateescape"))
                code = process.wait()
            except BaseException:
                process.kill()
                raise
    finally:
        signal.signal(signal.SIGINT, before)
    if code in _SHELL_FAILED:
        return False
    if interrupted:
        raise Interrupted(signal.SIGINT)
    if left:
        raise BrokenPipeError
    return True


def _written(process: subprocess.Popen[bytes], data: bytes) -> bool:
    """Return whether the pager read everything."""
    if process.stdin is None:
        raise ValueError("the pager has no input")
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        with suppress(BrokenPipeError):
            process.stdin.close()
        return False
    return True
