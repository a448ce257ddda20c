"""A shell for the scripts of the pages, in which `keyctl` costs no start of Python: the zygote of the tests runs it.

Programs that need a server, a network or another machine note what they are asked for, in the file `called`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.runner import TIMEOUT, Cli, Result, zygote

FORWARD = f"""#!{sys.executable} -IS
import json, os, socket, sys
env = dict(os.environ)
requests = socket.socket(fileno=int(env.pop("ZYGOTE")))
ours, theirs = socket.socketpair()
socket.send_fds(requests, [b"!"], [theirs.fileno(), 0, 1, 2])
theirs.close()
ours.sendall(json.dumps(dict(args=sys.argv[1:], env=env, cwd=os.getcwd(), held=False, session=False)).encode())
ours.shutdown(socket.SHUT_WR)
answers = ours.makefile("rb")
_, code = int(answers.readline()), int(answers.readline())
sys.exit(code if code >= 0 else 128 - code)
"""
NOTES = """#!/bin/sh
echo "${0##*/} $*" >> "$CALLED"
[ -t 0 ] || cat > "$CALLED.given"
"""


def with_tools(cli: Cli, absent: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the variables of a shell in which `keyctl` asks the zygote, whose descriptor must be passed on."""
    tools = cli.home / "tools"
    tools.mkdir()
    for name, text in {"keyctl": FORWARD, **dict.fromkeys(absent, NOTES)}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    path = f"{tools}:{cli.env['PATH']}"
    return {"PATH": path, "CALLED": str(cli.home / "called"), "ZYGOTE": str(zygote().fileno())}


class QuickShell:
    """Runs bash scripts in the folder and with the environment of `cli`; `absent` are programs that only take notes."""

    def __init__(self, cli: Cli, absent: tuple[str, ...] = ()) -> None:
        self._cli = cli
        self.env = with_tools(cli, absent)

    def __call__(self, script: str, *, bash: str = "-eu", env: dict[str, str] | None = None) -> Result:
        """Run a script to its end, which must be 0; return what it wrote."""
        done = subprocess.run(
            ["bash", bash, "-o", "pipefail", "-c", script],
            cwd=self._cli.cwd,
            env={**self._cli.env, **self.env, **(env or {})},
            pass_fds=[zygote().fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        return Result((script,), done.returncode, done.stdout, done.stderr).expect(0)

    @property
    def called(self) -> list[str]:
        """What the absent programs were asked for."""
        file = Path(self.env["CALLED"])
        return file.read_text().splitlines() if file.exists() else []

    @property
    def given(self) -> str:
        """The standard input of the absent program that ran last."""
        return Path(f"{self.env['CALLED']}.given").read_text()
