"""`keyctl owner disable`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, HandleArgument, ReasonOption
from keyctl.cli.owner_changes import report

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def disable(
    ctx: typer.Context, handle: HandleArgument, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Disable an owner and every owner below; their keys are refused.

    \b
    Examples:
      keyctl owner disable acme --reason "unpaid"
    """
    context = context_of(ctx)
    change = context.owner_admin.disable(handle, reason=reason, dry_run=dry_run)
    report(context, change, "disabled", already="is already disabled", dry_run=dry_run)
