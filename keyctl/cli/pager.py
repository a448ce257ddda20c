"""Shows a long text on a terminal, a screen at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

from keyctl.cli.output import Output


def show(output: Output, text: str) -> None:
    """Print `text`; what does not fit on the screen goes through PAGER, or less. A pager that fails costs nothing."""
    command = os.environ.get("PAGER", "less" if shutil.which("less") else "")
    if text.count("\n") + 1 < shutil.get_terminal_size().lines or command in {"", "cat"} or not _paged(command, text):
        output.answer(text)


def _paged(command: str, text: str) -> bool:
    # Ctrl-C is the pager's while it runs: less stays, and must not lose its parent. A handler, unlike SIG_IGN, is not
    # inherited.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.run(
            ["/bin/sh", "-c", command],
            input=f"{text}\n".encode(),
            env={"LESS": "FRX", "LV": "-c", **os.environ},  # colours, and no waiting if it fits after all; as git does
            check=False,
        ).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    return not 0 < code < 128  # from 128 on a signal ended it: it was read, and enough
