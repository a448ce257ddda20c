"""Runs a program that gets its input from this process, within a time limit."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fcntl import ioctl
from struct import calcsize, unpack
from termios import FIONREAD
from typing import IO

_GRACE = 2.0  # seconds from SIGTERM to SIGKILL
_PAUSE = 0.02  # between looks at a program that has closed its outputs, or whose outputs another one holds open
_CHUNK = 1 << 16
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}


@dataclass(frozen=True)
class Outcome:
    """How a program ended. `code` is negative for a signal, None if its time was over; `unread` is in bytes."""

    code: int | None
    unread: int


def run(
    arguments: Sequence[str],
    given: bytes,
    *,
    seconds: float,
    on_output: Callable[[bytes], None],
    on_errors: Callable[[bytes], None],
) -> Outcome:
    """Run a program with `given` as its standard input; pass on what it writes, in pieces.

    It has no terminal, and leads a process group, which ends with the time limit or if this call is interrupted:
    SIGTERM, and SIGKILL two seconds later. Raises OSError if it cannot be started.
    """
    deadline = time.monotonic() + seconds
    with ExitStack() as stack:

        def pipe() -> tuple[IO[bytes], IO[bytes]]:
            reader, writer = os.pipe()
            return stack.enter_context(os.fdopen(reader, "rb", 0)), stack.enter_context(os.fdopen(writer, "wb", 0))

        # The reading end of its input is open here too: only so is it known what the program left in the pipe.
        its_input, ours = pipe()
        output, its_output = pipe()
        errors, its_errors = pipe()
        program = _Program()
        # Held while it starts: a signal in that moment would leave a program behind that nothing ends.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            program.start(arguments, (its_input, its_output, its_errors), before)
            its_output.close()
            its_errors.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            unwritten = program.converse({output: on_output, errors: on_errors}, ours, given, deadline)
            code = program.wait(deadline)
        except TimeoutError:
            program.end()
            return Outcome(None, len(given))
        except BaseException:
            program.end()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return Outcome(code, unwritten + unpack("i", ioctl(its_input, FIONREAD, bytes(calcsize("i"))))[0])


class _Program:
    """A process that leads a group of its own. `code` is its exit code, once it has ended."""

    def __init__(self) -> None:
        self._pid = 0
        self._code: int | None = None

    def start(self, arguments: Sequence[str], streams: Sequence[IO[bytes]], mask: set[int]) -> None:
        self._pid = os.posix_spawnp(
            arguments[0],
            list(arguments),
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, stream.fileno(), number) for number, stream in enumerate(streams)],
            setsid=True,
            setsigmask=mask,
            setsigdef=_IGNORED_BY_PYTHON,
        )

    def converse(
        self, listeners: Mapping[IO[bytes], Callable[[bytes], None]], pipe: IO[bytes], given: bytes, deadline: float
    ) -> int:
        """Write and read until both outputs end, or the program does; return how many bytes could not be written.

        Raises TimeoutError.
        """
        rest = memoryview(given)
        os.set_blocking(pipe.fileno(), False)
        with selectors.DefaultSelector() as ready:
            ready.register(pipe, selectors.EVENT_WRITE)
            for stream, listener in listeners.items():
                ready.register(stream, selectors.EVENT_READ, listener)
            while ready.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                events = ready.select(min(left, _PAUSE * 5))
                if not events and self._has_ended():
                    break  # what it left running may keep its outputs open
                for key, _ in events:
                    if key.fileobj is pipe:
                        rest = rest[os.write(key.fd, rest[:_CHUNK]) :]
                        if not rest:
                            ready.unregister(pipe)
                            pipe.close()
                    elif data := os.read(key.fd, _CHUNK):
                        key.data(data)
                    else:
                        ready.unregister(key.fileobj)
        return len(rest)

    def wait(self, deadline: float) -> int:
        """Return the exit code. Raises TimeoutError."""
        while not self._has_ended():
            if time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(_PAUSE / 4)
        return self._code or 0

    def end(self) -> None:
        """End the program and what it started: its whole group."""
        if not self._pid:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGTERM)
            last = time.monotonic() + _GRACE
            while time.monotonic() < last:
                self._has_ended()
                os.killpg(self._pid, 0)  # raises once no process is left
                time.sleep(_PAUSE)
            os.killpg(self._pid, signal.SIGKILL)
        with suppress(TimeoutError):
            self.wait(time.monotonic() + _GRACE)

    def _has_ended(self) -> bool:
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code is not None
