"""Keys in the database: look-ups, inserts, and updates of single columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from keyctl.errors import NotFound, suggestion
from keyctl.hashing import ForeignScheme, HashInvalid, Scheme, scheme_of
from keyctl.keyformat import MAX_KEY_LENGTH
from keyctl.models import Key, KeyRecord
from keyctl.rows import KEY_COLUMNS, AsWritten, RowDamaged, as_written, decode_key, encode, encode_key, key_of_columns
from keyctl.store import owners, removals
from keyctl.store.chunks import chunks
from keyctl.store.selection import Filters, Selection, conditions, is_live
from keyctl.store.tables import keys
from keyctl.store.transaction import check_count, execute
from keyctl.text import brief
from keyctl.times import format_time

_SALT_AND_DIGEST = len("$") + 22 + len("$") + 43  # characters at the end of every hash that keyctl makes


@dataclass(frozen=True)
class Summary:
    """What a selection holds: the number of keys and of their owners, and some keys as examples."""

    keys: int
    owners: int
    examples: tuple[KeyRecord, ...]


_PREFIXES_OF_NAME = select(keys.c.prefix).where(keys.c.name == bindparam("name")).limit(2)


def find(connection: Connection, prefix: str) -> KeyRecord | None:
    row = connection.execute(select(keys).where(keys.c.prefix == prefix)).mappings().first()
    return owners.attach(connection, [decode_key(row)])[0] if row else None


def ids(connection: Connection, selection: Selection, *, now: datetime) -> list[str]:
    """Return the ids of the selected keys: those with names in that order, else in the order of the ids.

    Raises NotFound, naming all unknown selectors.
    """
    wanted = conditions(selection.filters, now)
    if selection.selectors is None:
        return list(connection.execute(select(keys.c.id).where(*wanted).order_by(keys.c.id)).scalars())
    named = list(selection.selectors)
    rows = [
        row
        for chunk in chunks(named)
        for row in connection.execute(select(keys.c.id, keys.c.prefix, and_(true(), *wanted)).where(_is_one_of(chunk)))
    ]
    matching = {name: (key_id, matches) for key_id, prefix, matches in rows for name in (key_id, prefix)}
    if unknown := [name for name in named if name not in matching]:
        raise _unknown(connection, unknown)
    return list(dict.fromkeys(key_id for key_id, matches in map(matching.__getitem__, named) if matches))


def selected(
    connection: Connection, selection: Selection, *, now: datetime, for_change: bool = False
) -> list[KeyRecord]:
    """Return the selected keys, in the order of `ids`. Raises NotFound, naming all unknown selectors.

    With `for_change`, they are locked until the transaction ends.
    """
    query = select(keys).where(*conditions(selection.filters, now)).order_by(keys.c.id)
    if for_change:
        query = query.with_for_update()
    if selection.selectors is None:
        return _decoded(connection, [query])
    chosen = ids(connection, selection, now=now)
    found = {
        one.key.id: one for one in _decoded(connection, [query.where(keys.c.id.in_(part)) for part in chunks(chosen)])
    }
    return [found[key_id] for key_id in chosen if key_id in found]


def known(connection: Connection, selectors: Sequence[str]) -> set[str]:
    """Return those of the ids and prefixes that are in the store."""
    return {
        name
        for chunk in chunks(list(selectors))
        for row in connection.execute(select(keys.c.id, keys.c.prefix).where(_is_one_of(chunk)))
        for name in row
    } & set(selectors)


def summary(connection: Connection, selection: Selection, *, now: datetime, examples: int) -> Summary:
    """Count the selected keys and their owners, and return some of them. Unknown names are omitted."""
    wanted = conditions(selection.filters, now)
    count, owner_ids, first = 0, set[str | None](), list[Key]()
    parts = (
        [wanted]
        if selection.selectors is None
        else [[*wanted, _is_one_of(chunk)] for chunk in chunks(list(selection.selectors))]
    )
    for part in parts:
        by_owner = select(keys.c.owner_id, func.count()).where(*part).group_by(keys.c.owner_id)
        for owner_id, number in connection.execute(by_owner):
            count += number
            owner_ids.add(owner_id)
        if len(first) < examples:
            rows = connection.execute(select(keys).where(*part).order_by(keys.c.id).limit(examples - len(first)))
            first += [decode_key(row) for row in rows.mappings()]
    return Summary(count, len(owner_ids - {None}), tuple(owners.attach(connection, first)))


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
        if removed := removals.find(connection, selector):
            hint = f"its history: keyctl audit list --key {removed.prefix}"
            raise NotFound(f"the key {removed.prefix} was removed at {format_time(removed.at)}", hint=hint)
        raise _unknown(connection, [selector])
    return owners.attach(connection, [decode_key(row)])[0]


def by_ids(connection: Connection, key_ids: Iterable[str]) -> dict[str, KeyRecord]:
    """Return the keys with these ids, by id; unknown ones are omitted."""
    found: list[Key] = []
    for chunk in chunks(sorted(key_ids)):
        rows = connection.execute(select(keys).where(keys.c.id.in_(chunk))).mappings()
        found += [decode_key(row) for row in rows]
    return {record.key.id: record for record in owners.attach(connection, found)}


def with_prefixes(connection: Connection, prefixes: Iterable[str]) -> dict[str, KeyRecord]:
    """Return the keys with these prefixes, by prefix; unknown ones are omitted."""
    found: list[Key] = []
    for chunk in chunks(sorted(prefixes)):
        rows = connection.execute(select(keys).where(keys.c.prefix.in_(chunk))).mappings()
        found += [decode_key(row) for row in rows]
    return {record.key.prefix: record for record in owners.attach(connection, found)}


def taken(connection: Connection, prefixes: Iterable[str]) -> set[str]:
    """Return those of `prefixes` that are in use."""
    query = select(keys.c.prefix).where(keys.c.prefix.in_(bindparam("chosen", expanding=True)))
    found: set[str] = set()
    for chunk in chunks(list(prefixes)):
        found |= set(connection.execute(query, {"chosen": chunk}).scalars())
    return found


def undelivered_successors(connection: Connection, key_ids: Sequence[str]) -> list[KeyRecord]:
    """Return the successors of these keys that were never delivered and are not revoked."""
    query = select(keys).where(keys.c.delivered_at.is_(None), keys.c.revoked_at.is_(None))
    return _decoded(connection, [query.where(keys.c.replaces.in_(chunk)) for chunk in chunks(list(key_ids))])


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


def replace_hash(connection: Connection, key_id: str, *, old: str, new: str) -> bool:
    """Replace a key's hash, unless another process did; return whether it was replaced."""
    changed = connection.execute(update(keys).where(keys.c.id == key_id, keys.c.phc == old).values(phc=new))
    return changed.rowcount == 1


def set_for_all(connection: Connection, key_ids: Sequence[str], **values: Any) -> None:
    """Set the same columns of many keys."""
    statement = update(keys).where(keys.c.id.in_(bindparam("chosen", expanding=True))).values(**encode(values))
    for chunk in chunks(list(key_ids)):
        execute(connection, statement, {"chosen": chunk}, rows=len(chunk))


def set_on(connection: Connection, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Set columns of the keys with these ids, and no others: a change by another process to those is kept.

    Reads again what was set. Raises RowDamaged if it is not there.
    """
    alike: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for key_id, values in changes.items():
        alike.setdefault(repr(values), (values, []))[1].append(key_id)
    for values, key_ids in alike.values():
        set_for_all(connection, key_ids, **values)
    for values, key_ids in alike.values():
        encoded = encode(values)
        as_set = and_(*(keys.c[name].is_not_distinct_from(value) for name, value in encoded.items()))
        counted = select(func.count()).where(keys.c.id.in_(bindparam("chosen", expanding=True)), as_set)
        for chunk in chunks(key_ids):
            if connection.execute(counted, {"chosen": chunk}).scalar_one() != len(chunk):
                written = set(connection.execute(select(keys.c.id).where(keys.c.id.in_(chunk), as_set)).scalars())
                lost = next(key_id for key_id in chunk if key_id not in written)
                raise RowDamaged(f"{', '.join(encoded)} of key {lost} cannot be set, and nothing was changed")


def by_prefix(connection: Connection, filters: Filters, *, now: datetime, after: str, limit: int) -> list[Key]:
    """Return matching keys in the order of their prefixes, from the one after `after` on."""
    query = select(keys).where(keys.c.prefix > after, *conditions(filters, now)).order_by(keys.c.prefix).limit(limit)
    return [decode_key(row) for row in connection.execute(query).mappings()]


def count_live(connection: Connection, filters: Filters, *, now: datetime) -> int:
    """Count the matching keys that are neither revoked nor expired."""
    query = select(func.count()).select_from(keys).where(*conditions(filters, now), *is_live(now))
    return connection.execute(query).scalar_one()


def count_by_scheme(connection: Connection, *, now: datetime) -> dict[Scheme | ForeignScheme | None, int]:
    """Count the keys that are neither revoked nor expired by the scheme of their hash, which names the pepper.

    None is a hash that keyctl cannot check.
    """
    length = func.length(keys.c.phc) - case(
        (keys.c.phc.startswith("$foreign$"), _foreign_digest()), else_=_SALT_AND_DIGEST
    )
    parameters = case((length > 0, func.substr(keys.c.phc, 1, length)), else_=keys.c.phc)
    query = select(func.min(keys.c.phc), func.count()).where(*is_live(now)).group_by(parameters)
    counts: dict[Scheme | ForeignScheme | None, int] = {}
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


def _foreign_digest() -> ColumnElement[int]:
    """Return the number of characters at the end of a foreign hash that differ from key to key."""
    lengths = {"$sha256$": 43, "$sha512$": 86, "$2_$__$": 53}
    return case(*((keys.c.phc.like(f"%{mark}%"), length) for mark, length in lengths.items()), else_=_SALT_AND_DIGEST)


def _scheme_or_none(phc: str) -> Scheme | ForeignScheme | None:
    try:
        return scheme_of(phc)
    except (HashInvalid, TypeError):  # SQLite keeps a value of any type in a column
        return None


def _selected(selector: str) -> ColumnElement[bool]:
    return or_(keys.c.id == selector, keys.c.prefix == selector)


def _is_one_of(names: list[str]) -> ColumnElement[bool]:
    return or_(keys.c.id.in_(names), keys.c.prefix.in_(names))


def _decoded(connection: Connection, queries: Sequence[Select[Any]]) -> list[KeyRecord]:
    in_order = [keys.c[name] for name in KEY_COLUMNS]
    found = [key_of_columns(row) for query in queries for row in connection.execute(query.with_only_columns(*in_order))]
    return owners.attach(connection, found)


def unknown_named(names: Sequence[str]) -> str:
    """Return the message that names unknown keys, each on a line."""
    are = "key is" if len(names) == 1 else "keys are"
    return f"{len(names):,} {are} unknown, and nothing was done:\n" + "\n".join(f"  {one}" for one in names)


def _unknown(connection: Connection, selectors: Sequence[str]) -> NotFound:
    if len(selectors) > 1:
        return NotFound(
            unknown_named([brief(one) for one in selectors]),
            hint="correct them, or add --ignore-unknown to continue without them",
        )
    [selector] = selectors
    # Near misses share a beginning: a hint is not worth reading every prefix of a large store.
    head = selector[: min(max(4, len(selector) // 2), MAX_KEY_LENGTH)]
    query = select(keys.c.prefix).where(keys.c.prefix.startswith(head, autoescape=True)).limit(100)
    near: list[str] = list(connection.execute(query).scalars())
    if not near and (named := list(connection.execute(_PREFIXES_OF_NAME, {"name": selector}).scalars())):
        other = f'keys are named so: keyctl list --name "{selector}"'
        return NotFound(f'no key "{brief(selector)}"', hint=other if named[1:] else f"a key is named so: {named[0]}")
    # All prefixes share the brand and the environment: that much likeness is no reason to suggest another key.
    hint = suggestion(selector, near, otherwise="see: keyctl list", likeness=0.8)
    return NotFound(f'no key "{brief(selector)}"', hint=hint)
