"""`keyctl owner list`."""

from typing import Annotated

import typer

from keyctl import policy
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import owner_object
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.output import Column

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("list", cls=Command)
def list_owners(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Owners of this kind.")] = None,
    parent: Annotated[str | None, typer.Option(metavar="HANDLE", help="Owners with this parent.")] = None,
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
        filtered = kind is not None or parent is not None
        output.note("no owners match" if filtered else "there are no owners yet; add one: keyctl owner add HANDLE")
