"""Pages of keys in an order, and the cursors that continue them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from keyctl.errors import UsageError
from keyctl.models import KeyRecord
from keyctl.rows import decode_key
from keyctl.store import owners
from keyctl.store.selection import END_OF_TIME, Filters, conditions, status_rank
from keyctl.store.tables import keys
from keyctl.text import brief, is_utf8
from keyctl.times import utc_now

# What pages are sorted by at a moment, and whether in descending order. Never NULL, so that a cursor can point to any
# row. Only the default, `created`, has an index.
SORTS: Mapping[str, tuple[Callable[[datetime], ColumnElement[Any]], bool]] = {
    "created": (lambda _: keys.c.created_at, True),
    "expires": (lambda _: func.coalesce(keys.c.expires_at, END_OF_TIME), False),
    "last-used": (lambda _: func.coalesce(keys.c.last_used_at, 0), False),
    "name": (lambda _: func.coalesce(keys.c.name, ""), False),
    "owner": (lambda _: func.coalesce(owners.handle_of(keys.c.owner_id), ""), False),
    "prefix": (lambda _: keys.c.prefix, False),
    "status": (status_rank, False),
}


@dataclass(frozen=True)
class Page:
    records: tuple[KeyRecord, ...]
    next: str | None


def page(
    connection: Connection,
    filters: Filters,
    *,
    now: datetime,
    sort: str = "created",
    reverse: bool = False,
    limit: int | None = 100,
    after: str | None = None,
) -> Page:
    """Return matching keys in order, and the next page's cursor if there is one. Raises UsageError for a bad cursor."""
    column_at, descending = SORTS[sort]
    column, descending = column_at(now), descending ^ reverse
    order_given = f"{sort} --reverse" if reverse else sort
    query = select(keys).where(*conditions(filters, now))
    if after:
        value, key_id = _read_cursor(after, order_given)
        position = tuple_(column, keys.c.id)
        query = query.where(position < (value, key_id) if descending else position > (value, key_id))
    order = (column.desc(), keys.c.id.desc()) if descending else (column, keys.c.id)
    query = query.add_columns(column.label("sort_value")).order_by(*order)
    rows = list(connection.execute(query.limit(limit + 1) if limit else query).mappings())
    more = limit is not None and len(rows) > limit
    rows = rows[:limit]
    cursor = _write_cursor(order_given, rows[-1]["sort_value"], rows[-1]["id"]) if more else None
    return Page(tuple(owners.attach(connection, [decode_key(row) for row in rows])), cursor)


def _write_cursor(order: str, value: Any, key_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([order, value, key_id]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, order: str) -> tuple[Any, str]:
    """Return the sort value and the id of the row that a page ended with. Raises UsageError.

    `order` is what to type after --sort, and what a cursor begins with: those of another order are refused.
    """
    try:
        written, value, key_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        sort, _, reverse = written.partition(" ")
        kind = SORTS[sort][0](utc_now()).type.python_type
        valid = reverse in {"", "--reverse"} and type(key_id) is str and _is_storable(key_id)
        valid = valid and type(value) is kind and _is_storable(value)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        valid, written, value, key_id = False, order, None, ""
    if not valid or _write_cursor(written, value, key_id) != cursor:
        raise UsageError(
            f'"{brief(cursor)}" is not a valid cursor for this list',
            hint=f"use the last one that keyctl list --sort {order} printed",
        )
    if written != order:
        raise UsageError(
            f"the cursor is of a list in another order: --sort {written}",
            hint=f"continue that list: --sort {written} --after CURSOR",
        )
    return value, key_id


def _is_storable(value: int | str) -> bool:
    """Return whether a column of either database can hold a value: PostgreSQL has no NUL in texts."""
    return abs(value) <= END_OF_TIME if isinstance(value, int) else "\0" not in value and is_utf8(value)
