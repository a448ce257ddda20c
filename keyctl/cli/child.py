"""Runs another program in the place of keyctl: on the same terminal, with the same streams, and with its exit code."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

from keyctl.errors import KeyctlError, suggestion
from keyctl.text import brief

_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
# What the terminal sends to all processes in its foreground, so that the program has it already.
_FROM_TERMINAL = {signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH}
_PASSED_ON = {*_ENDING, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH}
_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}


class CommandNotFound(KeyctlError):
    """There is no such program."""

    exit_code = 127
    code = "COMMAND_NOT_FOUND"


class CommandNotExecutable(KeyctlError):
    """A file that cannot be executed."""

    exit_code = 126
    code = "COMMAND_NOT_EXECUTABLE"


def find_program(name: str) -> str:
    """Return the path of a program, as a shell finds it. Raises CommandNotFound or CommandNotExecutable."""
    if not name:
        raise CommandNotFound("the name of the command is empty", hint="keyctl run -- COMMAND")
    folders = [""] if "/" in name else os.get_exec_path()
    paths = [os.path.join(folder, name) for folder in folders]  # noqa: PTH118 - `./x` stays `./x`
    there = [path for path in paths if _is_file(path)]
    for path in there:
        if os.access(path, os.X_OK):
            return path
    if there:
        raise CommandNotExecutable(f"{brief(there[0])} is not executable", hint=f"chmod +x {brief(there[0])}")
    if "/" in name and os.path.isdir(name):  # noqa: PTH112 - the name may have any bytes
        raise CommandNotExecutable(f"{brief(name)} is a folder")
    hint = None if "/" in name else suggestion(name, _programs(folders), otherwise="it is not in any folder of PATH")
    raise CommandNotFound(f'there is no command "{brief(name)}"', hint=hint)


class Child:
    """Another program: it is started once, and waited for.

    From the start on, the signals that end or inform keyctl are passed on to the program, and end only that. With
    `kill_after`, the program is killed so long after the first one that should have ended it.
    """

    def __init__(self, program: str, arguments: Sequence[str], *, kill_after: timedelta | None = None) -> None:
        self._program = program
        self._arguments = arguments
        self._kill_after = kill_after
        self._signals: set[signal.Signals] = set()
        self._before: set[int | signal.Signals] | None = None  # the signals that were held before
        self._pid = 0

    @property
    def started(self) -> bool:
        return self._pid != 0

    def hold_signals(self) -> None:
        """Let signals wait until the program has started: none then comes between what must not be interrupted."""
        if self._before is not None:
            return
        # A signal that was ignored from the beginning, as nohup does, stays so for the program too.
        self._signals = {one for one in _PASSED_ON if signal.getsignal(one) != signal.SIG_IGN}
        signal.signal(signal.SIGCHLD, _nothing)  # some systems drop a signal that has no handler, even if it is held
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, {*self._signals, signal.SIGCHLD, signal.SIGALRM})

    def release_signals(self) -> None:
        """End what `hold_signals` began, for a program that is not started: a signal that came meanwhile is raised."""
        if self._before is not None and not self.started:
            before, self._before = self._before, None
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the program. `arguments` begin with its name. Raises OSError if the system refuses it."""
        self.hold_signals()
        self._pid = os.posix_spawn(
            self._program,
            list(self._arguments),
            environment,
            setsigmask=self._before or (),
            setsigdef=_IGNORED_BY_PYTHON,
        )

    def wait(self) -> int:
        """Return the program's exit code, or 128 and the number of the signal that ended it.

        Waits without a deadline, as a shell does. Afterwards signals remain held: what follows is not interrupted.
        """
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                self._stop_too()
            elif pid:
                signal.setitimer(signal.ITIMER_REAL, 0)
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            else:
                self._pass_on(*_next_signal({*self._signals, signal.SIGCHLD, signal.SIGALRM}))

    def _pass_on(self, signum: int, from_terminal: bool) -> None:
        if signum == signal.SIGALRM:
            if self._kill_after is not None:
                os.kill(self._pid, signal.SIGKILL)
            return
        if signum == signal.SIGCHLD:
            return
        if not (from_terminal and signum in _FROM_TERMINAL):
            with suppress(PermissionError):  # it has become another user, as sudo does
                os.kill(self._pid, signum)
        if self._kill_after is not None and signum in _ENDING and not any(signal.getitimer(signal.ITIMER_REAL)):
            signal.setitimer(signal.ITIMER_REAL, self._kill_after.total_seconds())

    def _stop_too(self) -> None:
        """Stop with a program that has stopped itself: the shell then shows its prompt, and can continue both."""
        with suppress(OSError), _terminal() as terminal:
            front = os.tcgetpgrp(terminal)
            if front not in (os.getpgrp(), os.getpgid(self._pid)):
                return
            os.kill(os.getpid(), signal.SIGSTOP)
            with suppress(OSError):  # the terminal has gone meanwhile
                if front != os.getpgrp() == os.tcgetpgrp(terminal):  # a shell, which had made itself the foreground
                    os.tcsetpgrp(terminal, front)
            os.kill(self._pid, signal.SIGCONT)


def in_foreground() -> bool:
    """Return whether what is typed at the controlling terminal is for keyctl, and so are the signals of its keys."""
    with suppress(OSError), _terminal() as terminal:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    return False


@contextmanager
def _terminal() -> Iterator[int]:
    """Open the controlling terminal. Raises OSError if there is none."""
    terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    try:
        yield terminal
    finally:
        os.close(terminal)


def _next_signal(signals: set[signal.Signals]) -> tuple[int, bool]:
    """Wait for one of the signals, which are held; return it, and whether the terminal sent it."""
    if hasattr(signal, "sigwaitinfo"):
        found = signal.sigwaitinfo(signals)
        return found.si_signo, found.si_code > 0  # from the kernel, not from a process
    return signal.sigwait(signals), in_foreground()  # macOS does not say who sent it


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - the name may have any bytes
    except (OSError, ValueError):
        return False


def _programs(folders: Sequence[str]) -> set[str]:
    """Return the names of what is in the folders."""
    found: set[str] = set()
    for folder in folders:
        with suppress(OSError):
            found.update(os.listdir(folder))  # noqa: PTH208 - names are compared, not opened
    return found


def _nothing(*_: object) -> None:
    """Handle a signal by nothing."""
