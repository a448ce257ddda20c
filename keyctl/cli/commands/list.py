"""`keyctl list`."""

from datetime import datetime
from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.filter_options import FilterOptions
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import key_object
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.output import Column
from keyctl.errors import UsageError, suggestion
from keyctl.models import KeyRecord
from keyctl.text import brief
from keyctl.times import describe_relative, format_time, utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SORTS = ("created", "expires", "last-used", "name", "owner", "prefix", "status")
_MOST = 2**62  # results: as far as both databases count
_COLUMNS = [
    Column("PREFIX"),
    Column("NAME", elastic=True),
    Column("OWNER", elastic=True),
    Column("ENV"),
    Column("SCOPES", elastic=True),
    Column("STATUS"),
    Column("EXPIRES"),
    Column("USED"),
]
_WIDE_COLUMNS = [Column("CREATED"), Column("ID")]


@app.command("list", cls=Command)
@expand_options
def list_keys(
    ctx: typer.Context,
    which: FilterOptions,
    sort: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel="Order and paging",
            help="Sort by created (newest first), expires, last-used, name, owner, prefix or status.",
        ),
    ] = "created",
    reverse: Annotated[
        bool, typer.Option("--reverse", rich_help_panel="Order and paging", help="Reverse the order.")
    ] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel="Order and paging", help="Maximum number of results.")
    ] = 100,
    after: Annotated[
        str | None,
        typer.Option(metavar="CURSOR", rich_help_panel="Order and paging", help="Continue from this cursor."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", rich_help_panel="Order and paging", help="Return all results, without a limit.")
    ] = False,
    wide: Annotated[
        bool, typer.Option("--wide", rich_help_panel="Output", help="Also show the time of creation and the id.")
    ] = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """List and filter keys.

    \b
    Examples:
      keyctl list --status active,retiring --owner acme --owner globex
      keyctl list --expires-within 7d --sort expires
      keyctl list --due --all --json

    In a pipe: prefix, name, owner, environment, scopes, status, expiry and last use, separated by tabs; with --wide
    also creation and id. A key is due for rotation if it is active and older than lifetime.rotate_every in the profile.
    """
    from keyctl.store import keys

    context = context_of(ctx)
    output, profile, now = context.output, context.store.profile, utc_now()
    if sort not in SORTS:
        known = f"known: {', '.join(SORTS)}"
        raise UsageError(f'cannot sort by "{brief(sort)}"', hint=suggestion(sort, SORTS, otherwise=known))
    if after == "":
        raise UsageError("--after is empty: it requires a cursor", hint="omit --after, for the first page")
    filters = which.read(context)
    with context.store.read() as connection:
        page = keys.page(
            connection,
            filters,
            now=now,
            sort=sort,
            reverse=reverse,
            limit=None if everything else min(limit, _MOST),
            after=after,
        )
    if jsonl:
        for record in page.records:
            output.answer_json(key_object(record, profile, now=now))
    elif output.json:
        objects = [key_object(record, profile, now=now) for record in page.records]
        output.answer_json({"keys": objects, "next": page.next})
        return
    elif page.records or not output.on_terminal:
        columns = [*_COLUMNS, *_WIDE_COLUMNS] if wide else _COLUMNS
        rows = [_row(one, now)[: len(columns)] for one in page.records]
        output.table(columns, rows, [_plain_row(one, now)[: len(columns)] for one in page.records])
    if not page.records:
        output.note("no keys match" if which.given() else "there are no keys yet; mint one: keyctl mint")
    if page.next:
        output.note(f"there are more results: add --all, or --after {page.next}")


def _row(record: KeyRecord, now: datetime) -> list[str]:
    key = record.key
    return [
        key.prefix,
        key.name or "",
        record.owner.handle if record.owner else "",
        key.environment,
        ",".join(key.scopes),
        str(record.status(now)),
        describe_relative(key.expires_at, now=now) if key.expires_at else "never",
        describe_relative(key.last_used_at, now=now) if key.last_used_at else "never",
        describe_relative(key.created_at, now=now),
        key.id,
    ]


def _plain_row(record: KeyRecord, now: datetime) -> list[str]:
    key = record.key
    return [
        key.prefix,
        key.name or "",
        record.owner.handle if record.owner else "",
        key.environment,
        ",".join(key.scopes),
        str(record.status(now)),
        format_time(key.expires_at) if key.expires_at else "never",
        format_time(key.last_used_at) if key.last_used_at else "",
        format_time(key.created_at),
        key.id,
    ]
