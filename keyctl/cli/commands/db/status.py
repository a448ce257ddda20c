"""`keyctl db status`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def status(ctx: typer.Context) -> None:
    """Show the schema of the store and the one this keyctl needs.

    \b
    Examples:
      keyctl db status
    """
    from keyctl.store.opening import SCHEMA_REVISION, no_schema

    context = context_of(ctx)
    revision = context.database.revision()
    if revision is None:
        raise no_schema(str(context.location))
    state = "current" if revision == SCHEMA_REVISION else "older" if revision < SCHEMA_REVISION else "newer"
    if context.output.json:
        facts = {"store": str(context.location), "schema": revision, "needed": SCHEMA_REVISION, "state": state}
        context.output.answer_json(facts)
        return
    pairs = [("store", str(context.location)), ("schema", revision), ("needed", SCHEMA_REVISION), ("state", state)]
    context.output.details(pairs)
    if state == "older":
        context.output.note("to upgrade the schema: keyctl db upgrade")
