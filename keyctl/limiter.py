"""Count requests against rate limits.

A `Limiter` holds all limits of a key at once, in sliding windows: in no span of time as long as a limit's window does
it allow more requests than the limit. A request that is refused uses up none of them.

>>> from datetime import timedelta
>>> from keyctl.limiter import Limit, Limiter
>>> limiter = Limiter("memory://")
>>> limits = [Limit(2, timedelta(minutes=1))]
>>> [limiter.count("acme", limits)[0] for _ in range(3)]
[True, True, False]
>>> limiter.close()
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from keyctl.decision import LimitState, check_cost
from keyctl.errors import LimiterUnavailable, UsageError
from keyctl.limits.address import LimiterAddress
from keyctl.limits.windows import MemoryWindows, Window
from keyctl.profiles.limits import Limit

if TYPE_CHECKING:
    from keyctl.limits.server import LimitServer

__all__ = ["Limit", "Limiter"]

_log = logging.getLogger("keyctl.limiter")
_LOG_EVERY = 10.0  # seconds
Result = TypeVar("Result")


class Limiter:
    """Counts requests in this process, or on a server that many share. Safe to share between threads and after fork.

    A subject is whose limits they are; what is counted of it is kept under its name. Where a call fails, the calls of
    the next `wait` seconds fail at once, without a connection: what cannot answer is not asked by every thread.

    Args:
        url: `memory://` (in this process alone), `redis://HOST:PORT/DB`, `rediss://…` (TLS), `redis+unix:///PATH`,
            `redis+cluster://HOST:PORT,HOST:PORT`, or the same with `valkey`. Nothing is connected yet.
        wait: Seconds that a call waits for a connection, and as long for an answer.
        timer: Returns seconds from a monotonic clock. For tests of `memory://`; a server has its own clock.

    Raises:
        UsageError: `url` is not one of these.
        ConfigurationInvalid: The library for it is not installed: the extra `limits`.
    """

    def __init__(
        self, url: str = "memory://", *, wait: float = 0.25, timer: Callable[[], float] = time.monotonic
    ) -> None:
        if not isinstance(url, str):
            raise TypeError(f"a limiter's URL is a text, not {type(url).__name__}")
        if not isinstance(wait, int | float):
            raise TypeError(f"a limiter's wait is a number of seconds, not {type(wait).__name__}")
        if not wait > 0:
            raise UsageError(f"the limiter's wait must be greater than zero, not {wait:g}")
        self._address = LimiterAddress.parse(url)
        self._wait = wait
        self._timer = timer
        self._closed = False
        self._backend = self._make_backend()
        self._lock = threading.Lock()
        self._failures = 0
        self._failed: LimiterUnavailable | None = None
        self._next_attempt = 0.0
        self._next_log = 0.0
        _limiters.add(self)

    @property
    def local(self) -> bool:
        """Whether requests are counted in this process alone, without a network."""
        return self._address.local

    @property
    def failures(self) -> int:
        """How many calls have failed since it was made."""
        return self._failures

    @property
    def last_failure(self) -> LimiterUnavailable | None:
        """The error of the last call, if it failed."""
        return self._failed

    def count(self, subject: str, limits: Sequence[Limit], cost: int = 1) -> tuple[bool, tuple[LimitState, ...]]:
        """Count a request, unless one of the limits refuses it: then it uses up none of them.

        Args:
            subject: Whose limits they are.
            limits: All of them. Of two for the same time, the smaller one holds.
            cost: How many requests it counts as. One that costs more than a limit is never allowed.

        Returns:
            Whether it is allowed, and the state of each limit afterwards.

        Raises:
            LimiterUnavailable: The server cannot be reached, or did not answer in time. The request may be counted.
            UsageError: `cost` is not 1 or more.
        """
        check_cost(cost)
        states = self._take(subject, limits, cost)
        return not any(state.exceeded for state in states), states

    def look(self, subject: str, limits: Sequence[Limit]) -> tuple[LimitState, ...]:
        """Return the state of each limit, and count nothing.

        Args:
            subject: Whose limits they are.
            limits: As in `count`.

        Returns:
            The state of each limit.

        Raises:
            LimiterUnavailable: The server cannot be reached, or did not answer in time.
        """
        return self._take(subject, limits, 0)

    def reset(self, subject: str, limits: Sequence[Limit]) -> None:
        """Forget what was used up of these limits.

        Args:
            subject: Whose limits they are.
            limits: As in `count`.

        Raises:
            LimiterUnavailable: The server cannot be reached, or did not answer in time.
        """
        windows, _ = _windows(tuple(limits))
        if windows:
            self._call(lambda backend: backend.forget(subject, windows))

    def close(self) -> None:
        """Close the connections. Every later call raises LimiterUnavailable."""
        self._closed = True
        if not isinstance(self._backend, MemoryWindows):
            self._backend.close()

    def __enter__(self) -> Limiter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Limiter({str(self._address)!r})"

    def _take(self, subject: str, limits: Sequence[Limit], cost: int) -> tuple[LimitState, ...]:
        limits = tuple(limits)
        windows, positions = _windows(limits)
        if not windows:
            return ()
        taken = self._call(lambda backend: backend.take(subject, windows, cost))
        return tuple(_state(limit, taken[position], cost) for limit, position in zip(limits, positions, strict=True))

    def _call(self, work: Callable[[MemoryWindows | LimitServer], Result]) -> Result:
        if self._closed:
            raise LimiterUnavailable(f"the limiter {self._address} is closed", hint="make a new one")
        failed = self._failed
        if failed is not None and time.monotonic() < self._next_attempt:
            self._note(failed)
            raise LimiterUnavailable(failed.message, hint=failed.hint)
        try:
            result = work(self._backend)
        except LimiterUnavailable as error:
            self._next_attempt = time.monotonic() + self._wait
            self._failed = error
            self._note(error)
            raise
        if failed is not None:
            self._failed = None
            _log.warning("the limiter %s is available again", self._address)
        return result

    def _note(self, error: LimiterUnavailable) -> None:
        """Count a failure, and log it if the last one was logged long enough ago."""
        with self._lock:
            self._failures += 1
            now = time.monotonic()
            if now < self._next_log:
                return
            self._next_log = now + _LOG_EVERY
            failures = self._failures
        _log.warning("%s; failed calls so far: %d", error.message, failures)

    def _make_backend(self) -> MemoryWindows | LimitServer:
        if self._address.local:
            return MemoryWindows(self._timer)
        from keyctl.limits.server import LimitServer  # noqa: PLC0415 - the library, only for a server

        return LimitServer(self._address, wait=self._wait)

    def _renew(self) -> None:
        """In a child of fork, use no connection of the parent's, and count in memory from zero.

        A thread that is not there may hold a lock.
        """
        self._lock = threading.Lock()
        if isinstance(self._backend, MemoryWindows):
            self._backend = MemoryWindows(self._timer)
        else:
            self._backend.abandon()


@lru_cache(maxsize=256)
def _windows(limits: tuple[Limit, ...]) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Return the requests and seconds of each window, and which one each limit has.

    Of two limits for the same time, the smaller one holds.
    """
    smallest: dict[int, int] = {}
    for limit in limits:
        smallest[_seconds(limit)] = min(limit.requests, smallest.get(_seconds(limit), limit.requests))
    lengths = list(smallest)
    windows = tuple((requests, per) for per, requests in smallest.items())
    return windows, tuple(lengths.index(_seconds(limit)) for limit in limits)


def _seconds(limit: Limit) -> int:
    return int(limit.per.total_seconds())


def _state(limit: Limit, window: Window, cost: int) -> LimitState:
    used, wait, exceeded = window
    remaining = max(0, limit.requests - used)
    return LimitState(limit, remaining, wait, exceeded and remaining < cost)


_limiters: WeakSet[Limiter] = WeakSet()


def _renew_limiters() -> None:
    for limiter in _limiters:
        limiter._renew()


os.register_at_fork(after_in_child=_renew_limiters)
