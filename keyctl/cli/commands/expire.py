"""`keyctl expire`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import confirm_several, report
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, SelectorsArgument, YesOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def expire(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    to: Annotated[str, typer.Option(metavar="TIME", help="New expiry time: 30d, 2027-01-31T00:00:00Z or never.")],
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
    """
    context = context_of(ctx)
    confirm_several(context, selectors, "set the expiry of", yes=yes, dry_run=dry_run)
    changes = context.admin.expire(selectors, to, reason=reason, dry_run=dry_run)
    report(context, changes, "changed", already="already expires at that time", dry_run=dry_run, jsonl=jsonl)
