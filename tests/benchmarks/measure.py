"""Runs commands in turn and compares what they took."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FLOORS = Path(__file__).parent / "floors"


@dataclass(frozen=True)
class Took:
    """Seconds: on the clock, and of computing (user and system)."""

    wall: float
    cpu: float


Run = Callable[[], Took]


@dataclass(frozen=True)
class Row:
    """One line of the table. `by` is "cpu" or "wall", or None for whichever proves the steadier."""

    name: str
    at_most: float
    ours: Run
    floor: Run
    runs: int
    by: str | None = None


@dataclass(frozen=True)
class Result:
    name: str
    at_most: float
    by: str
    ours: Sequence[float] = field(repr=False)  # seconds, of each run
    floor: Sequence[float] = field(repr=False)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.floor)

    @property
    def ratio_of_least(self) -> float:
        """What other load on the machine disturbs least."""
        return min(self.ours) / min(self.floor)

    @property
    def spread(self) -> float:
        return max(_spread(self.ours), _spread(self.floor))

    @property
    def holds(self) -> bool:
        return self.ratio <= self.at_most

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "at_most": self.at_most,
            "ratio": round(self.ratio, 3),
            "ratio_of_least": round(self.ratio_of_least, 3),
            "holds": self.holds,
            "by": self.by,
            "ours_ms": round(statistics.median(self.ours) * 1000, 1),
            "floor_ms": round(statistics.median(self.floor) * 1000, 1),
            "spread": round(self.spread, 3),
            "runs": len(self.ours),
        }


def measure(row: Row) -> Result:
    """Run both in turn, after one run of each that does not count."""
    row.floor(), row.ours()
    ours, floor = [], []
    for i in range(row.runs):
        # Which of the two goes first alternates too: whatever drifts, drifts for both.
        for run, taken in ((row.ours, ours), (row.floor, floor))[:: 1 if i % 2 else -1]:
            taken.append(run())
    by = row.by or min(("cpu", "wall"), key=lambda by: _spread(_of(ours, by)) + _spread(_of(floor, by)))
    return Result(row.name, row.at_most, by, _of(ours, by), _of(floor, by))


def command(args: Sequence[str | Path], *, stdin: str = "", env: dict[str, str]) -> Run:
    """Return what runs a whole process; it must succeed, and its answer is thrown away."""

    def run() -> Took:
        start = time.perf_counter()
        process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=None, env=env)
        assert process.stdin
        process.stdin.write(stdin.encode())
        process.stdin.close()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(map(str, args))} ended with {process.returncode}")
        return Took(wall, used.ru_utime + used.ru_stime)

    return run


def keyctl(*args: str | Path, stdin: str = "", env: dict[str, str]) -> Run:
    return command([sys.executable, "-P", "-m", "keyctl", *args], stdin=stdin, env=env)


def floor(name: str, *args: str | Path, stdin: str = "", env: dict[str, str]) -> Run:
    return command([sys.executable, "-P", FLOORS / f"{name}.py", *args], stdin=stdin, env=env)


def _of(taken: Sequence[Took], by: str) -> list[float]:
    return [getattr(one, by) for one in taken]


def _spread(values: Sequence[float]) -> float:
    """The median distance from the median, as a part of it."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values) / middle
