"""Signals that end a command, after it has cleaned up."""

from __future__ import annotations

import signal
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end. Its notes say what became of the keys that it was delivering."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


def raise_on_signals() -> None:
    """Raise Interrupted in the main thread at the first signal, unless it is ignored, as `nohup` does with SIGHUP."""
    for signum in _ENDING:
        if signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, _interrupt)


def ignore_signals() -> None:
    for signum in _ENDING:
        signal.signal(signum, signal.SIG_IGN)


def _interrupt(signum: int, _: FrameType | None) -> None:
    # A closed terminal, `timeout` and service managers send several: a later one must not interrupt the clean-up.
    ignore_signals()
    raise Interrupted(signum)
