"""A report for the textfile collector of Prometheus' node exporter. No label names a key, an owner or a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keyctl.report.model import Report

_WEEKS = (1, 2, 4, 13, 26)  # for which the expiring keys are added up


def prometheus(report: Report) -> str:
    lines = [
        *_gauge(
            "keyctl_keys",
            "Keys in the store, by status.",
            ((f'{{status="{status}"}}', count) for status, count in report.statuses.items()),
        ),
        *_gauge(
            "keyctl_keys_expiring",
            "Valid keys without a successor that expire within this many days.",
            ((f'{{days="{7 * weeks}"}}', report.expiring_within(weeks)) for weeks in _WEEKS),
        ),
        *_gauge(
            "keyctl_report_findings",
            "Findings of keyctl report, by section. A section whose number is unknown is absent.",
            (
                (f'{{section="{section.name}"}}', section.count)
                for section in report.sections
                if section.count is not None
            ),
        ),
        *_gauge(
            "keyctl_report_timestamp_seconds",
            "When the report was made, in seconds since 1970.",
            [("", int(report.made_at.timestamp()))],
        ),
    ]
    return "\n".join(lines) + "\n"


def _gauge(name: str, help_text: str, samples: Iterable[tuple[str, int]]) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        yield f"{name}{labels} {value}"
