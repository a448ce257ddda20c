"""`keyctl update`."""

from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import report
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, YesOption
from keyctl.cli.selection import CHANGEABLE, SelectionOptions, confirm_selection, counted_admin
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from keyctl.admin.keys import Update

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
@expand_options
def update(
    ctx: typer.Context,
    which: SelectionOptions,
    set_name: Annotated[str | None, typer.Option(metavar="TEXT", help="New name; '' removes it.")] = None,
    allow_ip: Annotated[
        list[str] | None, typer.Option(metavar="CIDR", help="Accept the key only from this network; repeatable.")
    ] = None,
    any_ip: Annotated[bool, typer.Option("--any-ip", help="Accept the key from any network.")] = False,
    set_meta: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Metadata to set; K= removes it; repeatable.")
    ] = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """Change the name, allowed networks and metadata of keys.

    \b
    Examples:
      keyctl update kc_live_3fa9c2d1e8b7 --set-name "billing worker"
      keyctl update kc_live_3fa9c2d1e8b7 --allow-ip 192.0.2.0/24
      keyctl update --name 'ci-*' --set-meta team=build --yes

    --name and --meta select keys; what they are set to is given with --set-name and --set-meta.
    """
    context = context_of(ctx)
    if allow_ip and any_ip:
        raise UsageError("--allow-ip cannot be used with --any-ip")
    new = _update(set_name, [] if any_ip else allow_ip, set_meta or [])
    selection = confirm_selection(context, which, which.choose(context, CHANGEABLE), "change", yes=yes, dry_run=dry_run)
    with counted_admin(context) as admin:
        changes = admin.update(selection, new, reason=reason, dry_run=dry_run)
    report(context, changes, "changed", already="already has these values", dry_run=dry_run, jsonl=jsonl)


def _update(name: str | None, networks: list[str] | None, pairs: list[str]) -> "Update":
    from keyctl.admin.keys import Update

    if name is None and networks is None and not pairs:
        raise UsageError("nothing to change", hint="add --set-name, --set-meta, --allow-ip or --any-ip")
    return Update(name=name, allowed_ips=networks, metadata=pairs)
