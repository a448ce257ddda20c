"""`keyctl owner enable`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, HandleArgument, ReasonOption
from keyctl.cli.owner_changes import report

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def enable(
    ctx: typer.Context, handle: HandleArgument, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Enable a disabled owner; its keys work again.

    \b
    Examples:
      keyctl owner enable acme
    """
    context = context_of(ctx)
    change = context.owner_admin.enable(handle, reason=reason, dry_run=dry_run)
    report(context, change, "enabled", already="is already active", effect="work again", dry_run=dry_run)
