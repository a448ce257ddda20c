"""Counts in memory: what a recorder adds on the way of an answer, and takes out when it reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

_HOUR = 3600  # seconds
Cell = tuple[str, int, str]  # key id, hours since 1970, outcome


class Taken(NamedTuple):
    """What was counted: for each cell how often, and when last, in Unix seconds. `dropped` were not counted."""

    cells: dict[Cell, list[float]]
    dropped: int


class Counts:
    """Counts answers by key, hour and outcome. Safe to share between threads.

    Args:
        limit: How many cells are kept at most. An answer that would need another one is dropped, and counted as such.
        clock: Returns Unix seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._cells: dict[Cell, list[float]] = {}
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def dropped(self) -> int:
        """How many answers were not counted since the last `take`."""
        return self._dropped

    def add(self, key_id: str, outcome: str) -> None:
        now = self._clock()
        cell = key_id, int(now) // _HOUR, outcome
        # The lock is held for these lines and for the swap in `take`, never during input or output.
        with self._lock:
            entry = self._cells.get(cell)
            if entry is not None:
                entry[0] += 1
                entry[1] = now
            elif len(self._cells) < self._limit:
                self._cells[cell] = [1, now]
            else:
                self._dropped += 1

    def take(self) -> Taken:
        """Return what was counted since the last call, and begin with nothing."""
        with self._lock:
            taken = Taken(self._cells, self._dropped)
            self._cells, self._dropped = {}, 0
        return taken
