"""`keyctl db …`."""

from typing import Annotated

import typer

from keyctl.cli.command import Command, Group
from keyctl.cli.context import DryRunOption, ReasonOption, context_of
from keyctl.cli.hash_options import Argon2Option, HashOption, hash_scheme

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Look after the database: its schema, its hashes.

\b
Examples:
  keyctl db status
  keyctl db upgrade
""",
)


@app.command(cls=Command)
def status(ctx: typer.Context) -> None:
    """Show which schema the store has, and which this keyctl needs.

    \b
    Examples:
      keyctl db status
    """
    from keyctl.sqlite_reader import SCHEMA_REVISION, no_schema

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
        context.output.note("bring it up to date: keyctl db upgrade")


@app.command(cls=Command)
def upgrade(
    ctx: typer.Context,
    sql: Annotated[bool, typer.Option("--sql", help="Print the schema's DDL for a DBA; change nothing.")] = False,
) -> None:
    """Bring the schema up to date, in one transaction.

    \b
    Examples:
      keyctl db upgrade
      keyctl db upgrade --sql --store postgresql:///keys

    Of two upgrades at once, one runs and the other waits for it.
    """
    from keyctl.store import schema

    context = context_of(ctx)
    if sql:
        context.output.answer(schema.ddl("sqlite" if context.location.file else "postgresql"))
        return
    before, after = schema.upgrade(context.database)
    if before == after:
        context.output.note("the schema was up to date: nothing was changed")
    if context.output.json:
        context.output.answer_json({"store": str(context.location), "before": before, "after": after})
    else:
        context.output.answer(f"schema {after}")


@app.command("hash", cls=Command)
def set_hash(
    ctx: typer.Context,
    scheme: HashOption = None,
    argon2: Argon2Option = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Show what keys are hashed with, or set it for keys to come.

    \b
    Examples:
      keyctl db hash
      keyctl db hash --argon2 m=47104,t=2,p=1

    A key keeps its own hash; verify --record replaces one that is weaker than the store's.
    """
    context = context_of(ctx)
    output = context.output
    if scheme is not None or argon2 is not None:
        from keyctl.hash_admin import set_scheme

        wanted = hash_scheme(scheme, argon2)
        context.authorise()
        if not set_scheme(context.store, context.actor, wanted, reason=reason, dry_run=dry_run):
            output.note(f"the store hashes with {wanted} already: nothing was changed")
        elif dry_run:
            output.note(f"would hash new keys with {wanted}: nothing was changed")
    present = str(context.store.hash_parameters)
    if output.json:
        output.answer_json({"hash": present})
    else:
        output.answer(present)
