"""`keyctl expire`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import report
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, YesOption
from keyctl.cli.selection import CHANGEABLE, SelectionOptions, confirm_selection, counted_admin

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
@expand_options
def expire(
    ctx: typer.Context,
    which: SelectionOptions,
    to: Annotated[str, typer.Option(metavar="TIME", help="New expiry: 30d, 2027-01-31 (included) or never.")],
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Set or remove the expiry of keys.

    \b
    Examples:
      keyctl expire kc_live_3fa9c2d1e8b7 --to 30d
      keyctl expire kc_live_3fa9c2d1e8b7 --to never
      keyctl expire --meta team=web --to 90d --yes
    """
    context = context_of(ctx)
    selection = confirm_selection(
        context, which, which.choose(context, CHANGEABLE), "set the expiry of", yes=yes, dry_run=dry_run
    )
    with counted_admin(context) as admin:
        changes = admin.expire(selection, to, reason=reason, dry_run=dry_run)
    report(context, changes, "changed", already="already expires at that time", dry_run=dry_run, jsonl=jsonl)
