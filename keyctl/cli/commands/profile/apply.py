"""`keyctl profile apply`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, ReasonOption
from keyctl.profiles.files import load_profile
from keyctl.text import visible

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def apply(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="New profile of the store.")],
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Replace the profile of an existing store.

    \b
    Examples:
      keyctl profile apply ./acme.toml --dry-run
      keyctl profile apply ./acme.toml --reason "a scope for invoices"

    Prints the differences. Refuses to remove what live keys or owners still use. Keys of an earlier format remain
    valid.
    """
    context = context_of(ctx)
    new = load_profile(name)
    change = context.profile_admin.apply(new, reason=reason, dry_run=dry_run)
    if not change.differences:
        context.output.note("the store already has this profile: nothing was changed")
    elif dry_run:
        context.output.note("nothing was changed")
    if context.output.json:
        changed = bool(change.differences) and not dry_run
        context.output.answer_json({"profile": new.name, "changed": changed, "differences": list(change.differences)})
    elif change.differences:
        context.output.answer("\n".join(map(visible, change.differences)))
