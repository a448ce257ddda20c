"""Lists for people: tables that fit the terminal, and cards where it is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from keyctl.cli.columns import Column
from keyctl.cli.screen import Style, fitted, width_of, wrapped

STATUS_STYLES = {
    **dict.fromkeys(["active", "reporting"], "green"),
    **dict.fromkeys(["retiring", "locked", "restarted"], "yellow"),
    **dict.fromkeys(["expired", "ended"], "gray"),
    **dict.fromkeys(["revoked", "disabled", "silent"], "red"),
}
_NARROW = 60  # columns: below, what does not fit is shown as cards
_LEAST = 4  # the width of an elastic column where there is no other way
_GAP = 2  # spaces between columns

Columns = Sequence[Column[Any]]
Rows = Sequence[Sequence[str]]


class Drawn(NamedTuple):
    """Lines to print, and the names of the columns that there was no room for."""

    lines: list[str]
    dropped: list[str]


def draw(columns: Columns, rows: Rows, *, width: int, style: Style) -> Drawn:
    """Draw rows of visible text as a table, or as cards if the terminal is narrow and they do not fit."""
    natural = _natural_widths(columns, rows)
    if width < _NARROW and _total(natural) > width:
        return Drawn(_cards(columns, rows, width, style), [])
    kept, widths = fit(columns, natural, width)
    lines = [style(_line([columns[i].heading for i in kept], widths), "bold")]
    lines += [draw_row([columns[i] for i in kept], [row[i] for i in kept], widths, style) for row in rows]
    return Drawn(lines, [column.name for i, column in enumerate(columns) if i not in kept])


def draw_row(columns: Columns, cells: Sequence[str], widths: Sequence[int], style: Style) -> str:
    parts = []
    last = max((i for i, cell in enumerate(cells) if cell), default=0)
    for i, (column, cell, width) in enumerate(zip(columns[: last + 1], cells, widths, strict=False)):
        part = fitted(cell, width)
        text = part.rstrip(" ")
        pad = " " * (_GAP + len(part) - len(text)) if i < last else ""
        parts.append(_coloured(column, cell, text, style) + pad)
    return "".join(parts)


def fit(columns: Columns, natural: Sequence[int], width: int) -> tuple[list[int], list[int]]:
    """Return which columns fit the width, and how wide each is.

    While they do not fit, the widest elastic column shrinks. When all are at their least width, the least important
    column goes. A column that may not be truncated keeps its width, even if the line is then too long.
    """
    kept = list(range(len(columns)))
    while True:
        widths = _shrunk([columns[i].least for i in kept], [natural[i] for i in kept], width)
        removable = [i for i in kept if not columns[i].kept]
        if _total(widths) <= width or not removable or len(kept) == 1:
            break
        kept.remove(max(removable, key=lambda i: (_rank(columns, i), i)))
    if _total(widths) > width:
        least = [_LEAST if columns[i].least is not None else None for i in kept]
        widths = _shrunk(least, [natural[i] for i in kept], width)
    return kept, widths


def _rank(columns: Columns, index: int) -> int:
    rank = columns[index].rank
    return index if rank is None else rank


def _shrunk(least: Sequence[int | None], natural: Sequence[int], width: int) -> list[int]:
    widths = list(natural)
    for _ in range(_total(widths) - width):
        elastic = [i for i, smallest in enumerate(least) if smallest is not None and widths[i] > smallest]
        if not elastic:
            break
        widths[max(elastic, key=lambda i: widths[i])] -= 1
    return widths


def _natural_widths(columns: Columns, rows: Rows) -> list[int]:
    return [
        max(width_of(column.heading), *(width_of(row[i]) for row in rows), 0) if rows else width_of(column.heading)
        for i, column in enumerate(columns)
    ]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(map(fitted, cells, widths)).rstrip()


def _coloured(column: Column[Any], cell: str, text: str, style: Style) -> str:
    return style(text, STATUS_STYLES[cell]) if column.status and cell in STATUS_STYLES else text


# ── cards ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cards(columns: Columns, rows: Rows, width: int, style: Style) -> list[str]:
    """Draw each row as lines of labels and values, below the value that names it. No value is truncated."""
    head = next((i for i, column in enumerate(columns) if column.kept), 0)
    beside = next((i for i, column in enumerate(columns) if column.status and i != head), None)
    rest = [i for i in range(len(columns)) if i not in {head, beside}]
    labels = max((width_of(columns[i].heading) for i in rest), default=0)
    lines: list[str] = []
    for row in rows:
        if lines:
            lines.append("")
        lines += _card_head(columns, row, head, beside, width, style)
        pairs = [(columns[i].heading.lower(), row[i]) for i in rest if row[i]]
        lines += _card_body(pairs, labels, width, style)
    return lines


def _card_head(
    columns: Columns, row: Sequence[str], head: int, beside: int | None, width: int, style: Style
) -> list[str]:
    name = style(row[head], "bold")  # whole, even if the terminal must break it
    if beside is None:
        return [name]
    status = _coloured(columns[beside], row[beside], row[beside], style)
    room = width_of(row[head]) + _GAP + width_of(row[beside]) <= width
    return [f"{name}{' ' * _GAP}{status}"] if room else [name, f"{' ' * _GAP}{status}"]


def _card_body(pairs: Sequence[tuple[str, str]], labels: int, width: int, style: Style) -> list[str]:
    """Draw labels and values, two pairs on a line where both are short."""
    indent, between = " " * _GAP, " " * _GAP
    half = (width - 2 * _GAP) // 2
    room = max(1, width - _GAP - labels - _GAP)  # of a value that has the line for itself
    short = half - labels - _GAP  # at most, of one that shares it
    lines, left = [], ""
    for label, value in pairs:
        pair = style(f"{label:<{labels}}", "dim") + between + value
        if left and width_of(value) <= short:
            lines.append(left + pair)
            left = ""
            continue
        if left:
            lines.append(left.rstrip())
            left = ""
        if width_of(value) <= short:
            left = indent + style(f"{label:<{labels}}", "dim") + between + fitted(value, short) + between
            continue
        first, *others = wrapped(value, room)
        lines.append(indent + style(f"{label:<{labels}}", "dim") + between + first)
        lines += [indent + " " * labels + between + line for line in others]
    return [*lines, left.rstrip()] if left else lines
