"""`keyctl list`."""

from typing import Annotated, Any

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import key_object
from keyctl.cli.option_groups import expand_options
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.records import ColumnsOption, Format, FormatOption, View, choose_view, show_records
from keyctl.cli.selection import SelectionOptions
from keyctl.errors import UsageError, suggestion
from keyctl.models import KeyRecord
from keyctl.text import brief
from keyctl.times import utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SORTS = ("created", "expires", "last-used", "name", "owner", "prefix", "status")
_SORT = "created"
_PAGE = 100  # results, unless another number is asked for
_MOST = 2**62  # as far as both databases count


@app.command("list", cls=Command)
@expand_options
def list_keys(
    ctx: typer.Context,
    which: SelectionOptions,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel="Order and paging",
            help="Column to sort by, such as owner or expires. [default: created]",
        ),
    ] = None,
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
    tree: Annotated[
        bool, typer.Option("--tree", rich_help_panel="Output", help="Show owners with their keys, as a tree.")
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
      keyctl list --tree --owner acme --below
      keyctl list --from paste.txt --columns prefix,owner,status

    In a pipe: prefix, name, owner, environment, scopes, status, expiry and last use, separated by tabs; with --wide
    also creation and id. The newest come first. The formats csv and jsonl have all results unless --limit is given, and
    --tree has them always; see keyctl help output. A key is due for rotation if it is active and older than
    lifetime.rotate_every in the profile.
    """
    from keyctl.cli.key_columns import key_columns
    from keyctl.store import key_pages, keys, owners

    context, now = context_of(ctx), utc_now()
    if tree and output_format is None and not jsonl and not context.output.json:
        output_format = "table"
    view = choose_view(context, key_columns(now), given=output_format, jsonl=jsonl, names=columns, wide=wide)
    if tree:
        _refuse_pages(view, limit, after)
    if everything and limit is not None:
        raise UsageError("--all cannot be used with --limit", hint="omit one of them")
    output, profile = context.output, context.store.profile
    if which.named:
        _refuse_order(sort, limit, after, reverse=reverse)
    if sort is not None and sort not in SORTS:
        known = f"known: {', '.join(SORTS)}"
        raise UsageError(f'cannot sort by "{brief(sort)}"', hint=suggestion(sort, SORTS, otherwise=known))
    if after == "":
        raise UsageError("--after is empty: it requires a cursor", hint="omit --after, for the first page")
    nothing = "no keys match" if which.named or which.given() else "there are no keys yet; mint one: keyctl mint"
    unlimited = limit is None and (everything or view.whole or tree)
    selection = which.choose(context) if which.named else None
    filters = which.read(context)

    def object_of(record: KeyRecord) -> dict[str, Any]:
        return key_object(record, profile, now=now)

    grown = None
    with context.store.read() as connection:
        if selection is not None:
            page = key_pages.Page(tuple(keys.selected(connection, selection, now=now)), None)
        else:
            page = key_pages.page(
                connection,
                filters,
                now=now,
                sort=sort or _SORT,
                reverse=reverse,
                limit=None if unlimited else min(limit or _PAGE, _MOST),
                after=after,
            )
        if tree:
            from keyctl.cli.key_tree import grow

            # Owners without keys are part of the whole tree, and of no answer to a filter.
            whole = not (which.named or which.given())
            grown = grow(page.records, owners.every(connection) if whole else ())
    if grown is not None:
        from keyctl.cli.key_tree import show_tree

        show_tree(context, view, grown, object_of=object_of, chosen=bool(columns or wide), nothing=nothing)
        return
    show_records(
        context,
        view,
        page.records,
        named="keys",
        object_of=object_of,
        also={"next": page.next},
        nothing=nothing,
    )
    if view.format is Format.JSONL and limit:
        # A program that reads only standard output must not take a page for the whole.
        output.answer_json({"next": page.next})
    if page.next and view.format is not Format.JSON:
        output.note(f"there are more results: add --all, or --after {page.next}")


def _refuse_order(sort: str | None, limit: int | None, after: str | None, *, reverse: bool) -> None:
    """Raise UsageError for what keys that are named cannot have: they are in the order of their names."""
    options = {"--sort": sort, "--limit": limit, "--after": after, "--reverse": reverse or None}
    for option, given in options.items():
        if given is not None:
            raise UsageError(
                f"{option} cannot be used with keys that are named: they are listed in their order",
                hint=f"omit {option}",
            )


def _refuse_pages(view: View[KeyRecord], limit: int | None, after: str | None) -> None:
    """Raise UsageError for what a tree cannot have."""
    if view.format not in {Format.TABLE, Format.JSON}:
        raise UsageError(f"--tree cannot be printed as {view.format}", hint="omit the format, or use --json")
    given = "--limit" if limit is not None else "--after" if after is not None else None
    if given:
        raise UsageError(f"--tree cannot be used with {given}: it has all keys", hint=f"omit {given}")
