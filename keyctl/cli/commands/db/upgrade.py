"""`keyctl db upgrade`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def upgrade(
    ctx: typer.Context,
    sql: Annotated[bool, typer.Option("--sql", help="Print the schema's DDL; change nothing.")] = False,
) -> None:
    """Upgrade the schema in one transaction.

    \b
    Examples:
      keyctl db upgrade
      keyctl db upgrade --sql --store postgresql:///keys

    If two upgrades start at the same time, the second waits for the first.
    """
    from keyctl.store import schema

    context = context_of(ctx)
    if sql:
        context.output.answer(schema.ddl("sqlite" if context.location.file else "postgresql"))
        return
    before, after = schema.upgrade(context.database)
    if before == after:
        context.output.note("the schema is already up to date: nothing was changed")
    context.output.result(f"schema {after}", {"store": str(context.location), "before": before, "after": after})
