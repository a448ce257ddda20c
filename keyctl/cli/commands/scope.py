"""`keyctl scope`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import report
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, YesOption, split_commas
from keyctl.cli.selection import CHANGEABLE, SelectionOptions, confirm_selection, counted_admin
from keyctl.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
@expand_options
def scope(
    ctx: typer.Context,
    which: SelectionOptions,
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
      keyctl scope --scope write --owner acme --remove write --yes
    """
    from keyctl.admin.keys import ScopeChange

    context = context_of(ctx)
    if not (add or remove or set_):
        raise UsageError("nothing to change", hint="add --add, --remove or --set SCOPE")
    if set_ and (add or remove):
        raise UsageError("--set cannot be used with --add or --remove", hint="to replace all scopes, give only --set")
    change = ScopeChange(add=split_commas(add) or (), remove=split_commas(remove) or (), only=split_commas(set_))
    selection = confirm_selection(
        context, which, which.choose(context, CHANGEABLE), "change the scopes of", yes=yes, dry_run=dry_run
    )
    with counted_admin(context) as admin:
        changes = admin.scope(selection, change, reason=reason, dry_run=dry_run)
    report(context, changes, "changed", already="already has these scopes", dry_run=dry_run, jsonl=jsonl)
