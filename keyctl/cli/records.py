"""How every list is printed: the options that choose its form, and the one function that prints it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Generic

import typer

from keyctl.cli.columns import Column, Record, choose
from keyctl.cli.options import split_commas
from keyctl.cli.output import to_json
from keyctl.errors import UsageError, suggestion
from keyctl.text import brief, visible

if TYPE_CHECKING:
    from keyctl.cli.context import CommandContext

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        rich_help_panel="Output",
        help="Print table, tsv, csv, markdown, json or jsonl.",
    ),
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--columns", metavar="COLUMNS", rich_help_panel="Output", help="Columns to print, separated by commas."
    ),
]


class Format(StrEnum):
    """The form of a list."""

    TABLE = "table"
    TSV = "tsv"
    CSV = "csv"
    MARKDOWN = "markdown"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True)
class View(Generic[Record]):
    """How a list is to be printed: in which form, and with which columns."""

    format: Format
    columns: tuple[Column[Record], ...]

    @property
    def whole(self) -> bool:
        """Whether a list without an explicit limit has all results: for programs that could not see that it ends."""
        return self.format in {Format.JSONL, Format.CSV}


def choose_view(
    context: CommandContext,
    columns: Sequence[Column[Record]],
    *,
    given: str | None,
    jsonl: bool = False,
    names: list[str] | None = None,
    wide: bool = False,
) -> View[Record]:
    """Return how to print a list, from the options --format, --json, --jsonl, --columns and --wide.

    With a form of JSON, errors are JSON from then on. Raises UsageError for what is unknown or contradictory.
    """
    chosen = choose_format(context, given, jsonl=jsonl)
    in_json = chosen in {Format.JSON, Format.JSONL}
    if in_json and names:
        raise UsageError(
            f"--columns cannot be used with --{chosen}: its objects have all fields",
            hint="omit --columns, or use --format tsv, csv or markdown",
        )
    people = chosen is Format.TABLE
    return View(chosen, choose(columns, split_commas(names), wide=wide, people=people))


def choose_format(context: CommandContext, given: str | None, *, jsonl: bool = False) -> Format:
    """Return the form that the options ask for. Raises UsageError."""
    output = context.output
    asked = {Format.JSON: output.json, Format.JSONL: jsonl}
    wanted = {name: f"--{name}" for name, is_asked in asked.items() if is_asked}
    if given is not None:
        wanted.setdefault(_parse(given), f"--format {given}")
    if len(wanted) > 1:
        first, second = list(wanted.values())[:2]
        raise UsageError(f"{first} cannot be used with {second}", hint="omit one of them")
    default = Format.TABLE if output.on_terminal else Format.TSV
    chosen = next(iter(wanted), default)
    output.json = chosen is Format.JSON
    output.json_errors |= chosen in {Format.JSON, Format.JSONL}
    return chosen


def show_records(
    context: CommandContext,
    view: View[Record],
    records: Iterable[Record],
    *,
    named: str,
    object_of: Callable[[Record], Mapping[str, Any]],
    also: Mapping[str, Any] | None = None,
    nothing: str = "",
) -> None:
    """Print a list. `nothing` is the note for an empty one.

    JSON is one object whatever the number of records: a list in the field `named`, and the fields of `also`. Only JSON
    and a table need all records at once; the other forms print each as it comes.
    """
    output, count = context.output, 0

    def counted() -> Iterator[Record]:
        nonlocal count
        for record in records:
            count += 1
            yield record

    if view.format is Format.JSON:
        output.answer_json({named: [object_of(record) for record in records], **(also or {})})
        return
    if view.format is Format.JSONL:
        output.answer_lines(to_json(object_of(record)) for record in counted())
    elif view.format is Format.TABLE:
        if rows := list(counted()):
            _show_table(context, view.columns, rows)
    else:
        show_lines(context, _lines(view, counted()))
    if nothing and not count:
        output.note(nothing)


def show_lines(context: CommandContext, lines: Iterable[str]) -> None:
    """Print lines, through a pager on a terminal where they do not fit."""
    if context.output.on_terminal:
        from keyctl.cli import pager

        pager.show(context.output, "\n".join(lines))
    else:
        context.output.answer_lines(lines)


def note_dropped(context: CommandContext, names: Sequence[str]) -> None:
    """Name the columns that there was no room for, on a terminal."""
    if names and context.output.on_terminal:
        context.output.note(f"no room for {', '.join(names)}: widen the terminal, or choose with --columns")


def _parse(given: str) -> Format:
    try:
        return Format(given.lower())
    except ValueError:
        known = f"known: {', '.join(Format)}"
        raise UsageError(f'unknown format "{brief(given)}"', hint=suggestion(given, Format, otherwise=known)) from None


def _lines(view: View[Record], records: Iterable[Record]) -> Iterator[str]:
    from keyctl.cli.machine_formats import csv_lines, markdown_lines, tsv_lines

    lines_of = {Format.TSV: tsv_lines, Format.CSV: csv_lines, Format.MARKDOWN: markdown_lines}
    return lines_of[view.format](view.columns, records)


def _show_table(context: CommandContext, columns: Sequence[Column[Record]], records: Sequence[Record]) -> None:
    from keyctl.cli.screen import size
    from keyctl.cli.tables import draw

    rows = [[visible(column.for_people(record)) for column in columns] for record in records]
    shown = [i for i, column in enumerate(columns) if not column.sparse or any(row[i] for row in rows)]
    rows = [[row[i] for i in shown] for row in rows]
    drawn = draw([columns[i] for i in shown], rows, width=size()[0], style=context.output.style)
    show_lines(context, drawn.lines)
    note_dropped(context, drawn.dropped)
