"""A report as one HTML page: no script, nothing to load, light or dark as the reader prefers, and fit to print."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from keyctl.report.model import Named, Report, Section
from keyctl.text import visible
from keyctl.times import format_time

_STYLE = """\
:root { color-scheme: light dark; --text: #1f2328; --soft: #656d76; --line: #d8dee4; --page: #fff; --card: #f6f8fa;
  --bar: #8c959f; --soon: #bf8700; --found: #9a6700; --code: #eaeef2 }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --soft: #8d96a0; --line: #30363d; --page: #0d1117;
  --card: #161b22; --bar: #6e7681; --soon: #d29922; --found: #e3b341; --code: #21262d } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; color: var(--text); background: var(--page);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2.5rem 0 1rem }
h3 { font-size: 1rem; margin: 0 } h3 b { color: var(--found) } .none h3, .none h3 b { color: var(--soft);
  font-weight: normal }
p { margin: .4rem 0 } .soft { color: var(--soft) }
.totals { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0 0; padding: 0; list-style: none }
.totals li { flex: 1 1 7rem; padding: .6rem .9rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; color: var(--soft) }
.totals b { display: block; font-size: 1.35rem; color: var(--text); font-variant-numeric: tabular-nums }
.weeks { display: flex; align-items: flex-end; gap: 3px; height: 9rem; margin: 0; padding: 0 0 1.4rem;
  border-bottom: 1px solid var(--line); list-style: none }
.weeks li { position: relative; flex: 1; min-width: 3px; height: 100%; display: flex; align-items: flex-end }
.weeks i { width: 100%; background: var(--bar); border-radius: 2px 2px 0 0 } .weeks .soon i { background: var(--soon) }
.weeks span { position: absolute; bottom: -1.4rem; left: 0; font-size: .75rem; color: var(--soft); white-space: nowrap }
section { padding: 1rem 0; border-bottom: 1px solid var(--line) } section.none { padding: .45rem 0 }
.wide { overflow-x: auto } table { width: 100%; margin: .6rem 0; border-collapse: collapse; font-size: .92rem }
td { padding: .25rem 1rem .25rem 0; vertical-align: top } td:last-child { color: var(--soft) }
code { padding: .1rem .35rem; background: var(--code); border-radius: .25rem; font: .86em ui-monospace, monospace;
  white-space: nowrap }
@media print { body { padding: 0 } section { break-inside: avoid } }
"""


def html(report: Report) -> str:
    title = f"Keys of {report.store}"
    body = "\n".join(_body(report, title))
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _body(report: Report, title: str) -> Iterator[str]:
    yield f"<h1>{_text(title)}</h1>"
    only = f" · {_text(report.only)}" if report.only else ""
    yield f'<p class="soft">{_text(format_time(report.made_at))}{only}</p>'
    yield '<ul class="totals">'
    yield f"<li><b>{report.live:,}</b>valid</li>"
    for status, count in report.statuses.items():
        yield f"<li><b>{count:,}</b>{_text(status)}</li>"
    yield "</ul>"
    yield "<h2>Expiring, by week</h2>"
    yield from _weeks(report)
    yield "<h2>Findings</h2>"
    for section in report.sections:
        yield from _section(section)


def _weeks(report: Report) -> Iterator[str]:
    peak = report.peak
    yield '<ul class="weeks">'
    month = None
    for i, week in enumerate(report.weeks):
        day = week.start.date().isoformat()
        label = f"<span>{week.start:%b}</span>" if week.start.month != month else ""
        month = week.start.month
        height = max(2, round(100 * week.keys / peak.keys)) if week.keys else 0
        soon = ' class="soon"' if i < 4 else ""
        yield f'<li{soon} title="{week.keys:,} from {day}"><i style="height:{height}%"></i>{label}</li>'
    yield "</ul>"
    most = f"At most {peak.keys:,} in the week from {peak.start.date().isoformat()}. " if peak.keys else ""
    expire = "expires" if report.later == 1 else "expire"
    yield f'<p class="soft">{most}{report.later:,} {expire} later, {report.never:,} never.</p>'


def _section(section: Section) -> Iterator[str]:
    number = "unknown" if section.count is None else f"{section.count:,}"
    rest = section.found.removeprefix(number)
    yield "<section>" if section.count else '<section class="none">'
    yield f"<h3><b>{number}</b>{_text(rest)}</h3>"
    if section.note:
        yield f'<p class="soft">{_text(section.note)}</p>'
    if section.examples:
        yield '<div class="wide"><table>'
        yield from map(_row, section.examples)
        yield "</table></div>"
    more = (section.count or 0) - len(section.examples)
    if section.command:
        others = f"and {more:,} more: " if more else ""
        yield f'<p class="soft">{others}<code>{_text(section.command)}</code></p>'
    yield "</section>"


def _row(one: Named) -> str:
    cells = (one.name or "", one.owner or "", one.why)
    return f"<tr><td><code>{_text(one.prefix)}</code></td>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"


def _text(text: str) -> str:
    return escape(visible(text))
