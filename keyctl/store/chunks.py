"""Long lists of values, in pieces that a statement takes."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 400  # SQLite before 3.32 takes 999 values in a statement, and some statements have each twice


def chunks(values: list[str]) -> Iterable[list[str]]:
    for i in range(0, len(values), _LONGEST):
        yield values[i : i + _LONGEST]
