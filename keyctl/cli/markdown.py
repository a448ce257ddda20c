"""Markdown on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent
from typing import ClassVar

from rich.console import Console, ConsoleOptions, JustifyMethod
from rich.markdown import CodeBlock, Markdown, MarkdownElement, TableDataElement
from rich.text import Text
from rich.theme import Theme


class _Code(CodeBlock):
    """A block of code, neither wrapped nor colored, so that it can be copied."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(indent(str(self.text).rstrip(), "    "), no_wrap=True, overflow="ignore")


class _Cell(TableDataElement):
    """A cell of a table. What does not fit is wrapped; Rich would truncate it."""

    def __init__(self, justify: JustifyMethod) -> None:
        super().__init__(justify)
        self.content.overflow = "fold"


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "th_open": _Cell,
        "td_open": _Cell,
    }


def render(text: str, *, width: int, color: bool) -> str:
    """Return Markdown as a terminal shows it, in lines of at most `width` columns; those of code are as they are."""
    theme = Theme({"markdown.code": "bold cyan"})  # Rich's own has a black background
    # The height is not used; without one Rich takes no width for a dumb terminal.
    console = Console(width=width, height=25, no_color=not color, highlight=False, theme=theme)
    with console.capture() as capture:
        console.print(_Markdown(text, hyperlinks=False), crop=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
