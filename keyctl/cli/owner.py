"""`keyctl owner …`."""

from typing import TYPE_CHECKING, Annotated

import typer

from keyctl import policy
from keyctl.cli.command import Command, Group
from keyctl.cli.context import CommandContext, DryRunOption, JsonLinesOption, ReasonOption, context_of
from keyctl.cli.details import owner_facts
from keyctl.cli.output import Column
from keyctl.errors import UsageError
from keyctl.json_objects import owner_object
from keyctl.times import utc_now

if TYPE_CHECKING:
    from keyctl.models import Owner
    from keyctl.owner_admin import OwnerChange

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Add, list and change owners.

\b
Examples:
  keyctl owner add acme --name "Acme Ltd"
  keyctl owner list
""",
)

HandleArgument = Annotated[str, typer.Argument(metavar="HANDLE", help="The owner's handle or id.")]
NameOption = Annotated[str | None, typer.Option(metavar="TEXT", help="A name for people.")]
ParentOption = Annotated[str | None, typer.Option(metavar="HANDLE", help="The owner above.")]
PlanOption = Annotated[str | None, typer.Option(metavar="PLAN", help="The plan, from the profile.")]
AttributeOption = Annotated[
    list[str] | None, typer.Option(metavar="K=V", help="An attribute, from the profile; repeatable.")
]


@app.command(cls=Command)
def add(
    ctx: typer.Context,
    handle: Annotated[str, typer.Argument(metavar="HANDLE", help="What commands will call the owner.")],
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="The kind, from the profile.")] = None,
    name: NameOption = None,
    parent: ParentOption = None,
    plan: PlanOption = None,
    attr: AttributeOption = None,
    ensure: Annotated[bool, typer.Option("--ensure", help="An owner that is there already is fine.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Add an owner.

    \b
    Examples:
      keyctl owner add acme --name "Acme Ltd"
      keyctl owner add acme-eu --parent acme --ensure
    """
    from keyctl.owner_admin import NewOwner

    context = context_of(ctx)
    new = NewOwner(handle, kind=kind, name=name, parent=parent, plan=plan, attributes=attr or ())
    change = context.owner_admin.add(new, ensure=ensure, reason=reason, dry_run=dry_run)
    _report(context, change, "added", already="is there already", dry_run=dry_run)


@app.command("list", cls=Command)
def list_owners(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Owners of this kind.")] = None,
    parent: Annotated[str | None, typer.Option(metavar="HANDLE", help="Owners right below this one.")] = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """List owners.

    \b
    Examples:
      keyctl owner list
      keyctl owner list --parent acme --json
    """
    from keyctl.store import owners

    context = context_of(ctx)
    output = context.output
    wanted = policy.owner_kind(context.store.profile, kind).name if kind is not None else None
    with context.store.read() as connection:
        parent_id = owners.get(connection, parent).id if parent is not None else None
        found = owners.every(connection, kind=wanted, parent_id=parent_id)
        handles = {owner.id: owner.handle for owner in owners.every(connection)}
    if jsonl:
        for owner in found:
            output.answer_json(owner_object(owner))
        return
    if output.json:
        output.answer_json({"owners": [owner_object(owner) for owner in found]})
        return
    rows = [
        [
            owner.handle,
            owner.kind,
            owner.name or "",
            handles[owner.parent_id] if owner.parent_id else "",
            owner.plan or "",
            "active" if owner.active else "disabled",
        ]
        for owner in found
    ]
    columns = [
        Column("HANDLE", elastic=True, least=26),
        Column("KIND"),
        Column("NAME", elastic=True),
        Column("PARENT", elastic=True),
        Column("PLAN"),
        Column("STATUS"),
    ]
    if rows or not output.on_terminal:
        output.table(columns, rows, rows)
    if not rows:
        output.note("there are no owners yet; add one: keyctl owner add HANDLE")


@app.command(cls=Command)
def show(ctx: typer.Context, handle: HandleArgument) -> None:
    """Show one owner.

    \b
    Examples:
      keyctl owner show acme
    """
    from keyctl.store import owners

    context = context_of(ctx)
    with context.store.read() as connection:
        owner = owners.get(connection, handle)
        above = owners.with_ancestors(connection, owner.handle)[1:]
    if context.output.json:
        context.output.answer_json(owner_object(owner))
    else:
        parent = above[0].handle if above else None
        context.output.details(owner_facts(owner, parent=parent, now=utc_now()))


@app.command(cls=Command)
def update(
    ctx: typer.Context,
    handle: HandleArgument,
    name: NameOption = None,
    parent: ParentOption = None,
    plan: PlanOption = None,
    attr: AttributeOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Change an owner; an empty value clears.

    \b
    Examples:
      keyctl owner update acme --name "Acme Ltd"
      keyctl owner update acme-eu --parent ''
    """
    context = context_of(ctx)
    if name is None and parent is None and plan is None and not attr:
        raise UsageError("nothing to change", hint="add --name, --parent, --plan or --attr")
    change = context.owner_admin.update(
        handle, name=name, parent=parent, plan=plan, attributes=attr or (), reason=reason, dry_run=dry_run
    )
    _report(context, change, "changed", already="is so already", dry_run=dry_run)


@app.command(cls=Command)
def disable(
    ctx: typer.Context, handle: HandleArgument, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Stop an owner's keys and those of all owners below.

    \b
    Examples:
      keyctl owner disable acme --reason "unpaid"
    """
    context = context_of(ctx)
    change = context.owner_admin.disable(handle, reason=reason, dry_run=dry_run)
    _report(context, change, "disabled", already="is disabled already", dry_run=dry_run)


@app.command(cls=Command)
def enable(
    ctx: typer.Context, handle: HandleArgument, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Let a disabled owner's keys work again.

    \b
    Examples:
      keyctl owner enable acme
    """
    context = context_of(ctx)
    change = context.owner_admin.enable(handle, reason=reason, dry_run=dry_run)
    _report(context, change, "enabled", already="is active already", dry_run=dry_run)


def _report(context: CommandContext, change: "OwnerChange", done: str, *, already: str, dry_run: bool) -> None:
    owner: Owner = change.owner
    output = context.output
    if dry_run:
        output.note(f"{owner.handle}: would be {done}" if change.changed else f"{owner.handle} {already}")
        return
    if not change.changed:
        output.note(f"{owner.handle} {already}: nothing was changed")
    if output.json:
        output.answer_json(owner_object(owner))
    else:
        output.answer(f"{done} {owner.handle}")
