"""Kills commands with SIGKILL, at a system call of their choice: strace counts the calls and sends the signal."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests import postgres
from tests.runner import TIMEOUT, Cli, Process, Result

# Those that leave a trace outside the process; a "?" is for the processors that do not have the call.
CALLS = (
    *("write", "pwrite64", "writev", "sendto", "sendmsg", "fsync", "fdatasync", "sync_file_range", "ftruncate"),
    *("?link", "linkat", "?rename", "renameat", "renameat2", "?unlink", "unlinkat", "?mkdir", "mkdirat"),
)
_LOCKS = """
select count(*) from pg_locks where pid <> pg_backend_pid() and (
    classid = 'pg_namespace'::regclass and objid = current_schema()::text::regnamespace
    or relation in (select oid from pg_class where relnamespace = current_schema()::text::regnamespace)
)
"""
_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)


class Call(NamedTuple):
    """The `number`-th call of a name in a thread, from 1 on."""

    name: str
    number: int


def calls(start: Callable[[], Process], log: Path) -> list[Call]:
    """Return the calls of an undisturbed run, in their order; it must succeed."""
    process = start()
    result = _traced(process, "-o", str(log), "-e", f"trace={','.join(CALLS)}")
    result.expect(0)
    counts: Counter[tuple[str, str]] = Counter()
    found = {}
    for thread, name in _CALL.findall(log.read_text()):
        counts[thread, name] += 1
        found[Call(name, counts[thread, name])] = None
    return list(found)


def killed_at(call: Call, start: Callable[[], Process]) -> Result:
    """Kill a process before a call has any effect. It ends by itself if there is no such call this time."""
    inject = f"inject={call.name}:signal=KILL:when={call.number}"
    return _traced(start(), "-o", "/dev/null", "-e", f"trace={call.name}", "-e", inject)


def choose(found: Sequence[Call], count: int) -> list[Call]:
    """Return `count` of the calls: half of them of the rarest names, which mark the turning points; the rest spread."""
    if count >= len(found):
        return list(found)
    frequency = Counter(call.name for call in found)
    rare = sorted(found, key=lambda call: frequency[call.name])[: (count + 1) // 2]
    others, more = [call for call in found if call not in rare], count - len(rare)
    return rare + [others[int((i + 0.5) * len(others) / more)] for i in range(more)]


def _traced(process: Process, *options: str) -> Result:
    """Let a held process run under strace, to its end."""
    if shutil.which("strace") is None:
        raise RuntimeError("strace is not installed: apt-get install strace")
    _wait_until(lambda: "State:\tT" in _status(process))
    strace = subprocess.Popen(
        ["strace", "-f", "-qq", "-e", "signal=none", *options, "-p", str(process.pid)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with strace:
        _wait_until(lambda: "TracerPid:\t0" not in _status(process) or strace.poll() is not None)
        if strace.poll() is not None:
            process.kill(signal.SIGKILL)
            raise RuntimeError(f"strace cannot attach to a process: {strace.stderr and strace.stderr.read()}")
        process.kill(signal.SIGCONT)
        result = process.wait()
        strace.wait(TIMEOUT)
    return result


def _status(process: Process) -> str:
    return Path(f"/proc/{process.pid}/status").read_text()


def _wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


class Snapshot:
    """What a command line has before a command runs: its home, its folder and its store, to be restored."""

    def __init__(self, cli: Cli, folder: Path) -> None:
        self._cli = cli
        self._url = cli.env.get("KEYCTL_STORE")
        self._contents = postgres.contents(self._url) if self._url else ""
        self._folders = {place: shutil.copytree(place, folder / place.name) for place in (cli.home, cli.cwd)}

    def restore(self) -> None:
        for place, kept in self._folders.items():
            shutil.rmtree(place)
            shutil.copytree(kept, place)
        if self._url:
            postgres.run(self._url, self._contents)


def settle(cli: Cli) -> None:
    """Wait until a server has ended the transaction of a client that was killed: it may be committing it."""
    url = cli.env.get("KEYCTL_STORE")
    _wait_until(lambda: not (url and _is_locked(url)))


def _is_locked(url: str) -> bool:
    """Return whether another connection holds a lock on a schema or its tables."""
    with postgres.transaction(url) as connection:
        row = connection.execute(_LOCKS).fetchone()
    return row is not None and row[0] > 0
