"""How the counts of one key are written in one row: text, with a number of hours or days in it.

A row for each hour would be a hundred bytes for each of them on a server. `0 9=5,,4 33=7|1 9=2` are the outcomes 0 and
1: 5 at the offset 9, none at 10, 4 at 11, 7 at 33; and 2 at 9.
"""

from __future__ import annotations

from collections.abc import Mapping

from keyctl.rows import RowDamaged

HOURS = 7 * 24  # in a row of usage_hours
DAYS = 13 * 7  # in a row of usage_days
_NEAR = 2  # how far apart offsets may be in one run: `,,` is shorter than a new run
Counts = dict[int, dict[int, int]]  # by outcome, then by offset


def add(counts: Counts, outcome: int, offset: int, count: int) -> None:
    """Add to what is counted at an offset."""
    at = counts.setdefault(outcome, {})
    at[offset] = at.get(offset, 0) + count


def pack(counts: Mapping[int, Mapping[int, int]]) -> str:
    return "|".join(f"{outcome} {_runs(counts[outcome])}" for outcome in sorted(counts) if counts[outcome])


def unpack(text: object, length: int) -> Counts:
    """Return the counts in a row of `length` hours or days. Raises RowDamaged for what `pack` does not write."""
    counts: Counts = {}
    try:
        for part in str(text).split("|") if text else ():
            outcome, *runs = part.split(" ")
            counts[int(outcome)] = _read_runs(runs)
    except ValueError:
        raise RowDamaged("the recorded use of a key cannot be read") from None
    cells = [cell for at in counts.values() for cell in at.items()]
    if pack(counts) != text or not all(0 <= offset < length and count > 0 for offset, count in cells):
        raise RowDamaged("the recorded use of a key cannot be read")
    return counts


def _runs(at: Mapping[int, int]) -> str:
    runs: list[list[str]] = []
    last = -DAYS
    for offset in sorted(at):
        if offset - last > _NEAR:
            runs.append([f"{offset}={at[offset]}"])
        else:
            runs[-1] += [""] * (offset - last - 1) + [str(at[offset])]
        last = offset
    return " ".join(",".join(run) for run in runs)


def _read_runs(runs: list[str]) -> dict[int, int]:
    at: dict[int, int] = {}
    for run in runs:
        first, _, values = run.partition("=")
        for i, value in enumerate(values.split(",")):
            if value:
                at[int(first) + i] = int(value)
    return at
