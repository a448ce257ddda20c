"""Connects to PostgreSQL by a deadline. libpq has none: it allows each address 2 seconds, and a name server any time.

An attempt that was lost on the way must not cost more than a second once the server can be reached, and one that is
only slow must succeed in the end: at the second of several hosts, or on the other side of the earth.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from threading import Thread

from keyctl.store.postgres_connection import PostgresConnection, ServerSilent, seconds

RIVAL_AFTER = 0.5  # seconds: most connections are made in that time, also across an ocean

Attempt = Future[PostgresConnection]


class Dialer:
    """Makes connections, each attempt in a thread of its own.

    After half a second, or half of the time that there is, another attempt is started beside the first, which
    begins with the next host. Of those that are too late for their call, the oldest is kept for the next call.
    """

    def __init__(self, connect: Callable[[int], PostgresConnection], *, hosts: int = 1) -> None:
        self._connect = connect
        self._hosts = hosts
        self._late: list[Attempt] = []
        self._process = os.getpid()

    def connect(self, deadline: float) -> PostgresConnection:
        """Return a connection; without a deadline, whenever libpq has one.

        Raises the error of any attempt that this call has started, or ServerSilent at the deadline.
        """
        if deadline == math.inf:
            return self._connect(0)
        start = time.monotonic()
        interval = min(RIVAL_AFTER, (deadline - start) / 2)
        late, self._late = self._late, []
        attempts = [*late]
        try:
            while (left := deadline - time.monotonic()) > 0:
                attempts.append(self._start(len(attempts) % self._hosts))
                if made := _first(attempts, late, within=min(left, interval)):
                    attempts.remove(made)
                    return made.result()
            if attempts and not self._late:
                self._late.append(attempts.pop(0))
            raise ServerSilent(f"connecting took longer than {seconds(deadline - start)}")
        finally:
            _close(attempts)

    def forget(self) -> None:
        """Close what was kept; in a child of fork, leave it to the parent."""
        late, self._late = self._late, []
        if self._process == os.getpid():
            _close(late)
        self._process = os.getpid()

    def _start(self, host: int) -> Attempt:
        made = Attempt()

        def run() -> None:
            try:
                made.set_result(self._connect(host))
            except BaseException as error:  # noqa: BLE001 - raised where the result is used
                made.set_exception(error)

        Thread(target=run, daemon=True).start()
        return made


def _first(attempts: list[Attempt], late: list[Attempt], *, within: float) -> Attempt | None:
    """Return the first attempt that ends in time; of those of an earlier call, only one that has succeeded."""
    end = time.monotonic() + within
    while attempts:
        ended = wait(attempts, max(0, end - time.monotonic()), FIRST_COMPLETED).done
        if not ended:
            return None
        one = min(ended, key=lambda attempt: attempt.exception() is not None)
        if one not in late or not one.exception():
            return one
        attempts.remove(one)
    return None


def _close(attempts: Iterable[Attempt]) -> None:
    def close(made: Attempt) -> None:
        if not made.exception():
            made.result().close()

    for one in attempts:
        one.add_done_callback(close)
