"""How often keys were used, in the database: recorded, not audited. Counts only grow, last uses only move forward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Table, bindparam, delete, func, insert, or_, select, update

from keyctl.rows import RowDamaged
from keyctl.store.chunks import chunks
from keyctl.store.tables import keys, usage_days, usage_hours, usage_recorders
from keyctl.times import from_milliseconds, to_milliseconds
from keyctl.usage import packed, recorders, sequences
from keyctl.usage.outcomes import NAMES, NUMBERS
from keyctl.usage.packed import DAYS, HOURS
from keyctl.usage.recorders import Instance
from keyctl.usage.report import HOUR, KeyUse, Report

_ROLLED_UP = 500  # rows in one transaction
_COMPACTED_AFTER = timedelta(days=1)  # what a restart of a recorder replaces
Cells = dict[tuple[int, str], packed.Counts]  # by period and key


class Applied(NamedTuple):
    """How many reports were counted now, and how many had been counted before. `unknown` are ids of no key."""

    counted: int
    repeated: int
    unknown: int


class Used(NamedTuple):
    """How often a key was used: by hour (since 1970), and by day where the hours were rolled up; then by outcome."""

    hours: dict[int, dict[str, int]]
    days: dict[int, dict[str, int]]

    def total(self) -> dict[str, int]:
        """Return how often in all, by outcome."""
        return _added([*self.hours.values(), *self.days.values()])

    def by_day(self) -> dict[int, dict[str, int]]:
        """Return how often by day, the days of `hours` included."""
        found: dict[int, list[dict[str, int]]] = {day: [counts] for day, counts in self.days.items()}
        for hour, counts in self.hours.items():
            found.setdefault(hour // 24, []).append(counts)
        return {day: _added(found[day]) for day in sorted(found)}


def _added(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of several counts, in the order of the outcomes."""
    found: dict[str, int] = {}
    for counts in several:
        for name, count in counts.items():
            found[name] = found.get(name, 0) + count
    return {name: found[name] for name in sorted(found, key=lambda name: NUMBERS.get(name, len(NUMBERS)))}


# ── recording ────────────────────────────────────────────────────────────────────────────────────────────────────────


def add(connection: Connection, uses: Mapping[str, KeyUse], *, now: datetime, keep_hours: int) -> int:
    """Add what was counted. Return how many ids are those of no key: what was counted of them is not kept.

    Hours before the last `keep_hours` are added to days, and some of those that are in the store are moved there.
    """
    last_used = _last_uses(connection, uses)
    first_week = _first_week(now, keep_hours)
    by_hour, by_day = Cells(), Cells()
    for key_id in last_used:
        for hour, counts in uses[key_id].hours.items():
            table, unit, length = (by_hour, hour, HOURS) if hour // HOURS >= first_week else (by_day, hour // 24, DAYS)
            cell = table.setdefault((unit // length, key_id), {})
            for name, count in counts.items():
                packed.add(cell, NUMBERS[name], unit % length, count)
    _merge(connection, usage_hours, HOURS, by_hour)
    _merge(connection, usage_days, DAYS, by_day)
    _move_forward(connection, {key_id: uses[key_id].last_used for key_id in uses}, last_used)
    _roll_up(connection, first_week)
    return len(uses) - len(last_used)


def apply(
    connection: Connection, reports: Iterable[Report], *, now: datetime, keep_hours: int, from_file: bool = False
) -> Applied:
    """Count reports, each of them once."""
    by_instance: dict[str, list[Report]] = {}
    for report in reports:
        by_instance.setdefault(report.recorder.instance, []).append(report)
    fresh, repeated = [], 0
    for instance in sorted(by_instance):
        new = _note_reports(connection, by_instance[instance], now=now, from_file=from_file)
        fresh += new
        repeated += len(by_instance[instance]) - len(new)
    unknown = add(connection, _sum(fresh), now=now, keep_hours=keep_hours)
    return Applied(len(fresh), repeated, unknown)


def instances(connection: Connection, name: str | None = None) -> list[Instance]:
    """Return the recorders that are known, or those of one name."""
    query = select(usage_recorders).order_by(usage_recorders.c.instance)
    if name is not None:
        query = query.where(usage_recorders.c.name == name)
    return [_instance(row) for row in connection.execute(query).mappings()]


def forget(connection: Connection, name: str) -> None:
    """Remove a recorder from those that are expected to report. What it counted stays."""
    connection.execute(delete(usage_recorders).where(usage_recorders.c.name == name))


def _note_reports(connection: Connection, reports: Sequence[Report], *, now: datetime, from_file: bool) -> list[Report]:
    """Write that an instance has made these reports; return those that were not counted before."""
    recorder = reports[0].recorder
    query = select(usage_recorders).where(usage_recorders.c.instance == recorder.instance).with_for_update()
    row = connection.execute(query).mappings().first()
    counted: str = row["counted"] if row else ""
    counted, new = sequences.added(counted, (report.sequence for report in reports))
    fresh = []
    for report in reports:
        if report.sequence in new:
            new.remove(report.sequence)  # the same report may be there twice
            fresh.append(report)
    if not fresh:
        return []
    newest = max(fresh, key=lambda report: report.sequence)
    began_at = min(report.since for report in fresh)
    values: dict[str, Any] = {
        "counted": counted,
        "reported_at": max(report.until for report in fresh),
        "every": newest.every,
        "dropped_at": max((report.until for report in fresh if report.dropped), default=None),
        "ended_at": max((report.until for report in fresh if report.ended), default=None),
        "began_at": began_at,
        "since": began_at,
    }
    if row is not None:
        for name in ("reported_at", "dropped_at", "ended_at"):
            values[name] = max((one for one in (row[name], values[name]) if one is not None), default=None)
        for name in ("began_at", "since"):
            values[name] = min(row[name], values[name])
        statement = update(usage_recorders).where(usage_recorders.c.instance == recorder.instance)
        connection.execute(statement.values(**values))
        return fresh
    if not from_file:  # a file may be imported again, and then its instance must be known
        values |= _compact(connection, recorder.name, values, now=now)
    connection.execute(insert(usage_recorders).values(**vars(recorder), **values, from_file=int(from_file)))
    return fresh


def _compact(connection: Connection, name: str, values: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Remove instances of a name that ended or were restarted long ago; return what their successor takes over."""
    known = instances(connection, name)
    over, _ = recorders.finished(known, now)
    old = [one for one in over if one.reported_at < now - _COMPACTED_AFTER and not one.from_file]
    for chunk in chunks([one.instance for one in old]):
        connection.execute(delete(usage_recorders).where(usage_recorders.c.instance.in_(chunk)))
    dropped = [to_milliseconds(one.dropped_at) for one in old if one.dropped_at is not None]
    return {
        "since": min([values["since"], *(to_milliseconds(one.since) for one in old)]),
        "dropped_at": max([*dropped, *([values["dropped_at"]] if values["dropped_at"] else [])], default=None),
    }


def _sum(reports: Iterable[Report]) -> dict[str, KeyUse]:
    hours: dict[str, dict[int, dict[str, int]]] = {}
    last: dict[str, int | None] = {}
    for report in reports:
        for key_id, use in report.keys.items():
            by_hour = hours.setdefault(key_id, {})
            for hour, counts in use.hours.items():
                cell = by_hour.setdefault(hour, {})
                for name, count in counts.items():
                    cell[name] = cell.get(name, 0) + count
            last[key_id] = max((at for at in (last.get(key_id), use.last_used) if at is not None), default=None)
    return {key_id: KeyUse(hours[key_id], last[key_id]) for key_id in sorted(hours)}


def _last_uses(connection: Connection, key_ids: Iterable[str]) -> dict[str, int | None]:
    """Return the last use of each key, in the order of the ids; other ids are omitted."""
    found: dict[str, int | None] = {}
    for chunk in chunks(sorted(key_ids)):
        query = select(keys.c.id, keys.c.last_used_at).where(keys.c.id.in_(chunk)).order_by(keys.c.id)
        found |= {row.id: row.last_used_at for row in connection.execute(query)}
    return found


def _move_forward(connection: Connection, uses: Mapping[str, int | None], known: Mapping[str, int | None]) -> None:
    statement = (
        update(keys)
        .where(
            keys.c.id == bindparam("which"),
            or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < bindparam("moment")),
        )
        .values(last_used_at=bindparam("moment"))
    )
    # In the order of the ids, as every other change of several keys: two that wait for each other would never end.
    later = [
        {"which": key_id, "moment": at}
        for key_id, last in known.items()
        if (at := uses[key_id]) is not None and (last is None or last < at)
    ]
    if later:
        connection.execute(statement, later)


def _merge(connection: Connection, table: Table, length: int, cells: Cells) -> None:
    """Add counts to the rows of a table, and insert those that are missing."""
    period = table.primary_key.columns[0]
    present: dict[tuple[int, str], object] = {}
    for number in sorted({number for number, _ in cells}):
        for chunk in chunks(sorted(key_id for one, key_id in cells if one == number)):
            query = select(table).where(period == number, table.c.key_id.in_(chunk)).order_by(table.c.key_id)
            present |= {(number, row.key_id): row.counts for row in connection.execute(query.with_for_update())}
    changed = []
    for (number, key_id), text in present.items():
        counts = _unpack(key_id, text, length)
        for outcome, at in cells[number, key_id].items():
            for offset, count in at.items():
                packed.add(counts, outcome, offset, count)
        changed.append({"number": number, "which": key_id, "counts": packed.pack(counts)})
    if changed:
        where = period == bindparam("number"), table.c.key_id == bindparam("which")
        connection.execute(update(table).where(*where), changed)
    missing = [
        {period.name: number, "key_id": key_id, "counts": packed.pack(counts)}
        for (number, key_id), counts in sorted(cells.items())
        if (number, key_id) not in present
    ]
    if missing:
        connection.execute(insert(table), missing)


def _roll_up(connection: Connection, first_week: int) -> None:
    """Move some of the oldest weeks from hours to days."""
    query = (
        select(usage_hours)
        .where(usage_hours.c.week < first_week)
        .order_by(usage_hours.c.week, usage_hours.c.key_id)
        .limit(_ROLLED_UP)
    )
    rows = list(connection.execute(query.with_for_update()))
    cells = Cells()
    for row in rows:
        for outcome, at in _unpack(row.key_id, row.counts, HOURS).items():
            for offset, count in at.items():
                day = (row.week * HOURS + offset) // 24
                packed.add(cells.setdefault((day // DAYS, row.key_id), {}), outcome, day % DAYS, count)
    _merge(connection, usage_days, DAYS, cells)
    if rows:
        where = usage_hours.c.week == bindparam("number"), usage_hours.c.key_id == bindparam("which")
        moved = [{"number": row.week, "which": row.key_id} for row in rows]
        connection.execute(delete(usage_hours).where(*where), moved)


def _first_week(now: datetime, keep_hours: int) -> int:
    """Return the first week of which an hour is kept."""
    return (to_milliseconds(now) // HOUR - keep_hours) // HOURS


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_keys(connection: Connection, key_ids: Iterable[str], *, since: datetime) -> dict[str, Used]:
    """Return how often keys were used from the hour, or the day, of `since` on."""
    found: dict[str, Used] = {}
    for chunk in chunks(sorted(key_ids)):
        for table in (usage_hours, usage_days):
            # Every period by its number: the rows of one key are far apart.
            periods = _periods(connection, table, since)
            query = select(table).where(table.primary_key.columns[0].in_(periods), table.c.key_id.in_(chunk))
            for number, key_id, text in connection.execute(query):
                _read_into(found, table, number, key_id, text, since)
    return found


def of_all(
    connection: Connection, *, since: datetime, until: datetime | None = None, refused: bool = False
) -> Iterator[tuple[str, Used]]:
    """Yield how often each key was used; a key may come several times, once for each row.

    With `refused`, only rows that count a refusal.
    """
    for table in (usage_hours, usage_days):
        period = table.primary_key.columns[0]
        query = select(table).where(period.in_(_periods(connection, table, since, until)))
        if refused:
            query = query.where(or_(table.c.counts.contains("|"), ~table.c.counts.startswith("0 ")))
        for number, key_id, text in connection.execute(query.execution_options(yield_per=1000)):
            found: dict[str, Used] = {}
            _read_into(found, table, number, key_id, text, since, until)
            yield from found.items()


def totals(
    connection: Connection, *, since: datetime, until: datetime | None = None, refused: bool = False
) -> dict[str, dict[str, int]]:
    """Return how often each key was used, by outcome; with `refused`, of keys that were refused."""
    found: dict[str, dict[str, int]] = {}
    for key_id, used in of_all(connection, since=since, until=until, refused=refused):
        total = found.setdefault(key_id, {})
        for name, count in used.total().items():
            total[name] = total.get(name, 0) + count
    return found


def _periods(connection: Connection, table: Table, since: datetime, until: datetime | None = None) -> list[int]:
    period = table.primary_key.columns[0]
    length = (HOURS if table is usage_hours else 24 * DAYS) * HOUR
    before, last = to_milliseconds(since) // length - 1, None if until is None else to_milliseconds(until) // length
    found: list[int] = []
    # From each one to the next: there are few, and a row that was altered may be far from the others.
    while (number := connection.execute(select(func.min(period)).where(period > before)).scalar()) is not None:
        before = _checked_period(table, number, length)
        if last is not None and before > last:
            break
        found.append(before)
    return found


def _checked_period(table: Table, number: object, length: int) -> int:
    """Return the number of a period. Raises RowDamaged for one whose hours are no times."""
    try:
        if not isinstance(number, int):
            raise TypeError
        from_milliseconds(number * length)
        from_milliseconds((number + 1) * length)
    except (TypeError, OverflowError):
        raise RowDamaged(f"{table.name} was altered outside keyctl: the time of a row cannot be read") from None
    return number


def _read_into(
    found: dict[str, Used],
    table: Table,
    number: int,
    key_id: str,
    text: object,
    since: datetime,
    until: datetime | None = None,
) -> None:
    length, unit = (HOURS, HOUR) if table is usage_hours else (DAYS, 24 * HOUR)
    first = to_milliseconds(since) // unit
    last = to_milliseconds(until) // unit if until is not None else None
    for outcome, at in _unpack(key_id, text, length).items():
        name = NAMES.get(outcome, f"CODE_{outcome}")
        for offset, count in at.items():
            index = number * length + offset
            if index >= first and (last is None or index < last):
                used = found.setdefault(key_id, Used({}, {}))
                cell = (used.hours if table is usage_hours else used.days).setdefault(index, {})
                cell[name] = cell.get(name, 0) + count


def _unpack(key_id: str, text: object, length: int) -> packed.Counts:
    try:
        return packed.unpack(text, length)
    except RowDamaged:
        raise RowDamaged(f"the recorded use of key {key_id} cannot be read") from None


def _instance(row: RowMapping) -> Instance:
    def moment_or_none(name: str) -> datetime | None:
        return None if row[name] is None else from_milliseconds(row[name])

    texts = [row[name] for name in ("name", "instance", "host", "counted")]
    try:
        if not all(isinstance(text, str) for text in texts) or not isinstance(row["pid"], int):
            raise TypeError
        return Instance(
            name=row["name"],
            instance=row["instance"],
            host=row["host"],
            pid=row["pid"],
            every=timedelta(milliseconds=row["every"]),
            counted=row["counted"],
            from_file=bool(row["from_file"]),
            since=from_milliseconds(row["since"]),
            began_at=from_milliseconds(row["began_at"]),
            reported_at=from_milliseconds(row["reported_at"]),
            dropped_at=moment_or_none("dropped_at"),
            ended_at=moment_or_none("ended_at"),
        )
    except (TypeError, OverflowError):
        raise RowDamaged("what is known of a recorder cannot be read") from None
