"""`keyctl list`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.filter_options import FilterOptions
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import key_object
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.records import ColumnsOption, Format, FormatOption, choose_view, show_records
from keyctl.errors import UsageError, suggestion
from keyctl.text import brief
from keyctl.times import utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SORTS = ("created", "expires", "last-used", "name", "owner", "prefix", "status")
_PAGE = 100  # results, unless another number is asked for
_MOST = 2**62  # as far as both databases count


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
            help="Sort by created, expires, last-used, owner, status, name or prefix.",
        ),
    ] = "created",
    reverse: Annotated[
        bool, typer.Option("--reverse", rich_help_panel="Order and paging", help="Reverse the order.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            rich_help_panel="Order and paging",
            help="Maximum number of results. [default: 100]",
        ),
    ] = None,
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
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """List and filter keys.

    \b
    Examples:
      keyctl list --status active,retiring --owner acme --owner globex
      keyctl list --expires-within 7d --sort expires
      keyctl list --due --all --json
      keyctl list --format csv --columns prefix,owner,expires

    In a pipe: prefix, name, owner, environment, scopes, status, expiry and last use, separated by tabs; with --wide
    also creation and id. The newest come first. The formats csv and jsonl have all results unless --limit is given; see
    keyctl help output. A key is due for rotation if it is active and older than lifetime.rotate_every in the profile.
    """
    from keyctl.cli.key_columns import key_columns
    from keyctl.store import keys

    context, now = context_of(ctx), utc_now()
    view = choose_view(context, key_columns(now), given=output_format, jsonl=jsonl, names=columns, wide=wide)
    if everything and limit is not None:
        raise UsageError("--all cannot be used with --limit", hint="omit one of them")
    output, profile = context.output, context.store.profile
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
            limit=min(limit or _PAGE, _MOST) if limit or not (everything or view.whole) else None,
            after=after,
        )
    show_records(
        context,
        view,
        page.records,
        named="keys",
        object_of=lambda record: key_object(record, profile, now=now),
        also={"next": page.next},
        nothing="no keys match" if which.given() else "there are no keys yet; mint one: keyctl mint",
    )
    if view.format is Format.JSONL and limit:
        # A program that reads only standard output must not take a page for the whole.
        output.answer_json({"next": page.next})
    if page.next and view.format is not Format.JSON:
        output.note(f"there are more results: add --all, or --after {page.next}")
