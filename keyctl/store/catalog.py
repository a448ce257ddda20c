"""What a database's catalog says of a store's tables. A trigger, rule, view or policy makes every other statement
unreliable: it can discard a revocation, hide a row, or answer without an end. Imports no database library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from keyctl.rows import RowDamaged

_REVISION_TABLE = "alembic_version"
_TABLES = (
    _REVISION_TABLE,
    *("audit_head", "counters", "events", "keys", "owners", "settings"),
    *("usage_days", "usage_hours", "usage_recorders"),
)

# Each row: what it is, its name, and the table that it belongs to. One statement for both questions: whether there is
# a schema, and whether something was added to it. A SQLite file is the store's own; a server's schema may be shared.
SQLITE = f"""
select type, name, tbl_name from sqlite_master where type in ('trigger', 'view') or name = '{_REVISION_TABLE}'
"""  # noqa: S608 - a name of our own
POSTGRES = f"""
select o.kind, o.name, c.relname from pg_catalog.pg_class c cross join lateral (
    select case when c.relkind in ('r', 'p') then 'table' when c.relkind = 'f' then 'foreign table' else 'view' end
               as kind, c.relname as name
    union all select 'trigger', tgname from pg_catalog.pg_trigger where tgrelid = c.oid and not tgisinternal
    union all select 'rule', rulename from pg_catalog.pg_rewrite where ev_class = c.oid and c.relkind in ('r', 'p')
    union all select 'policy', polname from pg_catalog.pg_policy where polrelid = c.oid
    union all select 'row-level security', '' where c.relrowsecurity
) o where c.oid in ({", ".join(f"to_regclass('{name}')" for name in _TABLES)})
"""  # noqa: S608 - names of our own


def has_schema(objects: Iterable[Sequence[Any]]) -> bool:
    """Return whether a database holds a store, by the rows of SQLITE or POSTGRES.

    Raises RowDamaged if it does, and something was added to its schema.
    """
    found = list(objects)
    if not holds_store(found):
        return False
    if planted := added(found):
        raise RowDamaged(planted[0])
    return True


def holds_store(objects: Iterable[Sequence[Any]]) -> bool:
    return any(table == _REVISION_TABLE for _, _, table in objects)


def added(objects: Iterable[Sequence[Any]]) -> list[str]:
    """Return what was added to the schema, a line for each."""
    faults = []
    for kind, name, table in objects:
        if kind != "table":
            where = "" if name == table else f" on {table}"
            faults.append(f"the {kind}{name and ' '}{name}{where} was added outside keyctl")
    return faults


def hides_rows(objects: Iterable[Sequence[Any]]) -> bool:
    """Return whether a view or another server's table is in the place of a table."""
    return any(kind in {"view", "foreign table"} for kind, _, _ in objects)
