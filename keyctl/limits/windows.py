"""What is used up of rate limits in this process: the time of each request that is still in a window.

The library `limits` can count in memory as well. It does so in fixed windows or with a list that a thread of its own
cleans every 10 ms, key by key, and two limits one after the other: a request that the second refuses has used up the
first. Here all limits are counted under one lock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Window(NamedTuple):
    """What is used up of one limit.

    Attributes:
        used: Requests in the window.
        wait: Seconds until the oldest of them leaves the window; where the limit refuses, until it no longer would.
        exceeded: Whether this limit refuses.
    """

    used: int
    wait: float
    exceeded: bool


class MemoryWindows:
    """Counts requests of subjects. Safe to share between threads.

    A limit is a number of requests and the seconds of its window. `timer` returns seconds from a monotonic clock.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._lock = threading.Lock()
        # By subject, the least recently counted first; then by the length of the window, oldest request first.
        self._used: dict[str, dict[int, deque[float]]] = {}

    def take(self, subject: str, limits: Sequence[tuple[int, int]], cost: int) -> list[Window]:
        """Count `cost` requests if every limit allows them, otherwise none. A cost of 0 only looks."""
        with self._lock:
            now = self._timer()
            self._forget_the_oldest(now)
            used = self._used.get(subject)
            if used is None:
                used = {}
            windows = [_look(used.get(per), requests, per, cost, now) for requests, per in limits]
            if not cost or any([window[2] for window in windows]):  # noqa: C419 - every call comes here (tests/benchmarks/limits.py)
                return windows
            self._used.pop(subject, None)
            self._used[subject] = used
            for _, per in limits:
                times = used.get(per)
                if times is None:
                    times = used[per] = deque()
                times.extend([now] * cost)
            return [
                Window(count + cost, wait if count else float(per), False)
                for (_, per), (count, wait, _) in zip(limits, windows, strict=True)
            ]

    def forget(self, subject: str, limits: Sequence[tuple[int, int]]) -> None:
        """Count from zero again."""
        with self._lock:
            for _, per in limits:
                self._used.get(subject, {}).pop(per, None)

    def _forget_the_oldest(self, now: float) -> None:
        """Drop two subjects whose windows are empty, so that they become fewer than calls add."""
        for _ in range(2):
            oldest = next(iter(self._used), None)
            if oldest is None:
                return
            for per, times in self._used[oldest].items():
                if times and times[-1] >= now - per:
                    return
            del self._used[oldest]


def _look(times: deque[float] | None, requests: int, per: int, cost: int, now: float) -> Window:
    used = 0
    if times:
        end = now - per
        while times and times[0] < end:
            times.popleft()
        used = len(times)
    if cost and used + cost > requests:
        # The request fits when as many have left as it needs; one that costs more than the limit never does.
        last_to_leave = times[used + cost - requests - 1] if times and cost <= requests else now
        return Window(used, last_to_leave + per - now, exceeded=True)
    return Window(used, times[0] + per - now if times else 0.0, exceeded=False)
