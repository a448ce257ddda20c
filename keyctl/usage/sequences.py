"""Which reports of a recorder were counted: `1-1440`, or `1-20 31-40` while the reports 21 to 30 are missing."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from keyctl.rows import RowDamaged

_RANGE = re.compile(r"([1-9][0-9]{0,17})-([1-9][0-9]{0,17})", re.ASCII)


def added(text: str, numbers: Iterable[int]) -> tuple[str, set[int]]:
    """Return the ranges with more numbers in them, and those of the numbers that were not."""
    known = sorted(_read(text))
    new = {number for number in numbers if not _contain(known, number)}
    ranges: list[tuple[int, int]] = []
    for first, last in sorted([*known, *((number, number) for number in new)]):
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], max(last, ranges[-1][1])
        else:
            ranges.append((first, last))
    return " ".join(f"{first}-{last}" for first, last in ranges), new


def missing(text: str) -> tuple[int, int] | None:
    """Return the first and the last number of the first gap; None if there is none."""
    last = 0
    for first, end in _read(text):
        if first > last + 1:
            return last + 1, first - 1
        last = end
    return None


def _contain(ranges: Sequence[tuple[int, int]], number: int) -> bool:
    """Whether one of these ranges, which are sorted, contains the number."""
    position = bisect_right(ranges, number, key=lambda one: one[0])
    return position > 0 and number <= ranges[position - 1][1]


def _read(text: str) -> list[tuple[int, int]]:
    """Raises RowDamaged."""
    found = [_RANGE.fullmatch(part) for part in text.split(" ")] if text else []
    ranges = [(int(match[1]), int(match[2])) for match in found if match]
    if len(ranges) < len(found) or any(first > last for first, last in ranges):
        raise RowDamaged("what a recorder has reported cannot be read")
    return ranges
