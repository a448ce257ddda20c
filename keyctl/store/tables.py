"""The tables as they are now. Migrations have their own frozen copies."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, MetaData, Table, Text

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"}
)

# store_id, created_at, profile, hash, usage_recorded_since
settings = Table("settings", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

# Serial ids, where the profile asks for them.
counters = Table(
    "counters", metadata, Column("name", Text, primary_key=True), Column("value", BigInteger, nullable=False)
)

owners = Table(
    "owners",
    metadata,
    Column("id", Text, primary_key=True),
    Column("handle", Text, nullable=False),
    Column("name", Text),
    Column("kind", Text, nullable=False),
    Column("parent_id", Text, ForeignKey("owners.id")),
    Column("plan", Text),
    Column("attributes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_at", BigInteger),
    Index("ix_owners_handle", "handle", unique=True),
    Index("ix_owners_parent_id", "parent_id"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("prefix", Text, nullable=False),
    Column("phc", Text, nullable=False),
    Column("name", Text),
    Column("owner_id", Text, ForeignKey("owners.id")),
    Column("environment", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("allowed_ips", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("delivered_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("locked_at", BigInteger),
    Column("locked_until", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revoked_reason", Text),
    Column("replaces", Text),
    Column("replaced_by", Text),
    Column("last_used_at", BigInteger),
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
    Column("actor", Text, nullable=False),
    Column("claimed_actor", Text),
    Column("action", Text, nullable=False),
    Column("reason", Text),
    Column("detail", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

# One row: the end of the chain. Its row lock makes concurrent appends wait for each other on every engine.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)
