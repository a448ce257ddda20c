"""Lists for programs: a line for each record, in tabs, CSV or Markdown. Every value is on one line, and visible."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from keyctl.cli.columns import Column
from keyctl.text import visible

# What Markdown would interpret in the middle of a line.
_MARKUP = re.compile(r"[\\`*_\[\]<>|~&]")


def tsv_lines(columns: Sequence[Column[Any]], records: Iterable[Any]) -> Iterator[str]:
    """Yield a line for each record, without a heading: a tab in a value is escaped."""
    for record in records:
        yield "\t".join(visible(column.plain(record)) for column in columns)


def csv_lines(columns: Sequence[Column[Any]], records: Iterable[Any]) -> Iterator[str]:
    """Yield a heading and a line for each record, as in RFC 4180: each ends with CR, and printing adds LF."""
    yield csv_line([column.name for column in columns])
    for record in records:
        yield csv_line([visible(column.plain(record)) for column in columns])


def csv_line(cells: Sequence[str]) -> str:
    """Return a line of CSV without its last character, LF."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r").writerow(cells)
    return written.getvalue()


def markdown_lines(columns: Sequence[Column[Any]], records: Iterable[Any]) -> Iterator[str]:
    """Yield a table in Markdown, in which nothing that a value holds is markup."""
    yield _markdown_row(column.name for column in columns)
    yield _markdown_row("---" for _ in columns)
    for record in records:
        yield _markdown_row(_markdown_cell(column, visible(column.plain(record))) for column in columns)


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(column: Column[Any], value: str) -> str:
    if column.code and value and not {"`", "|"} & set(value):
        return f"`{value}`"
    return _MARKUP.sub(r"\\\g<0>", value)
