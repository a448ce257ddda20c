"""`keyctl admin-token set`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import TokenFileOption
from keyctl.cli.secret_input import read_new_secret

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("set", cls=Command)
def set_token(ctx: typer.Context, token_file: TokenFileOption = None) -> None:
    """Set the token that every change then requires.

    \b
    Examples:
      keyctl admin-token set
      keyctl admin-token set < token.txt

    The token is a password of at least 12 characters; the store keeps only its Argon2id hash. Give it in
    KEYCTL_ADMIN_TOKEN, with --admin-token-file, or at a prompt.
    """
    context = context_of(ctx)
    context.admin_token.set(read_new_secret(token_file, "New admin token"))
    context.output.result("admin token set", {"admin_token": "set"})
