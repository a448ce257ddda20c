"""`keyctl profile check`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.details import example_prefix
from keyctl.cli.help_layout import Command
from keyctl.profiles.files import load_profile

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def check(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="Profile to check.")]
) -> None:
    """Check a profile and report every error.

    \b
    Examples:
      keyctl profile check ./acme.toml
    """
    output = context_of(ctx).output
    profile = load_profile(name)
    example = example_prefix(profile)
    output.result(
        f"{profile.name}: no faults; its keys look like {example}",
        {"valid": True, "name": profile.name, "example": example},
    )
