"""`keyctl usage show`."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import typer

from keyctl.cli.columns import Column
from keyctl.cli.context import CommandContext, context_of
from keyctl.cli.help_layout import Command
from keyctl.cli.options import JsonLinesOption
from keyctl.cli.records import ColumnsOption, Format, FormatOption, View, choose_view, show_records
from keyctl.errors import UsageError
from keyctl.times import describe_relative, format_time, parse_since, utc_now

if TYPE_CHECKING:
    from keyctl.models import KeyRecord
    from keyctl.store.usage import Used

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_Pair: TypeAlias = "tuple[KeyRecord, Used]"


class _Found(NamedTuple):
    """A key that was refused too often, or is used much more than before."""

    record: "KeyRecord"
    why: str
    facts: dict[str, Any]


_BUSIEST = 100
_FOUND = 9  # the exit code
_FEWEST = 100  # answers: fewer are no sudden growth
_WEEK = timedelta(days=7)
_CSV = ["prefix", "owner", "unit", "at", "code", "count"]


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    selectors: Annotated[
        list[str] | None, typer.Argument(metavar="SELECTOR...", help="Key ids or prefixes. [default: the busiest keys]")
    ] = None,
    owner: Annotated[str | None, typer.Option(metavar="HANDLE", help="Keys of this owner.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All keys, used or not.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin TIME ago, or on a date. [default: 30d]")
    ] = None,
    denied_over: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Print keys refused more than N times; exit 9.")
    ] = None,
    growth_over: Annotated[
        float | None, typer.Option(metavar="N", min=1, help="Print keys used N times as much as a week before; exit 9.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a line for each hour or day, and code.")] = False,
    columns: ColumnsOption = None,
    output_format: FormatOption = None,
    jsonl: JsonLinesOption = False,
) -> None:
    """Show how often keys are used; the default.

    \b
    Examples:
      keyctl usage show --all
      keyctl usage kc_live_3fa9c2d1e8b7 --since 24h
      keyctl usage --owner acme --csv
      keyctl usage --denied-over 100 --since 1h

    Without keys or an owner: the 100 that were used most. Counts are those of whole hours (UTC), or of whole days where
    the hours are no longer kept; --since 1h is this hour and the last one. In a pipe: prefix, name, owner, last use,
    allowed and refused, separated by tabs.

    --denied-over and --growth-over look at the last hour unless --since is given, print nothing if all is well, and
    exit 9 otherwise. Refused are wrong secrets of a key too. Growth is compared with the same hours of the week before,
    for keys that were there then, and of at least 100 answers.
    """
    context, now = context_of(ctx), utc_now()
    if sum([bool(selectors), owner is not None, everything]) > 1:
        raise UsageError("give selectors, --owner or --all: one of them", hint="omit the others")
    watching = denied_over is not None or growth_over is not None
    if watching and as_csv:
        raise UsageError("--csv cannot be used with --denied-over or --growth-over", hint="use --json")
    start = parse_since(since or ("1h" if watching else "30d"), now=now)
    if as_csv and (output_format is not None or jsonl or columns or context.output.json):
        other = "--json" if context.output.json else "--jsonl" if jsonl else "--columns" if columns else "--format"
        raise UsageError(f"--csv cannot be used with {other}", hint="omit one of them")
    if watching:
        found = choose_view(context, _found_columns(), given=output_format, jsonl=jsonl, names=columns)
        _watch(context, found, _chosen(context, selectors, owner), start, now, denied_over, growth_over)
        return
    view = choose_view(context, _columns(start, now), given=output_format, jsonl=jsonl, names=columns)
    from keyctl.store import usage

    records = _records(context, selectors, owner, start, everything=everything)
    with context.store.read() as connection:
        counted = usage.of_keys(connection, [record.key.id for record in records], since=start)
    pairs = [(record, counted.get(record.key.id) or usage.Used({}, {})) for record in records]
    if as_csv:
        _print_csv(context, pairs)
    elif selectors and len(pairs) == 1 and view.format is Format.TABLE and not (output_format or columns):
        _print_one(context, *pairs[0], now)
    else:
        from keyctl.cli.usage_view import usage_object

        show_records(
            context,
            view,
            pairs,
            named="keys",
            object_of=lambda pair: usage_object(*pair),
            also={"since": format_time(start), "until": format_time(now)},
        )
    if not pairs:
        context.output.note(f"no use is recorded since {format_time(start)}; see: keyctl help usage")


# ── which keys ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _chosen(context: CommandContext, selectors: list[str] | None, owner: str | None) -> "list[KeyRecord] | None":
    """Return the keys that were chosen; None if that is every key."""
    from keyctl.store import key_pages, keys, owners
    from keyctl.store.selection import Filters, Selection

    if not selectors and owner is None:
        return None
    with context.store.read() as connection:
        if selectors:
            return keys.selected(connection, Selection.named(*selectors), now=utc_now())
        filters = Filters(owner_ids=(owners.get(connection, owner or "").id,))
        return list(key_pages.page(connection, filters, now=utc_now(), sort="prefix", limit=None).records)


def _records(
    context: CommandContext, selectors: list[str] | None, owner: str | None, start: datetime, *, everything: bool
) -> "Sequence[KeyRecord]":
    from keyctl.store import key_pages, keys, usage
    from keyctl.store.selection import Filters

    chosen = _chosen(context, selectors, owner)
    if chosen is not None:
        return chosen
    with context.store.read() as connection:
        if everything:
            return key_pages.page(connection, Filters(), now=utc_now(), sort="prefix", limit=None).records
        totals = {key_id: sum(counts.values()) for key_id, counts in usage.totals(connection, since=start).items()}
        busiest = sorted(totals, key=lambda key_id: (-totals[key_id], key_id))
        found = keys.by_ids(connection, busiest[:_BUSIEST])
    if len(busiest) > _BUSIEST:
        context.output.note(f"{len(busiest) - _BUSIEST:,} more keys were used: add --all")
    return [found[key_id] for key_id in busiest[:_BUSIEST] if key_id in found]


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _columns(start: datetime, now: datetime) -> list[Column[_Pair]]:
    from keyctl.cli.usage_view import BARS, are_hours, can_draw, small_bars
    from keyctl.usage.outcomes import allowed, refused

    def number(name: str, of: Callable[[Mapping[str, int]], int]) -> Column[_Pair]:
        return Column(name, lambda pair: str(of(pair[1].total())), lambda pair: f"{of(pair[1].total()):,}")

    def exact(pair: _Pair) -> str:
        last = pair[0].key.last_used_at
        return format_time(last) if last else ""

    def relative(pair: _Pair) -> str:
        last = pair[0].key.last_used_at
        return describe_relative(last, now=now) if last else "never"

    bars = Column[_Pair](
        "bars",
        lambda pair: small_bars(pair[1], since=start, now=now) if can_draw() else "",
        title=f"{BARS} {'HOURS' if are_hours(start, now) else 'DAYS'}",
        only="people",
    )
    return [
        Column("prefix", lambda pair: pair[0].key.prefix, kept=True, code=True),
        Column("name", lambda pair: pair[0].key.name or "", least=6, rank=7),
        Column("owner", lambda pair: pair[0].owner.handle if pair[0].owner else "", least=6),
        Column("last-used", exact, relative, title="LAST USED"),
        number("allowed", allowed),
        number("refused", refused),
        bars,
    ]


def _print_one(context: CommandContext, record: "KeyRecord", used: "Used", now: datetime) -> None:
    from keyctl.cli.usage_view import DAY, bars, describe_codes
    from keyctl.usage.report import HOUR

    last = record.key.last_used_at
    context.output.details(
        [
            ("prefix", record.key.prefix),
            ("owner", record.owner.handle if record.owner else "none"),
            ("last used", f"{describe_relative(last, now=now)}, at {format_time(last)}" if last else "never recorded"),
            ("counted", describe_codes(used.total()) or "nothing"),
        ]
    )
    recent = {hour: used.hours[hour] for hour in sorted(used.hours)[-24:]}
    for title, lines in (("by hour", bars(recent, HOUR)), ("by day", bars(used.by_day(), DAY))):
        if lines:
            context.output.answer("\n".join(["", f"{title} (UTC)", *lines]))


def _print_csv(context: CommandContext, pairs: "Iterable[tuple[KeyRecord, Used]]") -> None:
    from keyctl.cli.usage_view import csv_rows

    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_CSV)
    for record, used in pairs:
        writer.writerows(csv_rows(record, used))
    context.output.answer_exactly(written.getvalue())


# ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _watch(
    context: CommandContext,
    view: View[_Found],
    chosen: "Sequence[KeyRecord] | None",
    start: datetime,
    now: datetime,
    denied_over: int | None,
    growth_over: float | None,
) -> None:
    """Print the keys that were refused too often, or are used much more than before; exit 9 if there is one."""
    from keyctl.store import keys, usage
    from keyctl.usage.outcomes import allowed, refused

    only = {record.key.id for record in chosen} if chosen is not None else None

    def of(counts: Mapping[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        return {key_id: total for key_id, total in counts.items() if only is None or key_id in only}

    with context.store.read() as connection:
        denied, grown = {}, {}
        if denied_over is not None:
            counts = of(usage.totals(connection, since=start, refused=True))
            denied = {key_id: total for key_id, total in counts.items() if refused(total) > denied_over}
        if growth_over is not None:
            _require_hours(context, start, now)
            counts = of(usage.totals(connection, since=start))
            before = usage.totals(connection, since=start - _WEEK, until=now - _WEEK + timedelta(hours=1))
            for key_id, total in counts.items():
                earlier, present = sum(before.get(key_id, {}).values()), sum(total.values())
                if present >= _FEWEST and present > growth_over * max(earlier, 1):
                    grown[key_id] = earlier, present
        records = keys.by_ids(connection, {*denied, *grown})
    grown = {one: pair for one, pair in grown.items() if one in records and _was_there(records[one], start)}
    found: list[_Found] = []
    for key_id in sorted(denied, key=lambda one: -refused(denied[one])):
        if key_id in records:
            facts = {"allowed": allowed(denied[key_id]), "refused": refused(denied[key_id]), "codes": denied[key_id]}
            found.append(_Found(records[key_id], "denied", facts))
    for key_id, (earlier, present) in sorted(grown.items(), key=lambda one: -one[1][1]):
        found.append(_Found(records[key_id], "growth", {"week_before": earlier, "now": present}))
    show_records(context, view, found, named="found", object_of=_found_object)
    if found:
        raise typer.Exit(_FOUND)


def _found_columns() -> list[Column[_Found]]:
    return [
        Column("prefix", lambda found: found.record.key.prefix, kept=True, code=True),
        Column("owner", lambda found: found.record.owner.handle if found.record.owner else "", least=6),
        Column("why", _reason, least=20, rank=0),
    ]


def _reason(found: _Found) -> str:
    from keyctl.cli.usage_view import describe_codes
    from keyctl.usage.outcomes import NUMBERS, allowed

    facts = found.facts
    if found.why == "growth":
        return f"used {facts['now']:,} times, and {facts['week_before']:,} times a week before"
    refusals = [name for name in NUMBERS if not allowed({name: 1})]
    return f"refused {facts['refused']:,} times: {describe_codes(facts['codes'], refusals)}"


def _found_object(found: _Found) -> dict[str, Any]:
    record = found.record
    owner = record.owner.handle if record.owner else None
    return {"prefix": record.key.prefix, "owner": owner, "why": found.why, **found.facts}


def _was_there(record: "KeyRecord", start: datetime) -> bool:
    return record.key.created_at <= start - _WEEK


def _require_hours(context: CommandContext, start: datetime, now: datetime) -> None:
    kept = context.store.profile.usage_keep_hours
    if now - start + _WEEK > timedelta(hours=kept):
        raise UsageError(
            f"the use of a week before {format_time(start)} is not kept by the hour",
            hint=f"the profile keeps {kept} hours (usage.keep_hours); a shorter time: --since 1h",
        )
