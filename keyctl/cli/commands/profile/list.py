"""`keyctl profile list`."""

import typer

from keyctl.cli.columns import Column
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.records import ColumnsOption, FormatOption, choose_view, show_records
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from keyctl.profiles.model import Profile

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_COLUMNS: list[Column[Profile]] = [
    Column("name", lambda profile: profile.name, kept=True, code=True),
    Column("description", lambda profile: profile.description, least=20),
]


@app.command("list", cls=Command)
def list_profiles(
    ctx: typer.Context,
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """List the built-in profiles.

    \b
    Examples:
      keyctl profile list
    """
    context = context_of(ctx)
    view = choose_view(context, _COLUMNS, given=output_format, jsonl=jsonl, names=columns)
    show_records(
        context,
        view,
        [load_profile(name) for name in preset_names()],
        named="profiles",
        object_of=lambda profile: {"name": profile.name, "description": profile.description},
    )
