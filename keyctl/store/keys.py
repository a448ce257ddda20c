"""Keys in the database: look-ups, pages, inserts, and updates of single columns."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    and_,
    bindparam,
    case,
    func,
    insert,
    not_,
    null,
    or_,
    select,
    tuple_,
    update,
)

from keyctl.errors import NotFound, UsageError, suggestion
from keyctl.hashing import HashInvalid, Scheme, scheme_of
from keyctl.keyformat import MAX_KEY_LENGTH
from keyctl.models import Key, KeyRecord, Status
from keyctl.rows import AsWritten, RowDamaged, as_written, decode_key, encode, encode_key
from keyctl.store import owners
from keyctl.store.chunks import chunks
from keyctl.store.tables import keys
from keyctl.store.transaction import check_count, execute
from keyctl.text import brief, is_utf8
from keyctl.times import to_milliseconds

_END_OF_TIME = 2**62
_LONGEST_GLOB = 1000  # SQLite refuses a pattern of more than 50,000 bytes
_SALT_AND_DIGEST = len("$") + 22 + len("$") + 43  # characters at the end of every hash that keyctl makes


@dataclass(frozen=True)
class Filters:
    """Which keys: those that meet all conditions that are not None.

    `below` includes the keys of all owners below `owner_id`. `due_after` selects what is to be rotated: active keys
    that are at least so old, and neither locked nor replaced. `name` is a pattern with `*` and `?`; `pepper` is an id,
    or `none` for hashes without a pepper.
    """

    status: Status | None = None
    owner_id: str | None = None
    below: bool = False
    environment: str | None = None
    scope: str | None = None
    name: str | None = None
    expires_within: timedelta | None = None
    older_than: timedelta | None = None
    unused_for: timedelta | None = None
    due_after: timedelta | None = None
    pepper: str | None = None


@dataclass(frozen=True)
class Page:
    records: tuple[KeyRecord, ...]
    next: str | None


# What pages are sorted by, and whether in descending order. Never NULL, so that a cursor can point to any row.
SORTS: Mapping[str, tuple[ColumnElement[Any], bool]] = {
    "created": (keys.c.created_at, True),
    "expires": (func.coalesce(keys.c.expires_at, _END_OF_TIME), False),
    "last-used": (func.coalesce(keys.c.last_used_at, 0), False),
    "name": (func.coalesce(keys.c.name, ""), False),
    "prefix": (keys.c.prefix, False),
}


def find(connection: Connection, prefix: str) -> KeyRecord | None:
    row = connection.execute(select(keys).where(keys.c.prefix == prefix)).mappings().first()
    return owners.attach(connection, [decode_key(row)])[0] if row else None


def select_for_change(connection: Connection, selectors: Sequence[str]) -> list[KeyRecord]:
    """Return the keys with these ids or whole prefixes, locked until the transaction ends. Raises NotFound."""
    wanted = list(dict.fromkeys(selectors))
    found: dict[str, Key] = {}
    for chunk in chunks(wanted):
        rows = connection.execute(
            select(keys)
            .where(or_(keys.c.id.in_(chunk), keys.c.prefix.in_(chunk)))
            .order_by(keys.c.id)
            .with_for_update()
        )
        for row in rows.mappings():
            key = decode_key(row)
            found[key.id] = found[key.prefix] = key
    for selector in wanted:
        if selector not in found:
            raise _unknown(connection, selector)
    return owners.attach(connection, list({found[selector].id: found[selector] for selector in wanted}.values()))


def get(connection: Connection, selector: str, *, beginning: int | None = None) -> KeyRecord:
    """Return the key with this id or prefix, or the only one whose prefix begins with `selector`. Raises NotFound.

    `beginning` is how many characters of a prefix are required at least; None requires all.
    """
    row = connection.execute(select(keys).where(_selected(selector))).mappings().first()
    if row is None and beginning and beginning <= len(selector) <= MAX_KEY_LENGTH:
        rows = connection.execute(
            select(keys).where(keys.c.prefix.startswith(selector, autoescape=True)).limit(2)
        ).mappings()
        matches = list(rows)
        if len(matches) > 1:
            raise NotFound(f'"{selector}" matches several keys', hint="give more characters; see: keyctl list")
        row = matches[0] if matches else None
    if row is None:
        raise _unknown(connection, selector)
    return owners.attach(connection, [decode_key(row)])[0]


def by_ids(connection: Connection, key_ids: Iterable[str]) -> dict[str, KeyRecord]:
    """Return the keys with these ids, by id; unknown ones are omitted."""
    found: list[Key] = []
    for chunk in chunks(sorted(key_ids)):
        rows = connection.execute(select(keys).where(keys.c.id.in_(chunk))).mappings()
        found += [decode_key(row) for row in rows]
    return {record.key.id: record for record in owners.attach(connection, found)}


def taken(connection: Connection, prefixes: Iterable[str]) -> set[str]:
    """Return those of `prefixes` that are in use."""
    query = select(keys.c.prefix).where(keys.c.prefix.in_(bindparam("chosen", expanding=True)))
    found: set[str] = set()
    for chunk in chunks(list(prefixes)):
        found |= set(connection.execute(query, {"chosen": chunk}).scalars())
    return found


def undelivered_successors(connection: Connection, key_id: str) -> list[KeyRecord]:
    """Return the successors of this key that were never delivered and are not revoked."""
    query = select(keys).where(keys.c.replaces == key_id, keys.c.delivered_at.is_(None), keys.c.revoked_at.is_(None))
    return owners.attach(connection, [decode_key(row) for row in connection.execute(query).mappings()])


def add(connection: Connection, new: Sequence[Key]) -> None:
    execute(connection, insert(keys), [encode_key(key) for key in new], rows=len(new))


def add_alike(connection: Connection, like: Key, new: Sequence[Key]) -> None:
    """Insert keys that differ from `like` only in id, prefix, hash and lineage: the rest is encoded once."""
    common = encode_key(like)
    rows = [{**common, "id": key.id, "prefix": key.prefix, "phc": key.phc, "lineage": key.lineage} for key in new]
    # The statement is SQLAlchemy's, and the rows go past it: tests/benchmarks, "mint of … keys, sha256".
    statement, order = _insertion(connection.dialect)
    parameters = [tuple(map(row.__getitem__, order)) for row in rows] if order else rows
    check_count(connection.exec_driver_sql(statement, parameters).rowcount, len(rows))


@lru_cache(maxsize=4)
def _insertion(dialect: Dialect) -> tuple[str, Sequence[str] | None]:
    """Return the statement, and the order of its parameters; None where the driver takes them by name."""
    compiled = insert(keys).compile(dialect=dialect)
    return str(compiled), compiled.positiontup


def set_columns(connection: Connection, key_id: str, **values: Any) -> None:
    """Set these columns of one key, and no others: a change by another process to the others is kept."""
    execute(connection, update(keys).where(keys.c.id == key_id).values(**encode(values)))


def replace_hash(connection: Connection, key_id: str, *, old: str, new: str) -> bool:
    """Replace a key's hash, unless another process did; return whether it was replaced."""
    changed = connection.execute(update(keys).where(keys.c.id == key_id, keys.c.phc == old).values(phc=new))
    return changed.rowcount == 1


def set_for_all(connection: Connection, key_ids: Sequence[str], **values: Any) -> None:
    """Set the same columns of many keys."""
    statement = update(keys).where(keys.c.id.in_(bindparam("chosen", expanding=True))).values(**encode(values))
    for chunk in chunks(list(key_ids)):
        execute(connection, statement, {"chosen": chunk}, rows=len(chunk))


def check_written(connection: Connection, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Read again what was set on the keys with these ids. Raises RowDamaged if it is not there."""
    for chunk in chunks(list(changes)):
        found = {row["id"]: row for row in connection.execute(select(keys).where(keys.c.id.in_(chunk))).mappings()}
        for key_id in chunk:
            for name, value in encode(changes[key_id]).items():
                if key_id not in found or found[key_id][name] != value:
                    raise RowDamaged(f"{name} of key {key_id} cannot be set, and nothing was changed")


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
    column, descending = SORTS[sort]
    descending ^= reverse
    query = select(keys).where(*_conditions(filters, now))
    if after:
        value, key_id = _read_cursor(after, sort)
        position = tuple_(column, keys.c.id)
        query = query.where(position < (value, key_id) if descending else position > (value, key_id))
    order = (column.desc(), keys.c.id.desc()) if descending else (column, keys.c.id)
    query = query.add_columns(column.label("sort_value")).order_by(*order)
    rows = list(connection.execute(query.limit(limit + 1) if limit else query).mappings())
    more = limit is not None and len(rows) > limit
    rows = rows[:limit]
    cursor = _write_cursor(sort, rows[-1]["sort_value"], rows[-1]["id"]) if more else None
    return Page(tuple(owners.attach(connection, [decode_key(row) for row in rows])), cursor)


def by_prefix(connection: Connection, filters: Filters, *, now: datetime, after: str, limit: int) -> list[Key]:
    """Return matching keys in the order of their prefixes, from the one after `after` on."""
    query = select(keys).where(keys.c.prefix > after, *_conditions(filters, now)).order_by(keys.c.prefix).limit(limit)
    return [decode_key(row) for row in connection.execute(query).mappings()]


def count_live(connection: Connection, filters: Filters, *, now: datetime) -> int:
    """Count the matching keys that are neither revoked nor expired."""
    query = select(func.count()).select_from(keys).where(*_conditions(filters, now), *_live(now))
    return connection.execute(query).scalar_one()


def count_by_scheme(connection: Connection, *, now: datetime) -> dict[Scheme | None, int]:
    """Count the keys that are neither revoked nor expired by the scheme of their hash, which names the pepper.

    None is a hash that keyctl cannot check.
    """
    length = func.length(keys.c.phc) - _SALT_AND_DIGEST
    parameters = case((length > 0, func.substr(keys.c.phc, 1, length)), else_=keys.c.phc)
    query = select(func.min(keys.c.phc), func.count()).where(*_live(now)).group_by(parameters)
    counts: dict[Scheme | None, int] = {}
    for example, number in connection.execute(query):
        scheme = _scheme_or_none(example)
        counts[scheme] = counts.get(scheme, 0) + number
    return counts


def every_as_written(connection: Connection) -> Iterator[AsWritten[Key]]:
    """Yield all keys in the order of their ids, in constant memory."""
    with closing(connection.execute(select(keys).order_by(keys.c.id).execution_options(yield_per=1000))) as result:
        for row in result.mappings():
            altered = f"key {row['prefix']} ({row['id']}) was altered outside keyctl"
            yield as_written(dict(row), row["id"], altered, decode_key, encode_key)


def _conditions(filters: Filters, now: datetime) -> list[ColumnElement[bool]]:
    moment = to_milliseconds(now)
    conditions: list[ColumnElement[bool]] = []
    if filters.status:
        conditions.append(_has_status(filters.status, moment))
    if filters.owner_id:
        conditions.append(
            keys.c.owner_id.in_(owners.ids_below(filters.owner_id))
            if filters.below
            else keys.c.owner_id == filters.owner_id
        )
    if filters.environment:
        conditions.append(keys.c.environment == filters.environment)
    if filters.scope:
        # A scope's name has no quotes, so this matches only whole names in the JSON list.
        conditions.append(keys.c.scopes.contains(f'"{filters.scope}"', autoescape=True))
    if filters.name:
        conditions.append(keys.c.name.like(_glob_as_like(filters.name), escape="\\"))
    if filters.expires_within is not None:
        conditions += [keys.c.expires_at > moment, keys.c.expires_at <= to_milliseconds(now + filters.expires_within)]
    if filters.older_than is not None:
        conditions.append(keys.c.created_at <= to_milliseconds(now - filters.older_than))
    if filters.unused_for is not None:
        since = to_milliseconds(now - filters.unused_for)
        conditions.append(func.coalesce(keys.c.last_used_at, keys.c.created_at) <= since)
    if filters.due_after is not None:
        conditions += [
            _has_status(Status.ACTIVE, moment),
            keys.c.created_at <= to_milliseconds(now - filters.due_after),
        ]
    if filters.pepper is not None:
        named = keys.c.phc.contains(
            "keyid=" if filters.pepper == "none" else f"keyid={filters.pepper}$", autoescape=True
        )
        conditions.append(not_(named) if filters.pepper == "none" else named)
    return conditions


def _live(now: datetime) -> list[ColumnElement[bool]]:
    return [not_(_has_status(status, to_milliseconds(now))) for status in (Status.REVOKED, Status.EXPIRED)]


def _scheme_or_none(phc: str) -> Scheme | None:
    try:
        return scheme_of(phc)
    except (HashInvalid, TypeError):  # SQLite keeps a value of any type in a column
        return None


def _has_status(status: Status, moment: int) -> ColumnElement[bool]:
    true_of = {
        Status.REVOKED: keys.c.revoked_at.is_not(null()),
        Status.EXPIRED: func.coalesce(keys.c.expires_at, _END_OF_TIME) <= moment,
        Status.LOCKED: and_(keys.c.locked_at.is_not(null()), func.coalesce(keys.c.locked_until, _END_OF_TIME) > moment),
        Status.RETIRING: keys.c.replaced_by.is_not(null()),
    }
    earlier = [
        condition for name, condition in true_of.items() if list(Status).index(name) < list(Status).index(status)
    ]
    own = [true_of[status]] if status in true_of else []
    return and_(*own, *(not_(condition) for condition in earlier))


def _glob_as_like(glob: str) -> str:
    if len(glob) > _LONGEST_GLOB:
        raise UsageError(f"the pattern has {len(glob):,} characters: at most {_LONGEST_GLOB:,}")
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _selected(selector: str) -> ColumnElement[bool]:
    return or_(keys.c.id == selector, keys.c.prefix == selector)


def _unknown(connection: Connection, selector: str) -> NotFound:
    # Near misses share a beginning: a hint is not worth reading every prefix of a large store.
    head = selector[: min(max(4, len(selector) // 2), MAX_KEY_LENGTH)]
    query = select(keys.c.prefix).where(keys.c.prefix.startswith(head, autoescape=True)).limit(100)
    near: list[str] = list(connection.execute(query).scalars())
    # All prefixes share the brand and the environment: that much likeness is no reason to suggest another key.
    hint = suggestion(selector, near, otherwise="see: keyctl list", likeness=0.8)
    return NotFound(f'no key "{brief(selector)}"', hint=hint)


def _write_cursor(sort: str, value: Any, key_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, value, key_id]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str) -> tuple[Any, str]:
    """Return the sort value and the id of the row that a page ended with. Raises UsageError."""
    kind = SORTS[sort][0].type.python_type
    try:
        _, value, key_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        valid = type(value) is kind and _is_storable(value) and type(key_id) is str and _is_storable(key_id)
    except (ValueError, TypeError, RecursionError):
        valid, value, key_id = False, None, ""
    if not valid or _write_cursor(sort, value, key_id) != cursor:
        raise UsageError(
            f'"{brief(cursor)}" is not a valid cursor for this list',
            hint=f"use the last one that keyctl list --sort {sort} printed",
        )
    return value, key_id


def _is_storable(value: int | str) -> bool:
    """Return whether a column of either database can hold a value: PostgreSQL has no NUL in texts."""
    return abs(value) <= _END_OF_TIME if isinstance(value, int) else "\0" not in value and is_utf8(value)
