"""How the tables of topics are laid out where they must fit a width: on a terminal, and in manual pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_READABLE = 20  # characters: a longer cell may be wrapped, but not to less


def least_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width that each column needs, so that no word is broken and few lines are very short."""
    return [
        max(min(_natural(column), _READABLE), *(len(word) for cell in column for word in cell.split()))
        for column in zip(*rows, strict=True)
    ]


def widths(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Return the width of each column, `room` at most in all; None if the table cannot be read in that."""
    least = least_widths(rows)
    wanted = [_natural(column) - width for column, width in zip(zip(*rows, strict=True), least, strict=True)]
    spare = room - sum(least)
    if spare < 0:
        return None
    share = min(1, spare / (sum(wanted) or 1))
    return [width + int(more * share) for width, more in zip(least, wanted, strict=True)]


def labelled(headings: Sequence[str], cells: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield a label and the index of each cell after the first, for a row that is written as a list.

    Empty cells are omitted.
    """
    for index, (heading, cell) in enumerate(zip(headings, cells, strict=True)):
        if index and cell:
            yield f"{heading}: " if heading else "", index


def _natural(column: Sequence[str]) -> int:
    return max(map(len, column))
