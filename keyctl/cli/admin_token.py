"""`keyctl admin-token …`."""

from pathlib import Path
from typing import Annotated

import typer

from keyctl.cli.command import Command, Group
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.presented import read_new_secret

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Protect every change with a token.

\b
Examples:
  keyctl admin-token set
  keyctl admin-token rotate --token-file new-token
""",
)

TokenFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read the new token from a file. [standard input]")
]


@app.command("set", cls=Command)
def set_token(ctx: typer.Context, token_file: TokenFileOption = None) -> None:
    """Set the token that every change then needs.

    \b
    Examples:
      keyctl admin-token set
      keyctl admin-token set < token.txt

    The token is a password of at least 12 characters; only its Argon2id hash is kept. It is then given by
    KEYCTL_ADMIN_TOKEN, by --admin-token-file, or at a prompt.
    """
    context = context_of(ctx)
    context.admin_token.set(read_new_secret(token_file, "New admin token"))
    _answer(context, "set")


@app.command(cls=Command)
def rotate(ctx: typer.Context, token_file: TokenFileOption = None) -> None:
    """Replace the token; the present one is needed.

    \b
    Examples:
      keyctl admin-token rotate
      keyctl admin-token rotate --admin-token-file old --token-file new
    """
    context = context_of(ctx)
    context.authorise()
    context.admin_token.rotate(read_new_secret(token_file, "New admin token"))
    _answer(context, "rotated")


@app.command(cls=Command)
def clear(ctx: typer.Context) -> None:
    """Remove the token; the present one is needed.

    \b
    Examples:
      keyctl admin-token clear
    """
    context = context_of(ctx)
    context.authorise()
    if not context.admin_token.clear():
        context.output.note("the store has no admin token: nothing was changed")
    _answer(context, "cleared")


def _answer(context: CommandContext, done: str) -> None:
    if context.output.json:
        context.output.answer_json({"admin_token": done})
    else:
        context.output.answer(f"admin token {done}")
