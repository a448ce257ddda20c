"""A connection to PostgreSQL that does not wait for a silent server without end, and that no two processes share.

libpq has no time limit of this kind: a server that is stopped still acknowledges what it is sent, so that for TCP the
connection is well, and its own `statement_timeout` stops with it.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Generator
from typing import Any
from weakref import WeakSet

import psycopg
import psycopg.conninfo  # for `postgres`, which imports psycopg through this module alone

# Of a statement that failed it also writes a warning, which would be printed.
logging.getLogger("psycopg").addHandler(logging.NullHandler())
_open: WeakSet[PostgresConnection] = WeakSet()


class ServerSilent(psycopg.OperationalError):
    """The server did not answer in time."""


class PostgresConnection(psycopg.Connection[Any]):
    """Closes itself and raises ServerSilent if the server does not answer in time.

    That is after `patience` seconds without a byte, or at `deadline`, in seconds of `time.monotonic`.
    """

    patience = math.inf
    deadline = math.inf

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _open.add(self)

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Consume what psycopg does in steps; every call to the server comes through here."""
        try:
            return super().wait(self._limited(gen), *args, **options)
        except ServerSilent:
            self.close()
            raise

    def _limited(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run the steps; psycopg resumes them with what is ready, and with nothing ten times a second."""
        start = heard = time.monotonic()
        ready = None
        while start < self.deadline:
            try:
                ready = yield steps.send(ready)
            except StopIteration as done:
                return done.value
            now = time.monotonic()
            heard = now if ready else heard
            if now >= min(self.deadline, heard + self.patience):
                break
        raise ServerSilent(f"the server did not answer within {seconds(time.monotonic() - start)}")


def seconds(duration: float) -> str:
    return f"{max(1, round(duration))} s"


def _let_go_of_inherited() -> None:
    """In a child of fork, replace the sockets of the parent by /dev/null.

    Whatever still holds such a connection can neither read what the parent is answered nor write into its session.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for connection in _open:
        if not connection.closed:
            os.dup2(nothing, connection.pgconn.socket, inheritable=False)
    os.close(nothing)
    _open.clear()


os.register_at_fork(after_in_child=_let_go_of_inherited)
