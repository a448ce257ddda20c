"""Markdown on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent
from typing import Any, ClassVar, cast

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from keyctl.cli.table_layout import labelled, widths

_BETWEEN = 2  # columns between those of a table
_INDENT = 2


class _Code(CodeBlock):
    """A block of code, neither wrapped nor colored, so that it can be copied."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(indent(str(self.text).rstrip(), "    "), no_wrap=True, overflow="ignore")


class _Table(TableElement):
    """A table in which no word is broken. Where that does not fit, each row is a list of its cells."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        header, body = cast(Any, self.header), cast(Any, self.body)
        head, *rows = [[cell.content for cell in row.cells] for row in (header.row, *body.rows)]
        plain = [[cell.plain for cell in row] for row in (head, *rows)]
        fitting = widths(plain, options.max_width - _BETWEEN * (len(head) - 1))
        if fitting is None:
            for row, texts in zip(rows, plain[1:], strict=True):
                yield Text.assemble(row[0], justify="left")
                for label, place in labelled(plain[0], texts):
                    yield Padding(Text.assemble(label, row[place], justify="left"), (0, 0, 0, _INDENT))
            return
        style = "markdown.table.header"
        table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True, header_style=style)
        for heading, width in zip(head, fitting, strict=True):
            table.add_column(heading, width=width)
        for row in rows:
            table.add_row(*row)
        yield table


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "table_open": _Table,
    }


def render(text: str, *, width: int, color: bool) -> str:
    """Return Markdown as a terminal shows it, in lines of at most `width` columns; those of code are as they are."""
    theme = Theme({"markdown.code": "bold cyan"})  # Rich's own has a black background
    # The height is not used; without one Rich takes no width for a dumb terminal.
    console = Console(width=width, height=25, no_color=not color, highlight=False, theme=theme)
    with console.capture() as capture:
        console.print(_Markdown(text, hyperlinks=False), crop=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
