"""`keyctl admin-token clear`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def clear(ctx: typer.Context) -> None:
    """Remove the token; requires the current one.

    \b
    Examples:
      keyctl admin-token clear
    """
    context = context_of(ctx)
    context.authorise()
    if not context.admin_token.clear():
        context.output.note("the store has no admin token: nothing was changed")
    context.output.result("admin token cleared", {"admin_token": "cleared"})
