"""Runs keyctl in real processes that need not import SQLAlchemy first: `tests.runner` starts one zygote and asks it.

A process that has imported everything forks for each request, and reports the process id and how it ended. The child
becomes `python -P -m keyctl` and ends as the interpreter ends. Only what happens while Python starts (its variables,
the locale, imports themselves) is out of its reach: `Cli.cold` is for that.

Standard input is a socket. Each byte on it comes with four descriptors: a socket on which the request is read, as JSON,
and answered in lines, then the child's standard streams. When its other end closes, the zygote ends.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
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
    "limits.storage",
    "platformdirs.unix",
    "psycopg",
    "redis",
    "rich.console",
    "rich.progress",
    "rich.table",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "typer._click.decorators",
    "typer.main",
]
_ALLOW_TRACING = 0x59616D61  # PR_SET_PTRACER: some systems let only an ancestor trace a process


def preload() -> None:
    """Import what keyctl may need. What fails to import here fails again in the child, and is reported there."""
    import keyctl

    names = [module.name for module in pkgutil.walk_packages(keyctl.__path__, "keyctl.", onerror=print)]
    for name in [*PRELOADED, *names]:
        if not name.startswith("keyctl.store.migrations") and not name.endswith(".__main__"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def serve() -> dict[str, Any] | None:
    """Fork for every request, and report how each child ends.

    Returns in the child, with the request, and in the zygote when all is over.
    """
    answers: dict[int, int] = {}  # a child's process id -> the descriptor on which its end is awaited
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    with socket.socket(fileno=os.dup(0)) as requests:
        while True:
            ready = select.select([requests, woken], [], [])[0]
            if woken in ready:
                os.read(woken, 4096)
                report_ends(answers)
            if requests in ready:
                fds = socket.recv_fds(requests, 1, 4)[1]
                if not fds:
                    return None
                with open(fds[0], "rb", closefd=False) as written:
                    request: dict[str, Any] = json.load(written)
                pid = os.fork()
                if pid == 0:
                    requests.detach()
                    become_child(fds[1:])
                    return request
                for fd in fds[1:]:
                    os.close(fd)
                answers[pid] = fds[0]
                tell(fds[0], pid)


def report_ends(answers: dict[int, int]) -> None:
    """Report how a child ended to the process that waits for it."""
    while answers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        fd = answers.pop(pid)
        tell(fd, os.waitstatus_to_exitcode(status))
        os.close(fd)


def tell(fd: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(fd, b"%d\n" % number)


def become_child(fds: list[int]) -> None:
    """Take over the three descriptors, and let go of everything that is the zygote's."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def hold() -> None:
    """Stop this process until it is continued, and let any process trace it."""
    ctypes.CDLL(None).prctl(_ALLOW_TRACING, ctypes.c_ulong(-1), 0, 0, 0)  # an error where any process may anyway
    os.kill(os.getpid(), signal.SIGSTOP)


def become_keyctl(args: list[str], env: dict[str, str], cwd: str, *, held: bool, session: bool = True) -> None:
    """Set up the process as Python's own start would, and run keyctl.

    Without `session`, its terminal is another process's: a leader that ends would hang it up.
    """
    if session:
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
    unbuffered = bool(env.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        how: Any = {"buffering": 0} if number and unbuffered else {}
        old = getattr(sys, name)
        stream = io.TextIOWrapper(
            open(number, "wb" if number else "rb", closefd=False, **how),  # noqa: SIM115 - open to the end
            encoding=old.encoding,
            errors=old.errors,
            newline="\n",
            line_buffering=number == 2 or os.isatty(number),
            write_through=bool(how),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = ["keyctl", *args]
    if held:
        hold()
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
