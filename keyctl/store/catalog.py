"""What a database's catalog says of a store's tables. A trigger, rule or view makes every other statement unreliable:
it can discard a revocation, or answer without an end. Imports no database library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from keyctl.rows import RowDamaged

_REVISION_TABLE = "alembic_version"
_TABLES = (_REVISION_TABLE, "audit_head", "counters", "events", "keys", "owners", "settings")

# Each row: what it is, its name, and the table that it belongs to. One statement for both questions: whether there is
# a schema, and whether something was added to it. A SQLite file is the store's own; a server's schema may be shared.
SQLITE = f"""
select type, name, tbl_name from sqlite_master where type in ('trigger', 'view') or name = '{_REVISION_TABLE}'
"""  # noqa: S608 - a name of our own
POSTGRES = f"""
select case when t.tgname is not null then 'trigger' when c.relkind in ('r', 'p') and r.rulename is not null then 'rule'
            when c.relkind in ('r', 'p') then 'table' when c.relkind = 'f' then 'foreign table' else 'view' end,
       coalesce(t.tgname, case when c.relkind in ('r', 'p') then r.rulename end, c.relname), c.relname
    from pg_catalog.pg_class c
    left join pg_catalog.pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
    left join pg_catalog.pg_rewrite r on r.ev_class = c.oid
    where c.oid in ({", ".join(f"to_regclass('{name}')" for name in _TABLES)})
"""  # noqa: S608 - names of our own


def has_schema(objects: Iterable[Sequence[Any]]) -> bool:
    """Return whether a database has a store's schema, by the rows of SQLITE or POSTGRES.

    Raises RowDamaged if it has, and a trigger, rule or view as well.
    """
    found = list(objects)
    if not any(table == _REVISION_TABLE for _, _, table in found):
        return False
    for kind, name, table in found:
        if kind != "table":
            where = "" if name == table else f" on {table}"
            raise RowDamaged(f"the {kind} {name}{where} was added outside keyctl")
    return True
