"""Interactive shells on a terminal, and what a TAB makes of the line that was typed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path

_TAB, _SHOW = "\t", "\x07"
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>]|\][^\x07]*\x07)|[\r\x07\x08]")
# Ctrl-G prints the line and empties it. A shell takes its keys in turn: it is what a TAB before it has made of it.
_SETTINGS = {
    "bash": r"""
        PS1='> '; bind 'set bell-style none' 'set page-completions off' 'set completion-query-items 0'
        bind 'set enable-bracketed-paste off'
        bind -x '"\C-g": printf "\n<<%s>>\n" "$READLINE_LINE"; READLINE_LINE='
    """,
    "zsh": r"""
        exec 9>&1; PS1='> '; unsetopt beep listbeep prompt_sp; setopt no_always_last_prompt; LISTMAX=1000
        autoload -U compinit && compinit -u -d "$HOME/.zcompdump"
        bindkey '^I' complete-word
        show() { print -r -- "<<$BUFFER>>" >&9; BUFFER= }; zle -N show; bindkey '^G' show
    """,
}
_START = {"bash": ["bash", "--noprofile", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}


class Shell:
    """bash or zsh on a terminal of 100 columns, after some commands of the test's own."""

    def __init__(self, name: str, env: Mapping[str, str], cwd: Path, commands: str, timeout: float = 30):
        self._timeout = timeout
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 200, 100, 0, 0))
        self._process = subprocess.Popen(
            _START[name], env=dict(env), cwd=cwd, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        setup = cwd / f".setup.{name}"
        setup.write_text(f"{_SETTINGS[name]}\n{commands}\n")
        self._type(f" . {setup}; echo REA''DY\n")
        self._until("READY")

    def complete(self, typed: str, tabs: int = 1) -> tuple[str, str]:
        """Type a line and TABs. Return the line as it is then, and what the shell has shown meanwhile."""
        self._type(typed + _TAB * tabs + _SHOW)
        shown = self._until(">>")
        before, _, line = shown.rpartition("<<")
        return line, before

    def run(self, command: str) -> None:
        self._type(f" {command}; echo DO''NE\n")
        self._until("DONE")

    def close(self) -> None:
        os.close(self._master)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def _until(self, mark: str) -> str:
        """Return what is shown up to the mark, without the sequences that move the cursor."""
        shown, end = b"", time.monotonic() + self._timeout
        while mark.encode() not in shown:
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {mark} in {self._timeout} s; the terminal shows\n{shown.decode(errors='replace')}"
            shown += os.read(self._master, 1 << 16)
        return _ESCAPES.sub("", shown.decode(errors="replace")).partition(mark)[0]
