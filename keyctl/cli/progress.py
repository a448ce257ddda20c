"""Shows the progress of a long command on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from keyctl.cli.output import Output

_FEW = 10  # steps: fewer need no bar


@contextmanager
def counting(output: Output, what: str) -> Iterator[Callable[[int], None]]:
    """Yield what adds to the number of `what` that is shown on stderr, if that is a terminal."""
    if not _is_shown(output):
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


@contextmanager
def filling(output: Output, what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield what advances a bar of `total` steps by one, if that is ten or more and stderr is a terminal."""
    if total < _FEW or not _is_shown(output):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, no_color=not output.color)
    # By default Rich replaces sys.stdout: the keys would go through it, and to stderr
    with Progress(console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task(what, total=total)

        def advance() -> None:
            progress.advance(task)
            if progress.finished:  # the bar is gone before the keys are printed
                progress.stop()

        yield advance


def _is_shown(output: Output) -> bool:
    # A dumb terminal cannot erase: what is shown there would stay.
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    return not output.quiet and on_terminal and os.environ.get("TERM") != "dumb"
