"""`keyctl audit list`."""

from typing import Annotated

import typer

from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.json_objects import event_object
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.output import Column
from keyctl.models import Event
from keyctl.times import describe_relative, format_time, utc_now

app = typer.Typer(add_completion=False, rich_markup_mode=None)


_MOST = 2**62  # as far as both databases count


@app.command("list", cls=Command)
def list_events(
    ctx: typer.Context,
    key: Annotated[str | None, typer.Option(metavar="SELECTOR", help="Changes to this key.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="HANDLE", help="Changes to this owner.")] = None,
    action: Annotated[
        str | None,
        typer.Option(metavar="ACTION", help="Changes of this kind, such as key.revoked, or key for any."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Maximum number of results.")] = 100,
    before: Annotated[int | None, typer.Option(metavar="SEQ", help="Events before this sequence number.")] = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """List changes, newest first.

    \b
    Examples:
      keyctl audit list --limit 20
      keyctl audit list --key kc_live_3fa9c2d1e8b7 --json

    In a pipe: sequence number, time, actor, claimed actor, action, subject and reason, separated by tabs.
    """
    from keyctl.store import events, keys, owners

    context = context_of(ctx)
    output, now = context.output, utc_now()
    with context.store.read() as connection:
        subject = keys.get(connection, key).key.id if key is not None else None
        if owner is not None:
            subject = owners.get(connection, owner).id
        found = events.latest(
            connection,
            limit=min(limit, _MOST),
            before=max(0, min(before, _MOST)) if before is not None else None,
            subject_id=subject,
            action=action,
        )
    if jsonl:
        for event in found:
            output.answer_json(event_object(event))
        return
    if output.json:
        output.answer_json({"events": [event_object(event) for event in found]})
        return
    # WHAT has room for a whole prefix, which the next command will need.
    what = Column("WHAT", elastic=True, least=26)
    columns = [Column("#"), Column("WHEN"), Column("WHO", elastic=True), Column("ACTION"), what]
    rows = [
        [str(one.seq), describe_relative(one.at, now=now), str(one.actor), one.action, _subject(one), one.reason or ""]
        for one in found
    ]
    plain = [
        [
            str(one.seq),
            format_time(one.at),
            one.actor.user,
            one.actor.claimed or "",
            one.action,
            _subject(one),
            one.reason or "",
        ]
        for one in found
    ]
    if rows or not output.on_terminal:
        output.table([*columns, Column("WHY", elastic=True)], rows, plain)
    if not rows:
        output.note("no events match")


def _subject(event: Event) -> str:
    """Return what an event is about: a prefix, a handle, a profile, a bundle's expiry, the origin of a store."""
    detail = event.detail
    named = [str(entry["prefix"]) for entry in detail.get("keys", [])]
    if event.action == "key.rotated":
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
