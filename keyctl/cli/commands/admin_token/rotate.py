"""`keyctl admin-token rotate`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import TokenFileOption
from keyctl.cli.secret_input import read_new_secret

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def rotate(ctx: typer.Context, token_file: TokenFileOption = None) -> None:
    """Replace the token; requires the current one.

    \b
    Examples:
      keyctl admin-token rotate
      keyctl admin-token rotate --admin-token-file old --token-file new
    """
    context = context_of(ctx)
    context.authorise()
    context.admin_token.rotate(read_new_secret(token_file, "New admin token"))
    context.output.result("admin token rotated", {"admin_token": "rotated"})
