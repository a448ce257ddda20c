"""Runs keyctl in real processes that need not import SQLAlchemy first: `tests.runner` starts one zygote and asks it.

A process that has imported everything forks for each request: a supervisor, which reports the process id and the wait
status, and below it the child, which becomes `python -P -m keyctl` and ends as the interpreter ends. Only what happens
while Python starts (PYTHON* variables, the locale, imports themselves) is out of its reach: `Cli.cold` is for that.

Standard input is a socket. Each byte on it comes with four descriptors: a socket on which the request is read, as JSON,
and answered in lines, then the child's standard streams. When its other end closes, the zygote ends.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import termios
import threading
import time
import warnings
from typing import Any

PRELOADED = [
    "alembic.command",
    "argon2",
    "psycopg",
    "rich.console",
    "rich.progress",
    "rich.table",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "typer.main",
]


def preload() -> None:
    """Import what keyctl may need. What fails to import here fails again in the child, and is told there."""
    import keyctl

    names = [module.name for module in pkgutil.walk_packages(keyctl.__path__, "keyctl.", onerror=print)]
    for name in [*PRELOADED, *names]:
        if not name.startswith("keyctl.store.migrations") and not name.endswith(".__main__"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def serve() -> dict[str, Any] | None:
    """Fork for every request. Returns in the child, with the request, and in the zygote when all is over."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the supervisors
    with socket.socket(fileno=0) as requests:
        while fds := socket.recv_fds(requests, 1, 4)[1]:
            if os.fork() == 0:
                requests.detach()  # or the child's descriptor 0 would be closed with it
                return supervise(fds)
            for fd in fds:
                os.close(fd)
    return None


def supervise(fds: list[int]) -> dict[str, Any]:
    """Start the child, report how it ends, and exit. Returns in the child only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(fileno=fds[0]) as client:
        request = json.loads(b"".join(iter(lambda: client.recv(1 << 20), b"")))
        pid = os.fork()
        if pid:
            for fd in [0, *fds[1:]]:
                os.close(fd)
            with contextlib.suppress(BrokenPipeError):
                client.sendall(b"%d\n" % pid)
                client.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os._exit(0)
    for number, fd in enumerate(fds[1:]):
        os.dup2(fd, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    return request


def become_keyctl(args: list[str], env: dict[str, str], cwd: str) -> None:
    """Set up the process as Python's own start would, and run keyctl."""
    os.setsid()
    for number in (0, 1, 2):
        if os.isatty(number):
            fcntl.ioctl(number, termios.TIOCSCTTY, 0)
            break
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        stream = io.TextIOWrapper(
            open(number, "wb" if number else "rb", closefd=False),  # noqa: SIM115 - open to the end
            encoding=old.encoding,
            errors=old.errors,
            newline="\n",
            line_buffering=number == 2 or os.isatty(number),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = ["keyctl", *args]
    try:
        runpy.run_module("keyctl", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        # What the interpreter does at its end, without taking all modules apart, which is most of the time.
        # Where anything is unusual, it does it itself.
        threading._shutdown()
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            if isinstance(end.code, int):
                os._exit(end.code)
        raise


if __name__ == "__main__":
    preload()
    gc.freeze()  # the children's collections leave alone, and so share, what is loaded
    warnings.simplefilter("error")
    if request := serve():
        become_keyctl(**request)
