"""Shows a long text on a terminal, a screen at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

from keyctl.cli.output import Output


def show(output: Output, text: str) -> None:
    """Print `text`, through PAGER or less if it does not fit on the screen, and directly if the pager fails."""
    command = os.environ.get("PAGER", "less" if shutil.which("less") else "")
    if text.count("\n") + 1 < shutil.get_terminal_size().lines or command in {"", "cat"} or not _paged(command, text):
        output.answer(text)


def _paged(command: str, text: str) -> bool:
    # Ctrl-C belongs to the pager while it runs: less stays open, so keyctl must not end before it. The pager does not
    # inherit a handler, as it would inherit SIG_IGN.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.run(
            ["/bin/sh", "-c", command],
            input=f"{text}\n".encode(),
            env={"LESS": "FRX", "LV": "-c", **os.environ},  # as git sets them: colors, no alternate screen
            check=False,
        ).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    return not 0 < code < 128  # 128 and more: a signal ended it, after the text was shown
