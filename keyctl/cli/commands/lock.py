"""`keyctl lock`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import report
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, YesOption
from keyctl.cli.selection import UNEXPIRED, SelectionOptions, confirm_selection, counted_admin
from keyctl.times import parse_duration

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
@expand_options
def lock(
    ctx: typer.Context,
    which: SelectionOptions,
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
      keyctl lock --owner acme --env live --yes
    """
    context = context_of(ctx)
    length = parse_duration(duration) if duration is not None else None
    selection = confirm_selection(context, which, which.choose(context, UNEXPIRED), "lock", yes=yes, dry_run=dry_run)
    with counted_admin(context) as admin:
        changes = admin.lock(selection, duration=length, reason=reason, dry_run=dry_run)
    report(context, changes, "locked", already="is already locked", dry_run=dry_run, jsonl=jsonl)
