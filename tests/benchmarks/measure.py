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
from typing import Any

FLOORS = Path(__file__).parent / "floors"


@dataclass(frozen=True)
class Took:
    """Seconds: on the clock, and of computing (user and system). Of a process, also its greatest size, in GB."""

    wall: float
    cpu: float
    memory: float = 0.0


Run = Callable[[], Took]


@dataclass(frozen=True)
class Row:
    """One line of the table. `by` is "cpu", "wall" or "memory", or None for whichever of the first two is steadier."""

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
            "ours_ms": round(statistics.median(self.ours) * 1000, 5),  # MB by memory
            "floor_ms": round(statistics.median(self.floor) * 1000, 5),
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
        return Took(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9)

    return run


def calls(work: Callable[[Any], object], arguments: Sequence[Any]) -> Run:
    """Return what calls `work` with each argument, and says what one call took."""

    def run() -> Took:
        start, computing = time.perf_counter(), time.process_time()
        for argument in arguments:
            work(argument)
        took = time.perf_counter() - start, time.process_time() - computing
        return Took(*(seconds / len(arguments) for seconds in took))

    return run


def prepared(prepare: Callable[[], Any], work: Callable[[Any], object]) -> Run:
    """Return what gives to `work` what `prepare` made; only `work` is timed."""
    return lambda: calls(work, [prepare()])()  # noqa: PLW0108 - every run prepares anew


def fixed(seconds: float) -> Run:
    """Return what always took this long: a limit to compare with."""
    return lambda: Took(seconds, seconds)


def times(run: Run, factor: int) -> Run:
    def multiplied() -> Took:
        took = run()
        return Took(took.wall * factor, took.cpu * factor, took.memory)

    return multiplied


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
