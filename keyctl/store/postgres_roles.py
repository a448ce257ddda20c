"""The SQL for three roles of PostgreSQL: one administers a store, one only verifies keys, one only records use."""

from __future__ import annotations

import re

from keyctl.errors import UsageError
from keyctl.text import brief

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,49}", re.ASCII)

# Revoked first, so that a second run leaves the same as the first: after an upgrade the tables may be others.
_SQL = """\
-- Run as the owner of the tables, and again after each `keyctl db upgrade`.
begin;
do $$ begin
  if not exists (select from pg_roles where rolname = '{name}_admin') then create role {name}_admin nologin; end if;
  if not exists (select from pg_roles where rolname = '{name}_verify') then create role {name}_verify nologin; end if;
  if not exists (select from pg_roles where rolname = '{name}_record') then create role {name}_record nologin; end if;
  execute format('grant usage on schema %I to {name}_admin, {name}_verify, {name}_record', current_schema());
end $$;
revoke all on alembic_version, audit_head, counters, events, keys, owners, settings, usage_days, usage_hours,
  usage_recorders from {name}_admin, {name}_verify, {name}_record;
revoke all (id, last_used_at) on keys from {name}_record;

-- Administration: no owner can be deleted, and no event changed or deleted. Keys are deleted by `keyctl prune`.
grant select on alembic_version, audit_head, counters, events, keys, owners, settings to {name}_admin;
grant select, insert, update, delete on usage_days, usage_hours, usage_recorders to {name}_admin;
grant insert on counters, events, keys, owners, settings to {name}_admin;
grant update on audit_head, counters, keys, owners, settings to {name}_admin;
grant delete on keys, settings to {name}_admin;

-- Verification: nothing can be changed, and the audit log cannot be read.
grant select on alembic_version, keys, owners, settings to {name}_verify;

-- Recording: a Recorder beside a Verifier. Of the keys, only their last use can be read and changed.
grant select on alembic_version, settings to {name}_record;
grant select, insert, update, delete on usage_days, usage_hours, usage_recorders to {name}_record;
grant select (id, last_used_at), update (last_used_at) on keys to {name}_record;
commit;"""


def role_statements(name: str) -> str:
    """Return the statements that make the roles NAME_admin, NAME_verify and NAME_record.

    They are for the schema that is first in the search path. Raises UsageError for an unsuitable name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{brief(name)}" cannot begin the name of a role', hint="use a-z, 0-9 and _, at most 50, such as keyctl"
        )
    return _SQL.format(name=name)
