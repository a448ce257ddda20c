"""`keyctl owner update`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import (
    AttributeOption,
    DryRunOption,
    HandleArgument,
    NameOption,
    ParentOption,
    PlanOption,
    ReasonOption,
)
from keyctl.cli.owner_changes import report
from keyctl.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def update(
    ctx: typer.Context,
    handle: HandleArgument,
    name: NameOption = None,
    parent: ParentOption = None,
    plan: PlanOption = None,
    attr: AttributeOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Change an owner; an empty value clears a field.

    \b
    Examples:
      keyctl owner update acme --name "Acme Ltd"
      keyctl owner update acme-eu --parent ''
    """
    context = context_of(ctx)
    if name is None and parent is None and plan is None and not attr:
        raise UsageError("nothing to change", hint="add --name, --parent, --plan or --attr")
    change = context.owner_admin.update(
        handle, name=name, parent=parent, plan=plan, attributes=attr or (), reason=reason, dry_run=dry_run
    )
    report(context, change, "changed", already="already has these values", dry_run=dry_run)
