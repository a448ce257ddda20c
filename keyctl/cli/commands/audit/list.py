"""`keyctl audit list`."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from keyctl.actions import checked_action
from keyctl.audit import entries
from keyctl.cli.columns import Column
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import event_object
from keyctl.cli.options import JsonLinesOption, split_commas
from keyctl.cli.records import ColumnsOption, Format, FormatOption, choose_view, show_records
from keyctl.cli.screen import size
from keyctl.errors import UsageError
from keyctl.models import Event
from keyctl.times import describe_relative, format_time, parse_since, parse_until, utc_now

if TYPE_CHECKING:
    from keyctl.store.event_search import EventFilters

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_LIMIT = 100
_MOST = 2**62  # as far as both databases count
_WIDE = 100  # columns of a terminal, from which on there is room for more


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
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """List changes, newest first.

    \b
    Examples:
      keyctl audit list --limit 20
      keyctl audit list --key kc_live_3fa9c2d1e8b7 --json
      keyctl audit list --owner acme --action key.revoked,key.locked --since 7d
      keyctl audit list --since 2026-11-01T00:00:00Z --all --jsonl

    Of several values of one option, one must match; of several options, all. The formats csv and jsonl have all
    results unless --limit is given. In a pipe: sequence number, time, actor, claimed actor, action, subject and reason,
    separated by tabs.
    """
    context = context_of(ctx)
    if everything and limit is not None:
        raise UsageError("--all cannot be used with --limit", hint="omit one of them")
    view = choose_view(context, _columns(utc_now()), given=output_format, jsonl=jsonl, names=columns)
    unlimited = everything or (view.whole and limit is None)
    most = None if unlimited else min(limit or _LIMIT, _MOST)
    filters = _filters(
        context, key=key, owner=owner, below=below, action=action, actor=actor, since=since, until=until, before=before
    )
    from keyctl.store import event_search

    found = event_search.find(context.store, filters)
    last: list[Event] = []

    def noted() -> Iterator[Event]:
        for event in found if most is None else islice(found, most):
            last[:] = [event]
            yield event

    shown: Iterable[Event] = noted()
    if view.format is Format.JSON:
        shown = list(shown)
    following = last[0].seq if last and next(found, None) is not None else None
    show_records(
        context,
        view,
        shown,
        named="events",
        object_of=event_object,
        also={"next": following},
        nothing="no events match",
    )
    if last and limit is None and view.format is not Format.JSON and next(found, None) is not None:
        context.output.note(f"there are more results: add --all, or --before {last[0].seq}")


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
    end = parse_until(until, now=now) if until is not None else None
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


def _columns(now: datetime) -> list[Column[Event]]:
    wide = size()[0] >= _WIDE
    return [
        Column("seq", lambda event: str(event.seq), title="#"),
        Column(
            "when",
            lambda event: format_time(event.at),
            lambda event: _when(event.at, now, wide=wide),
            title="WHEN (UTC)",
        ),
        Column("who", lambda event: event.actor.user, lambda event: str(event.actor), least=5),
        Column("claimed", lambda event: event.actor.claimed or "", only="programs"),
        Column("action", lambda event: event.action, rank=0),
        # This has room for a whole prefix, which the next command will need.
        Column("what", _subject, least=26, kept=True),
        Column("why", lambda event: event.reason or "", least=5, sparse=True),
    ]


def _when(moment: datetime, now: datetime, *, wide: bool) -> str:
    text = format_time(moment)[: len("2026-11-27T14:58:03") if wide else len("2026-11-27T14:58")].replace("T", " ")
    return f"{text}  {describe_relative(moment, now=now)}" if wide else text


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
