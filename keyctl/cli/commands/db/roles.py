"""`keyctl db roles`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def roles(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(metavar="NAME", help="Start of the names of the roles.")] = "keyctl",
) -> None:
    """Print SQL for PostgreSQL roles that administer, verify or record use.

    \b
    Examples:
      keyctl db roles
      keyctl db roles --name billing

    The roles are NAME_admin, NAME_verify and NAME_record. No store is opened. Grant one of them to each login that uses
    the store; a service that verifies and records use needs the last two.
    """
    from keyctl.store.postgres_roles import role_statements

    sql = role_statements(name)
    context_of(ctx).output.result(sql, {"sql": sql})
