"""A shell on a terminal, in which a reader would follow a page."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from tests.documents.quick_shell import with_tools
from tests.runner import Cli, zygote


class Shell:
    """One bash on a terminal of 80 columns; if `quick`, one in which `keyctl` costs no start of Python."""

    LOOP = """while IFS= read -r -d '' -u "$1" command; do
        (exit "$code"); eval "$command"; code=$?; printf '\\036%s\\036' "$code"
    done"""

    def __init__(self, cli: Cli, *, quick: bool = True):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        given, self._commands = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "-c", f"code=0; {self.LOOP}", "bash", str(given)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            pass_fds=[given, zygote().fileno()],
            env={name: value for name, value in cli.env.items() if name != "COLUMNS"}
            | {"TERM": "dumb", **(with_tools(cli) if quick else {})},
            cwd=cli.cwd,
            start_new_session=True,
        )
        os.close(slave)
        os.close(given)

    def run(self, command: str) -> tuple[str, int]:
        """Return what the terminal shows, and the exit code."""
        os.write(self._commands, command.encode() + b"\0")
        shown, end = b"", time.monotonic() + 60
        while shown.count(b"\x1e") < 2:
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"$ {command}\nstill running; the terminal shows\n{shown.decode()}"
            shown += os.read(self._master, 1 << 16)
        out, code, _ = shown.replace(b"\r\n", b"\n").decode().split("\x1e")
        return out, int(code)

    def close(self) -> None:
        os.close(self._commands)
        self._bash.wait(10)
        os.close(self._master)
