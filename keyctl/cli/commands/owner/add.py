"""`keyctl owner add`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import (
    AttributeOption,
    DryRunOption,
    NameOption,
    ParentOption,
    PlanOption,
    ReasonOption,
)
from keyctl.cli.owner_changes import report

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def add(
    ctx: typer.Context,
    handle: Annotated[str, typer.Argument(metavar="HANDLE", help="Handle of the new owner.")],
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Kind of owner, from the profile.")] = None,
    name: NameOption = None,
    parent: ParentOption = None,
    plan: PlanOption = None,
    attr: AttributeOption = None,
    ensure: Annotated[bool, typer.Option("--ensure", help="Succeed if the owner already exists.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Add an owner.

    \b
    Examples:
      keyctl owner add acme --name "Acme Ltd"
      keyctl owner add acme-eu --parent acme --ensure
    """
    from keyctl.admin.owners import NewOwner

    context = context_of(ctx)
    new = NewOwner(handle, kind=kind, name=name, parent=parent, plan=plan, attributes=attr or ())
    change = context.owner_admin.add(new, ensure=ensure, reason=reason, dry_run=dry_run)
    report(context, change, "added", already="already exists", dry_run=dry_run)
