"""Splits long lists of values into parts that fit into a statement."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 400  # SQLite before 3.32 allows 999 values in a statement, and some statements have each twice


def chunks(values: list[str]) -> Iterable[list[str]]:
    for i in range(0, len(values), _LONGEST):
        yield values[i : i + _LONGEST]
