"""`keyctl lock`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import confirm_several, report
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, SelectorsArgument, YesOption
from keyctl.times import parse_duration

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def lock(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long. [default: until unlocked]")
    ] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Suspend keys for a time, or until they are unlocked.

    \b
    Examples:
      keyctl lock kc_live_3fa9c2d1e8b7 --for 1h --reason "unusual traffic"
      keyctl lock kc_live_3fa9c2d1e8b7
    """
    context = context_of(ctx)
    confirm_several(context, selectors, "lock", yes=yes, dry_run=dry_run)
    changes = context.admin.lock(
        selectors,
        duration=parse_duration(duration) if duration is not None else None,
        reason=reason,
        dry_run=dry_run,
    )
    report(context, changes, "locked", already="is already locked", dry_run=dry_run, jsonl=jsonl)
