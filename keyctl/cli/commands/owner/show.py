"""`keyctl owner show`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.details import owner_facts
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import owner_object
from keyctl.cli.options import HandleArgument
from keyctl.times import utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def show(ctx: typer.Context, handle: HandleArgument) -> None:
    """Show one owner.

    \b
    Examples:
      keyctl owner show acme
    """
    from keyctl.store import owners

    context = context_of(ctx)
    with context.store.read() as connection:
        owner = owners.get(connection, handle)
        above = owners.with_ancestors(connection, owner.handle)[1:]
    if context.output.json:
        context.output.answer_json(owner_object(owner))
    else:
        parent = above[0].handle if above else None
        context.output.details(owner_facts(owner, parent=parent, now=utc_now()))
