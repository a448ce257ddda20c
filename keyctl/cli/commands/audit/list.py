"""`keyctl audit list`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.actions import checked_action
from keyctl.audit import entries
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import event_object
from keyctl.cli.options import JsonLinesOption, split_commas
from keyctl.cli.output import Column
from keyctl.errors import UsageError
from keyctl.models import Event
from keyctl.text import visible
from keyctl.times import describe_relative, format_time, parse_since, utc_now

if TYPE_CHECKING:
    from keyctl.store.event_search import EventFilters

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_LIMIT = 100
_MOST = 2**62  # as far as both databases count
_AT_ONCE = 1000  # rows of a table on a terminal
_WIDE = 100  # columns of a terminal, from which on there is room for more
# WHAT has room for a whole prefix, which the next command will need.
_WHAT, _WHY = Column("WHAT", elastic=True, least=26), Column("WHY", elastic=True)


@app.command("list", cls=Command)
def list_events(
    ctx: typer.Context,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="SELECTOR", rich_help_panel="Filters", help="Changes to this key; repeatable."),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HANDLE", rich_help_panel="Filters", help="Changes to this owner and to its keys; repeatable."
        ),
    ] = None,
    below: Annotated[
        bool,
        typer.Option("--below", rich_help_panel="Filters", help="With --owner: also changes to the owners below it."),
    ] = False,
    action: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ACTION",
            rich_help_panel="Filters",
            help="Changes of this kind, such as key.revoked, or key for any; repeatable.",
        ),
    ] = None,
    actor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel="Filters",
            help="Changes by this actor or claimed actor, or part of one; repeatable.",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", rich_help_panel="Filters", help="Changes since TIME, or TIME ago.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", rich_help_panel="Filters", help="Changes before TIME, or TIME ago.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, rich_help_panel="Order and paging", help="Maximum number of results. [default: 100]"
        ),
    ] = None,
    before: Annotated[
        int | None,
        typer.Option(metavar="SEQ", rich_help_panel="Order and paging", help="Events before this sequence number."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", rich_help_panel="Order and paging", help="Return all results, without a limit.")
    ] = False,
    jsonl: JsonLinesOption = False,
) -> None:
    """List changes, newest first.

    \b
    Examples:
      keyctl audit list --limit 20
      keyctl audit list --key kc_live_3fa9c2d1e8b7 --json
      keyctl audit list --owner acme --action key.revoked,key.locked --since 7d
      keyctl audit list --since 2026-11-01T00:00:00Z --all --jsonl

    Of several values of one option, one must match; of several options, all. Without --limit, --jsonl returns all
    results. In a pipe: sequence number, time, actor, claimed actor, action, subject and reason, separated by tabs.
    """
    context = context_of(ctx)
    if everything and limit is not None:
        raise UsageError("--all cannot be used with --limit", hint="omit one of them")
    unlimited = everything or (jsonl and limit is None)
    most = None if unlimited else min(limit or _LIMIT, _MOST)
    filters = _filters(
        context, key=key, owner=owner, below=below, action=action, actor=actor, since=since, until=until, before=before
    )
    from keyctl.store import event_search

    found = event_search.find(context.store, filters)
    shown = found if most is None else islice(found, most)
    last = _print(context, shown, jsonl=jsonl, rest=found)
    if last is None:
        context.output.note("no events match")
    elif limit is None and not context.output.json and next(found, None):
        context.output.note(f"there are more results: add --all, or --before {last.seq}")


def _filters(
    context: CommandContext,
    *,
    key: list[str] | None,
    owner: list[str] | None,
    below: bool,
    action: list[str] | None,
    actor: list[str] | None,
    since: str | None,
    until: str | None,
    before: int | None,
) -> "EventFilters":
    """Raises UsageError and NotFound."""
    from keyctl.store.event_search import EventFilters, keys_named, owners_named

    now = utc_now()
    if below and not owner:
        raise UsageError("--below requires --owner", hint="add --owner HANDLE, the owner above")
    if actor and "" in actor:
        raise UsageError("--actor is empty", hint="omit --actor, for changes by any actor")
    start = parse_since(since, now=now) if since is not None else None
    end = parse_since(until, now=now) if until is not None else None
    if start is not None and end is not None and start >= end:
        raise UsageError(
            f"--since is {format_time(start)}, and --until {format_time(end)}: nothing is in between",
            hint="give --since a time before that of --until",
        )
    actions = [checked_action(name) for name in split_commas(action) or []]
    subjects = []
    with context.store.read() as connection:
        if key:
            subjects.append(keys_named(connection, key))
        if owner:
            subjects.append(owners_named(connection, owner, below=below))
    return EventFilters(
        before=max(0, min(before, _MOST)) if before is not None else None,
        since=start,
        until=end,
        actors=actor or (),
        actions=actions,
        subjects=subjects,
    )


def _print(context: CommandContext, shown: Iterator[Event], *, jsonl: bool, rest: Iterator[Event]) -> Event | None:
    """Print events; return the last one. `rest` are those after them."""
    output, last = context.output, None
    if output.json and not jsonl:
        objects = []
        for last in shown:
            objects.append(event_object(last))
        following = last.seq if last and next(rest, None) else None
        output.answer_json({"events": objects, "next": following})
        return last
    if jsonl:
        for last in shown:
            output.answer_json(event_object(last))
    elif output.on_terminal:
        while some := list(islice(shown, _AT_ONCE)):
            last = some[-1]
            _print_table(context, some)
    else:
        for last in shown:
            output.answer("\t".join(map(visible, _plain_row(last))))
    return last


def _print_table(context: CommandContext, events: Sequence[Event]) -> None:
    import shutil

    now, wide = utc_now(), shutil.get_terminal_size().columns >= _WIDE
    columns = [Column("#"), Column("WHEN (UTC)"), Column("WHO", elastic=True), Column("ACTION"), _WHAT]
    rows = [[str(one.seq), _when(one.at, now, wide=wide), str(one.actor), one.action, _subject(one)] for one in events]
    if any(one.reason for one in events):
        columns.append(_WHY)
        rows = [[*row, one.reason or ""] for row, one in zip(rows, events, strict=True)]
    context.output.table(columns, rows, [])


def _when(moment: datetime, now: datetime, *, wide: bool) -> str:
    text = format_time(moment)[: len("2026-11-27T14:58:03") if wide else len("2026-11-27T14:58")].replace("T", " ")
    return f"{text}  {describe_relative(moment, now=now)}" if wide else text


def _plain_row(event: Event) -> list[str]:
    return [
        str(event.seq),
        format_time(event.at),
        event.actor.user,
        event.actor.claimed or "",
        event.action,
        _subject(event),
        event.reason or "",
    ]


def _subject(event: Event) -> str:
    """Return what an event is about: a prefix, a handle, a profile, a bundle's expiry, the origin of a store."""
    detail = event.detail
    named: list[str] = [entry["prefix"] for entry in entries(event)]
    if event.action == "key.rotated" and named:
        return named[-1]  # the key that was replaced; its successor has the event before
    if len(named) > 1:
        return f"{named[0]} and {len(named) - 1:,} more"
    if named:
        return named[0]
    if "bundle" in detail:
        return f"valid until {detail['bundle']['valid_until']}"
    if "from" in detail:
        return str(detail["from"])
    return str(detail.get("owner", {}).get("handle") or detail.get("profile") or detail.get("hash") or "")
