"""Copies the rows of a store, whatever the two databases are, and checks that what arrived is what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from types import NoneType
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, Table, func, insert, literal, select
from sqlalchemy.exc import DataError, IntegrityError

from keyctl.rows import RowDamaged
from keyctl.store.database import Database, schema_revision
from keyctl.store.opening import check_revision
from keyctl.store.tables import (
    audit_head,
    counters,
    events,
    keys,
    owners,
    settings,
    usage_days,
    usage_hours,
    usage_recorders,
)
from keyctl.store.transaction import execute

USAGE = (usage_hours, usage_days, usage_recorders)
TABLES = (settings, counters, owners, keys, events, audit_head, *USAGE)  # what is referred to comes first
_ROWS = 1000  # in one statement


@dataclass(frozen=True)
class Copied:
    """What was copied, by the name of the table: how many rows, and a digest of them."""

    rows: Mapping[str, int]
    digests: Mapping[str, bytes]


def copy_store(
    source: Database, target: Connection, database: Database, *, on_rows: Callable[[int], None] = lambda _: None
) -> Copied:
    """Copy a whole store, as it is at one moment, into the empty tables of `target`, a transaction of `database`.

    Raises StoreUnavailable, with the one of the two that it is about, and ConfigurationInvalid for another schema.
    """
    with source.snapshot() as rows:
        check_revision(str(source.location), schema_revision(rows))
        copied = copy_rows(rows, target, database, on_rows=on_rows)
    check_arrived(target, copied)
    return copied


def copy_rows(
    source: Connection,
    target: Connection,
    database: Database,
    *,
    tables: Sequence[Table] = TABLES,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Copied:
    """Copy every row of `tables`, which are empty in the target.

    `database` is the target's: an error of its driver must not look like one of the source. `on_rows` is called with
    the number of rows of each step. Raises RowDamaged if the source has a row that no store can have.
    """
    counts, digests = {}, {}
    for table in tables:
        digest, count = sha256(), 0
        for rows in _read(source, table):
            _refuse_other_types(table, rows)
            _insert(target, database, table, rows)
            digest.update(repr(rows).encode())
            count += len(rows)
            on_rows(len(rows))
        if count != source.execute(select(func.count()).select_from(table)).scalar_one():
            raise RowDamaged("an owner is its own ancestor, or has a parent that is missing")
        counts[table.name], digests[table.name] = count, digest.digest()
    return Copied(counts, digests)


def check_arrived(target: Connection, copied: Copied) -> None:
    """Read the rows that were copied. Raises RowDamaged if there are other ones."""
    for table in TABLES:
        if table.name in copied.digests:
            digest = sha256()
            for rows in _read(target, table):
                digest.update(repr(rows).encode())
            if digest.digest() != copied.digests[table.name]:
                raise RowDamaged(f"the rows of {table.name} are not those that were copied, and nothing was changed")


def _insert(target: Connection, database: Database, table: Table, rows: list[tuple[Any, ...]]) -> None:
    names = table.columns.keys()
    problem = None
    with database.explained():
        try:
            execute(target, insert(table), [dict(zip(names, row, strict=True)) for row in rows], rows=len(rows))
        except (DataError, IntegrityError) as error:  # from a row that the source's own schema would refuse
            # A server's details quote the row, with its hash.
            problem = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig)
    if problem is not None:
        raise RowDamaged(f"its table {table.name} has a row that cannot be copied: {problem}")


def _read(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows in steps, in an order that is the same in every database."""
    with closing(connection.execute(_in_order(table).execution_options(yield_per=_ROWS))) as result:
        for rows in result.partitions():
            yield [tuple(row) for row in rows]


def _in_order(table: Table) -> Select[Any]:
    if table is not owners:
        return select(table).order_by(*table.primary_key.columns)
    # A parent before its children, as their foreign key requires.
    roots = select(owners.c.id, literal(0).label("depth")).where(owners.c.parent_id.is_(None))
    tree = roots.cte("tree", recursive=True)
    tree = tree.union_all(select(owners.c.id, tree.c.depth + 1).join(tree, owners.c.parent_id == tree.c.id))
    return select(owners).join(tree, owners.c.id == tree.c.id).order_by(tree.c.depth, owners.c.id)


def _refuse_other_types(table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    # SQLite keeps values of any type in any column.
    types = [
        (kind, NoneType) if column.nullable else (kind,)
        for column in table.columns
        for kind in (int if isinstance(column.type, BigInteger) else str,)
    ]
    for row in rows:
        if not all(map(isinstance, row, types)):
            raise RowDamaged(f"its table {table.name} has a value of another type")
