"""A report in Markdown, for a ticket or a page of a wiki. Nothing that a value holds is markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from keyctl.report.model import Named, Report, Section
from keyctl.text import visible
from keyctl.times import format_time

_MARKUP = re.compile(r"[\\`*_\[\]<>|~&#]")


def markdown(report: Report) -> str:
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# Keys of {_escaped(report.store)}"
    yield ""
    only = f", {_escaped(report.only)}" if report.only else ""
    yield f"{format_time(report.made_at)}{only}: **{report.live:,} valid keys**"
    yield ""
    yield from _table(["status", "keys"], [[str(status), f"{count:,}"] for status, count in report.statuses.items()])
    yield ""
    yield "## Expiring, by week"
    yield ""
    weeks = [[week.start.date().isoformat(), f"{week.keys:,}"] for week in report.weeks if week.keys]
    yield from _table(["week from", "keys"], [*weeks, ["later", f"{report.later:,}"], ["never", f"{report.never:,}"]])
    yield ""
    yield "## Findings"
    for section in report.sections:
        yield ""
        yield f"### {_escaped(section.found)}"
        yield from _body(section)


def _body(section: Section) -> Iterator[str]:
    if section.note:
        yield ""
        yield _escaped(section.note)
    if section.examples:
        yield ""
        yield from _table([section.what, "name", "owner", "why"], [_cells(one) for one in section.examples])
    if section.count is not None and section.count > len(section.examples) > 0:
        yield ""
        yield f"and {section.count - len(section.examples):,} more"
    if section.command:
        yield ""
        yield f"    {visible(section.command)}"


def _cells(one: Named) -> list[str]:
    return [_code(one.prefix), _escaped(one.name or ""), _escaped(one.owner or ""), _escaped(one.why)]


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (heading, ["---"] * len(heading), *rows):
        yield f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    shown = visible(text)
    return _escaped(text) if {"`", "|"} & set(shown) else f"`{shown}`"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", visible(text))
