"""`keyctl usage recorders`."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.cli.columns import Column
from keyctl.cli.confirmation import confirm_change
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import DryRunOption, JsonLinesOption, YesOption
from keyctl.cli.records import ColumnsOption, FormatOption, choose_view, show_records
from keyctl.times import describe_relative, format_time, utc_now

if TYPE_CHECKING:
    from keyctl.usage.recorders import Instance

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=Command)
def recorders(
    ctx: typer.Context,
    forget: Annotated[
        str | None, typer.Option(metavar="NAME", help="Expect no more reports of a recorder that is gone.")
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """List the recorders, and when each last reported.

    \b
    Examples:
      keyctl usage recorders
      keyctl usage recorders --forget old-gateway

    A recorder is a service that counts the use of keys; it has a line for each process. The status is reporting, ended,
    restarted (by another process of the name), or silent. While one is silent, revoke --if-unused-for refuses. To
    forget one keeps what it counted.
    """
    from keyctl.usage.recorders import finished

    context, now = context_of(ctx), utc_now()
    view = choose_view(context, _columns(now), given=output_format, jsonl=jsonl, names=columns)
    output = context.output
    if forget is not None:
        from keyctl.admin.usage import forget_recorder

        context.authorise()
        if not (yes or dry_run):
            forget_recorder(context.store, forget, now=now, dry_run=True)  # what cannot be is no question
            confirm_change(context, f"expect no more reports of the recorder {forget}")
        count = forget_recorder(context.store, forget, now=now, dry_run=dry_run)
        would = "would forget" if dry_run else "forgot"
        output.result(f"{would} {forget}", {"name": forget, "processes": count, "dry_run": dry_run})
        return
    from keyctl.store import usage
    from keyctl.usage.recorders import by_name

    with context.store.read() as connection:
        names = by_name(usage.instances(connection))
    listed = []
    for those in names.values():
        over, silent = finished(those, now)
        for one in those:
            status = "silent" if one in silent else "reporting" if one not in over else "restarted"
            listed.append((one, "ended" if one.ended_at is not None else status))
    show_records(
        context,
        view,
        listed,
        named="recorders",
        object_of=lambda pair: _object(*pair),
        nothing="no recorder has reported yet; see: keyctl help usage",
    )


def _columns(now: datetime) -> list[Column[tuple["Instance", str]]]:
    def time(name: str, of: "Callable[[Instance], datetime]", title: str = "") -> Column[tuple["Instance", str]]:
        return Column(
            name,
            lambda pair: format_time(of(pair[0])),
            lambda pair: describe_relative(of(pair[0]), now=now),
            title=title,
        )

    return [
        Column("name", lambda pair: pair[0].name, kept=True),
        Column("status", lambda pair: pair[1], rank=0, status=True),
        Column("host", lambda pair: pair[0].host, least=6),
        Column("process", lambda pair: str(pair[0].pid)),
        time("since", lambda one: one.since),
        time("last-report", lambda one: one.reported_at, "LAST REPORT"),
    ]


def _object(one: "Instance", status: str) -> dict[str, Any]:
    return {
        "name": one.name,
        "status": status,
        "instance": one.instance,
        "host": one.host,
        "pid": one.pid,
        "since": format_time(one.since),
        "began_at": format_time(one.began_at),
        "reported_at": format_time(one.reported_at),
        "reports": one.counted,
        "dropped_at": format_time(one.dropped_at) if one.dropped_at else None,
        "ended_at": format_time(one.ended_at) if one.ended_at else None,
        "from_file": one.from_file,
    }
