"""The tables as they are now. Migrations have their own frozen copies."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, MetaData, Table, Text, text

# Sorted by code point, on every database: Postgres would follow the language of its cluster.
_Text = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"}
)

# Their names: setting_names.
settings = Table("settings", metadata, Column("name", _Text, primary_key=True), Column("value", _Text, nullable=False))

# Serial ids, where the profile asks for them.
counters = Table(
    "counters", metadata, Column("name", _Text, primary_key=True), Column("value", BigInteger, nullable=False)
)

owners = Table(
    "owners",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("handle", _Text, nullable=False),
    Column("name", _Text),
    Column("kind", _Text, nullable=False),
    Column("parent_id", _Text, ForeignKey("owners.id")),
    Column("plan", _Text),
    Column("attributes", _Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", _Text, nullable=False),
    Column("disabled_at", BigInteger),
    Index("ix_owners_handle", "handle", unique=True),
    Index("ix_owners_parent_id", "parent_id"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("prefix", _Text, nullable=False),
    Column("phc", _Text, nullable=False),
    Column("name", _Text),
    Column("owner_id", _Text, ForeignKey("owners.id")),
    Column("environment", _Text, nullable=False),
    Column("scopes", _Text, nullable=False),
    Column("allowed_ips", _Text, nullable=False),
    Column("metadata", _Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", _Text, nullable=False),
    Column("delivered_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("locked_at", BigInteger),
    Column("locked_until", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revoked_reason", _Text),
    Column("replaces", _Text),
    Column("replaced_by", _Text),
    Column("last_used_at", BigInteger),
    Column("lineage", _Text, nullable=False, server_default=text("''")),  # SQLite adds a column only with a default
    Index("ix_keys_prefix", "prefix", unique=True),
    Index("ix_keys_created_at_id", "created_at", "id"),
    Index("ix_keys_owner_id", "owner_id"),
    Index("ix_keys_replaces", "replaces"),
)

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", _Text, nullable=False),
    Column("claimed_actor", _Text),
    Column("action", _Text, nullable=False),
    Column("reason", _Text),
    Column("detail", _Text, nullable=False),
    Column("previous_hash", _Text, nullable=False),
    Column("hash", _Text, nullable=False),
)

# One row: the end of the chain. Its row lock makes concurrent appends wait for each other on every engine.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", _Text, nullable=False),
)

# How often keys were used: recorded, not audited. The texts are written and read by keyctl.usage.packed. A period comes
# first, since most questions are about the newest ones, and the oldest one moves from hours to days.
usage_hours = Table(
    "usage_hours",
    metadata,
    Column("week", BigInteger, primary_key=True, autoincrement=False),  # since 1970, of 168 hours
    Column("key_id", _Text, primary_key=True),
    Column("counts", _Text, nullable=False),
    sqlite_with_rowid=False,
)

usage_days = Table(
    "usage_days",
    metadata,
    Column("quarter", BigInteger, primary_key=True, autoincrement=False),  # since 1970, of 91 days
    Column("key_id", _Text, primary_key=True),
    Column("counts", _Text, nullable=False),
    sqlite_with_rowid=False,
)

# The processes that report, or whose files are imported: keyctl.usage.recorders.
usage_recorders = Table(
    "usage_recorders",
    metadata,
    Column("instance", _Text, primary_key=True),
    Column("name", _Text, nullable=False),
    Column("host", _Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("reported_at", BigInteger, nullable=False),
    Column("every", BigInteger, nullable=False),  # milliseconds
    Column("counted", _Text, nullable=False),
    Column("dropped_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("from_file", BigInteger, nullable=False),
)
