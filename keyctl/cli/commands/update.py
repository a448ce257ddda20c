"""`keyctl update`."""

from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.key_changes import confirm_several, report
from keyctl.cli.options import DryRunOption, JsonLinesOption, ReasonOption, SelectorsArgument, YesOption
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from keyctl.admin.keys import Update

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def update(
    ctx: typer.Context,
    selectors: SelectorsArgument,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="New name; '' removes it.")] = None,
    allow_ip: Annotated[
        list[str] | None, typer.Option(metavar="CIDR", help="Accept the key only from this network; repeatable.")
    ] = None,
    any_ip: Annotated[bool, typer.Option("--any-ip", help="Accept the key from any network.")] = False,
    meta: Annotated[
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
      keyctl update kc_live_3fa9c2d1e8b7 --name "billing worker"
      keyctl update kc_live_3fa9c2d1e8b7 --allow-ip 192.0.2.0/24 --meta team=web
    """
    context = context_of(ctx)
    if allow_ip and any_ip:
        raise UsageError("--allow-ip cannot be used with --any-ip")
    new = _update(name, [] if any_ip else allow_ip, meta or [])
    confirm_several(context, selectors, "change", yes=yes, dry_run=dry_run)
    changes = context.admin.update(selectors, new, reason=reason, dry_run=dry_run)
    report(context, changes, "changed", already="already has these values", dry_run=dry_run, jsonl=jsonl)


def _update(name: str | None, networks: list[str] | None, pairs: list[str]) -> "Update":
    from keyctl.admin.keys import Update

    if name is None and networks is None and not pairs:
        raise UsageError("nothing to change", hint="add --name, --allow-ip, --any-ip or --meta")
    return Update(name=name, allowed_ips=networks, metadata=pairs)
