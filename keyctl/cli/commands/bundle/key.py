"""`keyctl bundle key`."""

from typing import Annotated

import typer

from keyctl.cli.bundle_files import default_signing_key
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import SigningKeyOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("key", cls=Command)
def show_key(
    ctx: typer.Context,
    create: Annotated[bool, typer.Option("--create", help="Create the key pair first.")] = False,
    key: SigningKeyOption = None,
) -> None:
    """Print the public key that verifies bundles.

    \b
    Examples:
      keyctl bundle key --create
      keyctl bundle key

    The private key is kept in a file, outside the database: access to the database is not enough to sign a bundle.
    """
    from keyctl.bundles.signing import SigningKey

    context = context_of(ctx)
    path = key or default_signing_key()
    signing_key = SigningKey.create(path) if create else SigningKey.load(path)
    if create:
        context.output.note(f"the private key is in {path}: keep a backup in a safe place")
    context.output.result(signing_key.public_text, {"public_key": signing_key.public_text, "file": str(path)})
