"""What a report asks of a store: numbers by SQL, and the columns of a few keys. No key is decoded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select

from keyctl.models import Status
from keyctl.rows import RowDamaged
from keyctl.store import usage
from keyctl.store.chunks import chunks
from keyctl.store.owners import handle_of
from keyctl.store.selection import Filters, conditions, has_status, is_live, status_rank
from keyctl.store.tables import keys
from keyctl.times import from_milliseconds, to_milliseconds
from keyctl.usage.outcomes import refused


class Found(NamedTuple):
    """A key that a report names."""

    prefix: str
    name: str | None
    owner: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class Refusals(NamedTuple):
    """A key that was refused, and how often it was answered, by code."""

    found: Found
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Question:
    """Which keys are meant, and which of them come first."""

    conditions: Sequence[ColumnElement[bool]]
    order: ColumnElement[Any]


def statuses(connection: Connection, filters: Filters, *, now: datetime) -> dict[Status, int]:
    """Return how many keys have each status."""
    rank = status_rank(now)
    query = select(rank, func.count()).where(*conditions(filters, now)).group_by(rank)
    order = list(reversed(Status))
    counts = {order[number]: count for number, count in connection.execute(query)}
    return {status: counts.get(status, 0) for status in order}


def due(now: datetime, rotate_every: timedelta) -> Question:
    """Ask for active keys that are older than the profile wants keys to be."""
    old = keys.c.created_at <= to_milliseconds(now - rotate_every)
    return Question([has_status(Status.ACTIVE, now), old], keys.c.created_at)


def expiring(now: datetime, within: timedelta) -> Question:
    """Ask for valid keys that expire soon and were not replaced."""
    return Question([*_lasting(now), keys.c.expires_at <= to_milliseconds(now + within)], keys.c.expires_at)


def stale(now: datetime, unused_for: timedelta) -> Question:
    """Ask for valid keys that were used, and not for this long."""
    return Question([*_lasting(now), keys.c.last_used_at <= to_milliseconds(now - unused_for)], keys.c.last_used_at)


def never_used(now: datetime, after: timedelta) -> Question:
    """Ask for valid keys that are this old, and of which no use is recorded."""
    old = keys.c.created_at <= to_milliseconds(now - after)
    return Question([*_lasting(now), keys.c.last_used_at.is_(None), old], keys.c.created_at)


def moved(now: datetime, after: timedelta) -> Question:
    """Ask for replaced keys that are still valid, and were not used for this long, while the successor was."""
    successor = keys.alias("successor")
    later = (
        select(successor.c.id)
        .where(
            successor.c.id == keys.c.replaced_by,
            successor.c.last_used_at > func.coalesce(keys.c.last_used_at, 0),
        )
        .exists()
    )
    idle = func.coalesce(keys.c.last_used_at, 0) <= to_milliseconds(now - after)
    return Question([has_status(Status.RETIRING, now), idle, later], keys.c.created_at)


def without_owner(now: datetime) -> Question:
    return Question([*_lasting(now), keys.c.owner_id.is_(None)], keys.c.created_at)


def without_expiry(now: datetime) -> Question:
    return Question([*_lasting(now), keys.c.expires_at.is_(None)], keys.c.created_at)


def count(
    connection: Connection, questions: Mapping[str, Question], filters: Filters, *, now: datetime
) -> dict[str, int]:
    """Return how many keys each question asks for, from one reading of the table."""
    sums = [func.sum(case((and_(*one.conditions), 1), else_=0)).label(name) for name, one in questions.items()]
    row = connection.execute(select(*sums).where(*conditions(filters, now))).one()
    return {name: int(row._mapping[name] or 0) for name in questions}


def first(connection: Connection, question: Question, filters: Filters, *, now: datetime, limit: int) -> list[Found]:
    """Return the first keys that a question asks for."""
    query = _columns().where(*question.conditions, *conditions(filters, now)).order_by(question.order, keys.c.id)
    return [_found(row) for row in connection.execute(query.limit(limit))]


def expiring_by(
    connection: Connection, filters: Filters, *, now: datetime, length: timedelta
) -> tuple[dict[int, int], int]:
    """Return how many valid keys expire in each period of this length from now on, by its number, and how many never.

    Those that were replaced are not counted: they are meant to end.
    """
    milliseconds = length // timedelta(milliseconds=1)
    period = (keys.c.expires_at - to_milliseconds(now)) // milliseconds
    query = select(period, func.count()).where(*_lasting(now), *conditions(filters, now)).group_by(period)
    counts: dict[int | None, int] = {number: count for number, count in connection.execute(query)}  # noqa: C416 - typed
    never = counts.pop(None, 0)
    return {number: count for number, count in counts.items() if number is not None}, never


def scopes_held(connection: Connection, filters: Filters, *, now: datetime) -> set[str]:
    """Return the scopes that valid keys have. Many keys have the same ones, which are read once."""
    query = select(keys.c.scopes).where(*is_live(now), *conditions(filters, now)).distinct()
    held: set[str] = set()
    for text in connection.execute(query).scalars():
        try:
            held.update(map(str, json.loads(text)))
        except (TypeError, ValueError, RecursionError):
            raise RowDamaged("the scopes of a key were altered outside keyctl: they cannot be read") from None
    return held


def any_use(connection: Connection) -> bool:
    """Return whether a use of any key is recorded."""
    return connection.execute(select(keys.c.id).where(keys.c.last_used_at.is_not(None)).limit(1)).first() is not None


def refusals(
    connection: Connection, filters: Filters, *, now: datetime, since: datetime, at_least: int
) -> list[Refusals]:
    """Return the keys that were refused so often, and all their answers since then."""
    counts = usage.totals(connection, since=since, refused=True)
    often = sorted(key_id for key_id, total in counts.items() if refused(total) >= at_least)
    answers = usage.of_keys(connection, often, since=since)
    found = []
    for chunk in chunks(often):
        query = _columns().add_columns(keys.c.id).where(keys.c.id.in_(chunk), *conditions(filters, now))
        found += [Refusals(_found(row), answers[row.id].total()) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (-refused(one.counts), one.found.prefix))


def _columns() -> Select[Any]:
    owner = handle_of(keys.c.owner_id).label("owner")
    return select(keys.c.prefix, keys.c.name, owner, keys.c.created_at, keys.c.expires_at, keys.c.last_used_at)


def _found(row: Any) -> Found:
    try:
        created, expires, used = (
            from_milliseconds(at) if at is not None else None
            for at in (row.created_at, row.expires_at, row.last_used_at)
        )
        if created is None:
            raise TypeError
    except (TypeError, OverflowError):
        raise RowDamaged(f"key {row.prefix} was altered outside keyctl: it cannot be read") from None
    return Found(str(row.prefix), row.name, row.owner, created, expires, used)


def _lasting(now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions of valid keys that were not replaced."""
    return [*is_live(now), keys.c.replaced_by.is_(None)]
