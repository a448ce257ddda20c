"""Runs the command line in real processes, each with a home of its own, and returns the outcome."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

Arg = str | bytes | Path
Env = Mapping[str, str | None] | None
Wait = Callable[[float], int]  # seconds -> exit code, or TimeoutError
TIMEOUT = 60.0  # seconds

BASE_ENV = {
    # The folder of this interpreter, so that a shell finds `keyctl`.
    "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "xterm-256color",
    "COLUMNS": "80",
}


@dataclass(frozen=True)
class Result:
    """What a process left behind. `code` is negative where a signal ended it."""

    args: tuple[str, ...]
    code: int
    out_bytes: bytes
    err_bytes: bytes

    @property
    def out(self) -> str:
        return self.out_bytes.decode("utf-8", "surrogateescape")

    @property
    def err(self) -> str:
        return self.err_bytes.decode("utf-8", "surrogateescape")

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __str__(self) -> str:
        shown = " ".join(arg if len(arg) < 200 else f"{arg[:200]}…" for arg in self.args)
        shown = shown.encode(errors="backslashreplace").decode()  # bytes that were not UTF-8 cannot be reported
        return f"{shown}\nexit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def expect(self, code: int | None) -> Result:
        """Return the result itself; if it ended with another exit code, fail with all that it wrote."""
        assert code in (None, self.code), f"expected exit code {code}\n{self}"
        return self


class Process:
    """A process that is running, or has run."""

    def __init__(self, args: tuple[str, ...], pid: int, wait: Wait, files: tuple[IO[bytes], IO[bytes]]):
        self.args, self.pid = args, pid
        self._wait, self._files = wait, files
        self._result: Result | None = None

    def written(self) -> tuple[bytes, bytes]:
        """What it wrote to standard output and standard error so far."""
        if self._result:
            return self._result.out_bytes, self._result.err_bytes
        out, err = (os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0) for file in self._files)
        return out, err

    def kill(self, signum: int = signal.SIGTERM) -> None:
        if not self._result:
            with contextlib.suppress(ProcessLookupError):  # ended by itself
                os.kill(self.pid, signum)

    def wait(self, timeout: float = TIMEOUT) -> Result:
        """Wait until it has ended. One that has not in time is killed, and the test fails with all that it wrote."""
        if self._result:
            return self._result
        try:
            code, late = self._wait(timeout), False
        except TimeoutError:
            os.killpg(self.pid, signal.SIGKILL)
            code, late = self._wait(TIMEOUT), True
        result = Result(self.args, code, *self.written())
        self._result = result
        for file in self._files:
            file.close()
        assert not late, f"still running after {timeout} s\n{result}"
        return result


class Cli:
    """keyctl, for one test: `cli("mint", "--name", "ci", check=0).out`. Its home is new and its environment empty.

    Everything that starts a process takes `stdin` (text, bytes or a descriptor; nothing unless given), `stdout` and
    `stderr` (descriptors, in place of what the result holds), `env` (changes; None removes a variable) and `cwd`.
    Everything that waits for its end takes `check`, the exit code to insist on, and `timeout`, in seconds.
    """

    def __init__(self, folder: Path):
        self.home = folder / "home"
        self.cwd = folder / "cwd"
        for path in (self.home, self.cwd):
            path.mkdir(exist_ok=True)
        self.env = BASE_ENV | {"HOME": str(self.home)}
        self._processes: list[Process] = []

    def __call__(self, *args: Arg, check: int | None = None, timeout: float = TIMEOUT, **how: Any) -> Result:
        """Run `keyctl ARGS` to its end."""
        return self.spawn(*args, **how).wait(timeout).expect(check)

    def spawn(self, *args: Arg, held: bool = False, **how: Any) -> Process:
        """Start `keyctl ARGS`. With `held`, it is stopped before its first line, for tests.kills to take over."""
        return self._start(functools.partial(_fork, held=held), args, **how)

    def spawn_python(self, *args: Arg, **how: Any) -> Process:
        """Start `python -P ARGS`."""
        return self._start(_exec, [sys.executable, "-P", *args], **how)

    def cold(self, *args: Arg, check: int | None = None, timeout: float = TIMEOUT, **how: Any) -> Result:
        """Run `python -P -m keyctl ARGS` from scratch: ten times slower, start-up included."""
        return self.spawn_python("-m", "keyctl", *args, **how).wait(timeout).expect(check)

    def shell(self, script: str, check: int | None = 0, timeout: float = TIMEOUT, **how: Any) -> Result:
        """Run a bash script, in which `keyctl` is the installed command."""
        return self._start(_exec, ["bash", "-euo", "pipefail", "-c", script], **how).wait(timeout).expect(check)

    def tty(
        self,
        *args: Arg,
        talk: Iterable[tuple[str, str]] = (),
        columns: int = 80,
        rows: int = 24,
        pipe_stdout: bool = False,
        check: int | None = None,
        timeout: float = TIMEOUT,
        env: Env = None,
        **how: Any,
    ) -> Result:
        """Run `keyctl ARGS` on a terminal of this size; `out` is what that shows, with plain line ends.

        Each pair in `talk` is a text to wait for, and one to type then: "\\n" is Enter, "\\x03" is Ctrl-C. Standard
        input is the terminal unless `stdin` is given. With `pipe_stdout`, as in `KEY=$(keyctl mint)`, `out` is
        standard output and `err` is what the terminal shows.
        """
        master, slave = pty.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
            how = {"stdin": slave, "stdout": None if pipe_stdout else slave, "stderr": slave} | how
            process = self._start(_fork, args, env={"COLUMNS": None, **(env or {})}, **how)
            os.close(slave)
            shown = _converse(master, list(talk), timeout).replace(b"\r\n", b"\n")
        finally:
            os.close(master)
        result = process.wait(timeout)
        out, err = (result.out_bytes, shown) if pipe_stdout else (shown, b"")
        return replace(result, out_bytes=out, err_bytes=err).expect(check)

    def close(self) -> None:
        """Kill what a test has left running."""
        for process in self._processes:
            process.kill(signal.SIGKILL)
            process.wait()

    def _start(
        self,
        start: Callable[..., tuple[int, Wait]],
        args: Iterable[Arg],
        *,
        stdin: bytes | str | int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        env: Env = None,
        cwd: Path | None = None,
    ) -> Process:
        texts = [os.fsdecode(arg) for arg in args]
        variables = {name: value for name, value in {**self.env, **(env or {})}.items() if value is not None}
        files = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - Process.wait closes them
        out, err = (file.fileno() if fd is None else fd for file, fd in zip(files, (stdout, stderr), strict=True))
        with tempfile.TemporaryFile() as given:
            if not isinstance(stdin, int):
                given.write(stdin.encode() if isinstance(stdin, str) else stdin or b"")
                given.seek(0)
                stdin = given.fileno()
            pid, wait = start(texts, variables, str(cwd or self.cwd), [stdin, out, err])
        process = Process(tuple(texts), pid, wait, files)
        self._processes.append(process)
        return process


def _exec(args: list[str], env: dict[str, str], cwd: str, fds: list[int]) -> tuple[int, Wait]:
    popen = subprocess.Popen(args, env=env, cwd=cwd, stdin=fds[0], stdout=fds[1], stderr=fds[2], start_new_session=True)

    def wait(timeout: float) -> int:
        try:
            return popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    return popen.pid, wait


def _fork(args: list[str], env: dict[str, str], cwd: str, fds: list[int], *, held: bool = False) -> tuple[int, Wait]:
    ours, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(zygote(), [b"!"], [theirs.fileno(), *fds])
    ours.sendall(json.dumps({"args": args, "env": env, "cwd": cwd, "held": held}).encode())
    ours.shutdown(socket.SHUT_WR)
    answers = ours.makefile("rb")
    pid = int(answers.readline())

    def wait(timeout: float) -> int:
        if not select.select([ours], [], [], timeout)[0]:
            raise TimeoutError
        with ours, answers:
            return int(answers.readline())

    return pid, wait


@functools.cache
def zygote() -> socket.socket:
    """One for each process that runs tests; it ends when the socket closes. See tests/zygote.py."""
    ours, theirs = socket.socketpair()
    with theirs:
        zygote = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("zygote.py"))],
            env=BASE_ENV,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        zygote.wait(TIMEOUT)

    atexit.register(end)
    return ours


def _converse(master: int, talk: list[tuple[str, str]], timeout: float) -> bytes:
    """Type each answer when its turn has come; return all that the terminal has shown at its end."""
    shown, seen = b"", 0
    end = time.monotonic() + timeout
    while True:
        while talk and (at := shown.find(talk[0][0].encode(), seen)) >= 0:
            expected, answer = talk.pop(0)
            seen = at + len(expected.encode())
            os.write(master, answer.encode())
        ready, _, _ = select.select([master], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"still running after {timeout} s, yet to come: {talk}; the terminal shows\n{shown.decode()}"
        try:
            data = os.read(master, 1 << 16)
        except OSError:  # how Linux says that no process has the terminal open any more
            data = b""
        if not data:
            assert not talk, f"ended before {talk}; the terminal shows\n{shown.decode()}"
            return shown
        shown += data
