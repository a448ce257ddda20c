"""`keyctl scope`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import confirm_several, report
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, SelectorsArgument, YesOption, split_commas
from keyctl.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def scope(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    add: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help="Scope to add; repeatable or comma-separated.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help="Scope to remove; repeatable or comma-separated.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SCOPE", help="Replace all scopes with this one; repeatable or comma-separated."),
    ] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Add, remove or replace the scopes of keys.

    \b
    Examples:
      keyctl scope kc_live_3fa9c2d1e8b7 --add write
      keyctl scope kc_live_3fa9c2d1e8b7 --set read --reason "least privilege"
    """
    from keyctl.admin.keys import ScopeChange

    context = context_of(ctx)
    if not (add or remove or set_):
        raise UsageError("nothing to change", hint="add --add, --remove or --set SCOPE")
    if set_ and (add or remove):
        raise UsageError("--set cannot be used with --add or --remove", hint="to replace all scopes, give only --set")
    change = ScopeChange(add=split_commas(add) or (), remove=split_commas(remove) or (), only=split_commas(set_))
    confirm_several(context, selectors, "change the scopes of", yes=yes, dry_run=dry_run)
    changes = context.admin.scope(selectors, change, reason=reason, dry_run=dry_run)
    report(context, changes, "changed", already="already has these scopes", dry_run=dry_run, jsonl=jsonl)
