"""`keyctl version`."""

import typer

from keyctl import __version__
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def version(ctx: typer.Context) -> None:
    """Print the version.

    \b
    Examples:
      keyctl version
      keyctl version --json

    With --json also those of Python, the platform and the SQLite library: what a bug report needs.
    """
    output = context_of(ctx).output
    if not output.json:
        output.answer(f"keyctl {__version__}")
        return
    import platform
    import sqlite3

    output.answer_json(
        {
            "version": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "sqlite": sqlite3.sqlite_version,
        }
    )
