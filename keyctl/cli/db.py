"""`keyctl db …`."""

from __future__ import annotations

import typer

from keyctl.cli.command import Command
from keyctl.cli.context import context_of

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, help="Look after the database's schema."
)


@app.command(cls=Command)
def status(ctx: typer.Context) -> None:
    """Show which schema the store has, and which this keyctl needs.

    \b
    Examples:
      keyctl db status
    """
    from keyctl.errors import StoreUnavailable
    from keyctl.sqlite_reader import SCHEMA_REVISION
    from keyctl.store.database import Database

    context = context_of(ctx)
    revision = Database(context.location, wait=context.wait).revision()
    if revision is None:
        raise StoreUnavailable(f"there is no keyctl store at {context.location}", hint="create it: keyctl init")
    state = "current" if revision == SCHEMA_REVISION else "older" if revision < SCHEMA_REVISION else "newer"
    if context.output.json:
        facts = {"store": str(context.location), "schema": revision, "needed": SCHEMA_REVISION, "state": state}
        context.output.answer_json(facts)
        return
    pairs = [("store", str(context.location)), ("schema", revision), ("needed", SCHEMA_REVISION), ("state", state)]
    context.output.details(pairs)
    if state == "older":
        context.output.note("bring it up to date: keyctl db upgrade")


@app.command(cls=Command)
def upgrade(ctx: typer.Context) -> None:
    """Bring the schema up to date, in one transaction.

    \b
    Examples:
      keyctl db upgrade
    """
    from keyctl.store.database import Database
    from keyctl.store.schema import upgrade as upgrade_schema

    context = context_of(ctx)
    before, after = upgrade_schema(Database(context.location, wait=context.wait))
    if before == after:
        context.output.note("the schema was up to date: nothing was changed")
    if context.output.json:
        context.output.answer_json({"store": str(context.location), "before": before, "after": after})
    else:
        context.output.answer(f"schema {after}")
