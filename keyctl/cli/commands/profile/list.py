"""`keyctl profile list`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.output import Column
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("list", cls=Command)
def list_profiles(ctx: typer.Context) -> None:
    """List the built-in profiles.

    \b
    Examples:
      keyctl profile list
    """
    output = context_of(ctx).output
    profiles = [load_profile(name) for name in preset_names()]
    if output.json:
        output.answer_json({"profiles": [{"name": one.name, "description": one.description} for one in profiles]})
        return
    rows = [[one.name, one.description] for one in profiles]
    output.table([Column("NAME"), Column("DESCRIPTION", elastic=True)], rows, rows)
