"""`keyctl db pepper`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.times import utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def pepper(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Pepper file; created if it does not exist.")],
    pepper_id: Annotated[
        str | None, typer.Option("--id", metavar="TEXT", help="Id of the new pepper. [default: the date]")
    ] = None,
) -> None:
    """Add a new pepper to a file, and print its id.

    \b
    Examples:
      keyctl db pepper pepper.key
      keyctl db pepper pepper.key --id 2026-q4

    Opens no store. Once every reader has the file, this uses the new pepper: keyctl db hash --pepper ID
    """
    from keyctl.pepper import add

    output = context_of(ctx).output
    is_new = not os.path.lexists(file)
    chosen = add(file, pepper_id, today=utc_now().date())
    if is_new:
        output.note(f"created {file}: keep a copy in a safe place, since no key can be verified without it")
    output.note(f"once every reader has this file: keyctl db hash --pepper {chosen} --pepper-file {file}")
    output.result(chosen, {"pepper": chosen, "file": str(file)})
