"""`keyctl unlock`."""

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import report
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, YesOption
from keyctl.cli.selection import SelectionOptions, confirm_selection, counted_admin
from keyctl.models import Status

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
@expand_options
def unlock(
    ctx: typer.Context,
    which: SelectionOptions,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Unlock keys.

    \b
    Examples:
      keyctl unlock kc_live_3fa9c2d1e8b7
      keyctl unlock --owner acme --yes
    """
    context = context_of(ctx)
    selection = confirm_selection(
        context, which, which.choose(context, (Status.LOCKED,)), "unlock", yes=yes, dry_run=dry_run
    )
    with counted_admin(context) as admin:
        changes = admin.unlock(selection, reason=reason, dry_run=dry_run)
    report(context, changes, "unlocked", already="is not locked", dry_run=dry_run, jsonl=jsonl)
