"""`keyctl owner disable`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, HandleArgument, ReasonOption, YesOption
from keyctl.cli.owner_changes import confirm_disabling, report

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def disable(
    ctx: typer.Context,
    handle: HandleArgument,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Disable an owner and every owner below; their keys are refused.

    \b
    Examples:
      keyctl owner disable acme --reason "unpaid"

    Says how many owners and keys stop, and asks for confirmation.
    """
    context = context_of(ctx)
    if not (yes or dry_run):
        confirm_disabling(context, context.owner_admin.disable(handle, reason=reason, dry_run=True))
    change = context.owner_admin.disable(handle, reason=reason, dry_run=dry_run)
    report(context, change, "disabled", already="is already disabled", effect="stop", dry_run=dry_run)
