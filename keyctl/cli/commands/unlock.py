"""`keyctl unlock`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import confirm_several, report
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, SelectorsArgument, YesOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def unlock(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Unlock keys.

    \b
    Examples:
      keyctl unlock kc_live_3fa9c2d1e8b7
    """
    context = context_of(ctx)
    confirm_several(context, selectors, "unlock", yes=yes, dry_run=dry_run)
    changes = context.admin.unlock(selectors, reason=reason, dry_run=dry_run)
    report(context, changes, "unlocked", already="is not locked", dry_run=dry_run, jsonl=jsonl)
