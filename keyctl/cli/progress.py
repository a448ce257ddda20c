"""Shows the progress of a long command on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from keyctl.cli.output import Output


@contextmanager
def counting(output: Output, what: str) -> Iterator[Callable[[int], None]]:
    """Yield what adds to the number of `what` that is shown on stderr, if that is a terminal."""
    # A dumb terminal cannot erase: what is shown there would stay.
    if output.quiet or sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _: None
        return
    with ExitStack() as shown:
        advance: Callable[[int], None] | None = None

        def count(number: int) -> None:
            nonlocal advance
            if advance is None:  # at the first one: a short command does not import Rich
                advance = shown.enter_context(_progress(output, what))
            advance(number)

        yield count


@contextmanager
def _progress(output: Output, what: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,.0f}} {what}"))
    console = Console(stderr=True, no_color=not output.color)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(what, total=None)
        yield lambda number: progress.advance(task, number)
