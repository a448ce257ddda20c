"""Makes the report on a store, in one transaction that only reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from keyctl.report.model import SECTIONS, WEEK, WEEKS, Named, Report, Section, Thresholds, Week, titles
from keyctl.store import reports, usage
from keyctl.store.database import Connection, Store
from keyctl.store.reports import Found, Question
from keyctl.store.selection import Filters
from keyctl.times import describe_relative, format_duration, format_time
from keyctl.usage import recorders
from keyctl.usage.outcomes import ALLOWED, allowed, refused
from keyctl.usage.recorders import Instance

_NOT_RECORDED = "no recorder reports to this store: keyctl help usage"
_HALF_RECORDED = "no recorder reports to this store, and later use may be unknown: keyctl help usage"


def gather(
    store: Store, filters: Filters, *, only: str = "", thresholds: Thresholds, now: datetime, examples: int = 5
) -> Report:
    """Return the report on the keys that match the filters, which `only` says as they are typed.

    `examples` is how many keys each section names at most. Raises StoreUnavailable.
    """
    with store.read() as connection:
        return _Gathering(connection, store, filters, only, thresholds, now, examples).report()


@dataclass(frozen=True)
class _Gathering:
    connection: Connection
    store: Store
    filters: Filters
    only: str
    thresholds: Thresholds
    now: datetime
    examples: int

    def report(self) -> Report:
        by_week, never = reports.expiring_by(self.connection, self.filters, now=self.now, length=WEEK)
        return Report(
            store=str(self.store.location),
            made_at=self.now,
            only=self.only,
            statuses=reports.statuses(self.connection, self.filters, now=self.now),
            weeks=[Week(self.now + i * WEEK, by_week.get(i, 0)) for i in range(WEEKS)],
            later=sum(count for number, count in by_week.items() if number >= WEEKS),
            never=never,
            sections=self._sections(),
        )

    def _sections(self) -> list[Section]:
        every = self.store.profile.lifetime.rotate_every
        title = titles(self.thresholds, every)
        questions = self._questions()
        notes = self._notes()
        counts = reports.count(self.connection, questions, self.filters, now=self.now)
        found = {
            name: Section(
                name,
                title[name],
                counts[name],
                self._named(name, question) if counts[name] else (),
                notes.get(name),
                self._command(name) if counts[name] else None,
            )
            for name, question in questions.items()
        }
        found["refused"] = self._refused(title["refused"], notes)
        found["unused-scopes"] = self._unused_scopes(title["unused-scopes"])
        for name in SECTIONS:
            if name not in found:
                found[name] = Section(name, title[name], None, note=notes[name])
        return [found[name] for name in SECTIONS]

    def _questions(self) -> dict[str, Question]:
        """Return the questions that this store can answer."""
        now, limits, every = self.now, self.thresholds, self.store.profile.lifetime.rotate_every
        asked = {
            "expiring": reports.expiring(now, limits.expiring_within),
            "moved": reports.moved(now, limits.moved_after),
            "no-owner": reports.without_owner(now),
            "no-expiry": reports.without_expiry(now),
        }
        if every is not None:
            asked["due"] = reports.due(now, every)
        if self._recorders or self._has_use:
            asked["stale"] = reports.stale(now, limits.unused_for)
        if self._is_recorded_long_enough:
            asked["never-used"] = reports.never_used(now, limits.never_used_after)
        return asked

    @cached_property
    def _recorders(self) -> list[Instance]:
        return usage.instances(self.connection)

    @property
    def _is_recorded_long_enough(self) -> bool:
        """Whether a key that was not used since recording began is worth a line."""
        begin = self.now - self.thresholds.never_used_after
        return any(one.since <= begin for one in self._recorders)

    @cached_property
    def _has_use(self) -> bool:
        """Whether a use is recorded: verify --record does so without a recorder."""
        return reports.any_use(self.connection)

    def _notes(self) -> dict[str, str]:
        """Return what the numbers do not prove, or why there is none."""
        notes = {}
        if self.store.profile.lifetime.rotate_every is None:
            notes["due"] = "the profile does not say how often keys are to be rotated: lifetime.rotate_every"
        if not self._recorders:
            stale = _HALF_RECORDED if self._has_use else _NOT_RECORDED
            return notes | {"never-used": _NOT_RECORDED, "refused": _NOT_RECORDED, "stale": stale}
        if not self._is_recorded_long_enough:
            since = min(one.since for one in self._recorders)
            notes["never-used"] = f"use is recorded since {format_time(since)}, which is not long enough"
        for name, length in (
            ("stale", self.thresholds.unused_for),
            ("never-used", self.thresholds.unused_for),
            ("refused", self.thresholds.refused_since),
        ):
            if name in notes:
                continue
            if gaps := recorders.gaps(self._recorders, length, self.now):
                notes[name] = f"use may be missing: {'; '.join(gaps)}"
        return notes

    # ── keys that are named ──────────────────────────────────────────────────────────────────────────────────────

    def _named(self, name: str, question: Question) -> list[Named]:
        rows = reports.first(self.connection, question, self.filters, now=self.now, limit=self.examples)
        why = _WHY[name]
        return [Named(row.prefix, row.name, row.owner, why(row, self.now)) for row in rows]

    def _refused(self, title: str, notes: Mapping[str, str]) -> Section:
        limits = self.thresholds
        if not self._recorders:
            return Section("refused", title, None, note=notes["refused"])
        rows = [
            one
            for one in reports.refusals(
                self.connection,
                self.filters,
                now=self.now,
                since=self.now - limits.refused_since,
                at_least=limits.refused_at_least,
            )
            if refused(one.counts) > limits.refused_share * sum(one.counts.values())
        ]
        named = [Named(row.prefix, row.name, row.owner, _answers(counts)) for row, counts in rows[: self.examples]]
        over, since = limits.refused_at_least - 1, format_duration(limits.refused_since)
        command = f"keyctl usage --denied-over {over} --since {since}" if rows else None
        return Section("refused", title, len(rows), named, notes.get("refused"), command)

    def _unused_scopes(self, title: str) -> Section:
        held = reports.scopes_held(self.connection, self.filters, now=self.now)
        unused = [scope for scope in self.store.profile.scopes.catalogue.values() if scope.name not in held]
        named = [Named(scope.name, None, None, scope.description or "") for scope in unused[: self.examples]]
        command = "keyctl profile show" if unused else None
        return Section("unused-scopes", title, len(unused), named, command=command, what="scope")

    def _command(self, name: str) -> str:
        limits = self.thresholds
        commands = {
            "due": "keyctl list --due",
            "expiring": f"keyctl list --expires-within {format_duration(limits.expiring_within)} --sort expires",
            "stale": f"keyctl list --unused-for {format_duration(limits.unused_for)} --sort last-used",
            "never-used": "keyctl list --sort last-used",
            "moved": "keyctl list --status retiring --sort last-used",
            "no-owner": "keyctl list --sort owner",
            "no-expiry": "keyctl list --sort expires --reverse",
        }
        return f"{commands[name]} {self.only}".rstrip()


def _created(row: Found, now: datetime) -> str:
    return f"created {describe_relative(row.created_at, now=now)}"


def _expires(row: Found, now: datetime) -> str:
    return f"expires {describe_relative(row.expires_at, now=now)}" if row.expires_at else "never expires"


def _used(row: Found, now: datetime) -> str:
    return f"last used {describe_relative(row.last_used_at, now=now)}" if row.last_used_at else "never used"


_WHY: Mapping[str, Callable[[Found, datetime], str]] = {
    "due": _created,
    "expiring": _expires,
    "stale": _used,
    "never-used": _created,
    "moved": _used,
    "no-owner": _created,
    "no-expiry": _created,
}


def _answers(counts: Mapping[str, int]) -> str:
    """Return `412 of 500 refused, mostly FORBIDDEN_SCOPE`."""
    most = max((name for name in counts if name != ALLOWED), key=lambda name: counts[name])
    return f"{refused(counts):,} of {refused(counts) + allowed(counts):,} refused, mostly {most}"
