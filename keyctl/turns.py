"""A semaphore that serves threads in the order in which they came.

One of `threading` does not: the thread that releases it can acquire it again before the one that waits is awake, so
that in a flood of wrong secrets a good key might wait until it is refused.
"""

from __future__ import annotations

from collections import deque
from threading import Lock


class Turns:
    """Lets at most `places` threads through at once."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._lock = Lock()
        self._waiting: deque[Lock] = deque()  # each is held until it is that thread's turn

    def acquire(self, *, timeout: float) -> bool:
        """Take a place, after the threads that came before; return whether there was one within `timeout` seconds."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            if mine.acquire(timeout=timeout):
                return True
        except BaseException:  # Ctrl-C
            if not self._leave(mine):
                self.release()
            raise
        return not self._leave(mine)

    def release(self) -> None:
        """Give the place to the thread that has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    def _leave(self, mine: Lock) -> bool:
        """Stop waiting; return false if a place was given meanwhile."""
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return True
            return False
