"""`keyctl owner list`."""

from collections.abc import Mapping
from typing import Annotated

import typer

from keyctl import policy
from keyctl.cli.columns import Column
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import owner_object
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.records import ColumnsOption, FormatOption, choose_view, show_records
from keyctl.models import Owner
from keyctl.times import format_time

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("list", cls=Command)
def list_owners(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Owners of this kind.")] = None,
    parent: Annotated[str | None, typer.Option(metavar="HANDLE", help="Owners with this parent.")] = None,
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """List owners.

    \b
    Examples:
      keyctl owner list
      keyctl owner list --parent acme --json

    In a pipe: handle, kind, name, parent, plan and status, separated by tabs.
    """
    from keyctl.store import owners

    context = context_of(ctx)
    handles: dict[str, str] = {}
    view = choose_view(context, _columns(handles), given=output_format, jsonl=jsonl, names=columns)
    wanted = policy.owner_kind(context.store.profile, kind).name if kind is not None else None
    with context.store.read() as connection:
        parent_id = owners.get(connection, parent).id if parent is not None else None
        found = owners.every(connection, kind=wanted, parent_id=parent_id)
        handles |= {owner.id: owner.handle for owner in owners.every(connection)}
    filtered = kind is not None or parent is not None
    show_records(
        context,
        view,
        found,
        named="owners",
        object_of=owner_object,
        nothing="no owners match" if filtered else "there are no owners yet; add one: keyctl owner add HANDLE",
    )


def _columns(handles: Mapping[str, str]) -> list[Column[Owner]]:
    """Return the columns of owners. `handles` are those of all owners, by id, as soon as they are read."""
    return [
        Column("handle", lambda owner: owner.handle, least=26, kept=True, code=True),
        Column("kind", lambda owner: owner.kind),
        Column("name", lambda owner: owner.name or "", least=6),
        Column("parent", lambda owner: handles[owner.parent_id] if owner.parent_id else "", least=6),
        Column("plan", lambda owner: owner.plan or ""),
        Column("status", lambda owner: "active" if owner.active else "disabled", rank=0, status=True),
        Column("created", lambda owner: format_time(owner.created_at), optional=True),
        Column("id", lambda owner: owner.id, optional=True, code=True),
    ]
