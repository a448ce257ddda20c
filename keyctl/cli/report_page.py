"""A report for a terminal: numbers first, then how many keys expire when, then what to look at."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from keyctl.cli.screen import Style, fitted, width_of
from keyctl.models import Status
from keyctl.report.model import Named, Report, Section, Week
from keyctl.text import counted, visible

_ENDED = (Status.EXPIRED, Status.REVOKED)
_BLOCKS = " ▁▂▃▄▅▆▇█"
_HEIGHT = 5  # lines of the histogram
_SOON = 4  # weeks that are colored
_LEAST = 12  # columns for what was found
_WIDEST = 100  # columns: longer lines are hard to read


def report_lines(report: Report, *, width: int, style: Style) -> Iterator[str]:
    """Yield the lines of a report that fit a terminal. A prefix is never truncated, nor is what to type next."""
    width = min(width, _WIDEST)
    yield from _head(report, width, style)
    yield ""
    yield style("Expiring keys, by week", "bold")
    yield from _histogram(report, width, style)
    yield ""
    yield style("To look at", "bold")
    digits = max(len(_number(section)) for section in report.sections)
    notes: set[str | None] = set()
    for section in sorted(report.sections, key=lambda one: not one.count):  # what was found comes first
        shown = replace(section, note=None) if section.note in notes else section
        notes.add(section.note)
        yield from _section(shown, digits, width, style)


def _head(report: Report, width: int, style: Style) -> Iterator[str]:
    keys = counted(report.live, "valid key")
    at = f"{report.made_at:%Y-%m-%d %H:%M} UTC"
    gap = width - width_of(keys) - width_of(at)
    yield style(keys, "bold") + (" " * gap + style(at, "dim") if gap > 1 else "")
    for place in textwrap.wrap(visible(" ".join(filter(None, [_place(report.store), report.only]))), width):
        yield style(place, "dim")
    counts = [
        [f"{count:,} {status}" for status, count in report.statuses.items() if count and (status in _ENDED) is ended]
        for ended in (False, True)
    ]
    for which, name in zip(counts, ("", "dim"), strict=True):
        if which:
            yield style(" · ".join(which), name)


def _place(store: str) -> str:
    """Return the path of a store as its user would type it."""
    home = os.path.expanduser("~")  # noqa: PTH111 - raises nothing where there is no home
    return f"~{store.removeprefix(home)}" if store.startswith(f"{home}/") else store


# ── the histogram ────────────────────────────────────────────────────────────────────────────────────────────────────


def _histogram(report: Report, width: int, style: Style) -> Iterator[str]:
    peak = report.peak
    rest = f"{report.later:,} {'expires' if report.later == 1 else 'expire'} later, {report.never:,} never"
    if not peak.keys:
        yield f"none in the next {len(report.weeks)} weeks; {rest}"
        return
    axis = len(f"{peak.keys:,}")
    weeks = report.weeks[: max(1, (width - axis - 3) // 2)]
    steps = len(_BLOCKS) - 1
    heights = [_height(week, peak, _HEIGHT * steps) for week in weeks]
    for line in range(_HEIGHT - 1, -1, -1):
        label = f"{peak.keys:,}" if line == _HEIGHT - 1 else "0" if line == 0 else ""
        bars = [_BLOCKS[min(steps, max(0, height - line * steps))] + " " for height in heights]
        soon, later = "".join(bars[:_SOON]), "".join(bars[_SOON:]).rstrip()
        yield f"{label:>{axis}} {style('┤', 'dim')} {style(soon, 'yellow') if soon.strip() else soon}{later}".rstrip()
    yield " " * (axis + 3) + style(_months(weeks), "dim")
    yield from textwrap.wrap(f"most: {peak.keys:,} in the week from {peak.start:%Y-%m-%d}; {rest}", width)


def _height(week: Week, peak: Week, most: int) -> int:
    return max(1, round(most * week.keys / peak.keys)) if week.keys else 0


def _months(weeks: Sequence[Week]) -> str:
    """Return the names of the months below the first week of each; the first one only where it has room."""
    begins = [i for i, week in enumerate(weeks) if i == 0 or week.start.month != weeks[i - 1].start.month]
    if len(begins) > 1 and begins[1] == 1:  # one week of a month has no room for its name
        del begins[0]
    line = ""
    for i in begins:
        if i == 0 or i < len(weeks) - 1:
            line = f"{line:<{2 * i}}{weeks[i].start:%b}"
    return line


# ── the findings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _section(section: Section, digits: int, width: int, style: Style) -> Iterator[str]:
    number = f"{_number(section):>{digits}}"
    indent = " " * (digits + 2)
    room = width - len(indent)
    what = section.what if section.count == 1 else f"{section.what}s"
    title, *others = textwrap.wrap(f"{what} {section.title}", room)
    if section.count:
        yield f"{style(style(number, 'yellow'), 'bold')}  {title}"
    else:
        yield style(f"{number}  {title}", "dim")
    yield from (f"{indent}{line}" for line in others)
    if section.note:
        yield from (indent + style(line, "dim") for line in textwrap.wrap(section.note, room))
    yield from (indent + line for line in _named(section.examples, room, style))
    more = (section.count or 0) - len(section.examples)
    left, command = f"… and {more:,} more: " if more > 0 else "", visible(section.command or "")
    if left and width_of(left + command) > room:
        yield indent + left.rstrip(": ")
        left = ""
    if command:
        yield indent + left + style(command, "dim")
    if section.count:
        yield ""


def _number(section: Section) -> str:
    return "?" if section.count is None else f"{section.count:,}"


def _named(examples: Sequence[Named], room: int, style: Style) -> Iterator[str]:
    """Yield a line for each key: its prefix whole, then what was found, and its owner and name as far as they fit."""
    rows = [[visible(text or "") for text in (one.prefix, one.owner, one.name, one.why)] for one in examples]
    if not rows:
        return
    prefix, owner, name, why = (max(map(width_of, column)) for column in zip(*rows, strict=True))
    why = min(why, max(_LEAST, room - prefix - 2))
    spare = room - prefix - 2 - why
    owner = min(owner, 24, spare - 2) if spare - 2 >= 4 else 0
    spare -= owner + 2 if owner else 0
    name = min(name, 24, spare - 2) if spare - 2 >= 6 else 0
    for row in rows:
        cells = [fitted(cell, size) for cell, size in zip(row[:3], (prefix, owner, name), strict=True) if size]
        yield f"{'  '.join(cells)}  {style(fitted(row[3], why).rstrip(), 'dim')}".rstrip()
