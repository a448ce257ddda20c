"""`keyctl owner add`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import (
    AttributeOption,
    DryRunOption,
    HttpOption,
    NameOption,
    ParentOption,
    PlanOption,
    ReasonOption,
)
from keyctl.cli.owner_changes import report
from keyctl.cli.platform_answers import owner_answer, require_answer
from keyctl.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def add(
    ctx: typer.Context,
    handle: Annotated[str, typer.Argument(metavar="HANDLE", help="Handle of the new owner.")],
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Kind of owner, from the profile.")] = None,
    name: NameOption = None,
    parent: ParentOption = None,
    plan: PlanOption = None,
    attr: AttributeOption = None,
    ensure: Annotated[bool, typer.Option("--ensure", help="Succeed if the owner already exists.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    http: HttpOption = False,
) -> None:
    """Add an owner.

    \b
    Examples:
      keyctl owner add acme --name "Acme Ltd"
      keyctl owner add acme-eu --parent acme --ensure
    """
    from keyctl.admin.owners import NewOwner

    context = context_of(ctx)
    if http and dry_run:
        raise UsageError("--http cannot be used with --dry-run", hint="omit --dry-run")
    if http:
        require_answer(context, "owner_added")
    new = NewOwner(handle, kind=kind, name=name, parent=parent, plan=plan, attributes=attr or ())
    change = context.owner_admin.add(new, ensure=ensure, reason=reason, dry_run=dry_run)
    if http:
        context.output.answer_exactly(owner_answer(context, change))
        return
    report(context, change, "added", already="already exists", dry_run=dry_run)
