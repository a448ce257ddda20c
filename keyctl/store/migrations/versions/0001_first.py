"""The first schema: settings, owners, keys and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table("settings", sa.Column("name", _Text, primary_key=True), sa.Column("value", _Text, nullable=False))
    op.create_table(
        "counters", sa.Column("name", _Text, primary_key=True), sa.Column("value", sa.BigInteger, nullable=False)
    )
    op.create_table(
        "owners",
        sa.Column("id", _Text, primary_key=True),
        sa.Column("handle", _Text, nullable=False),
        sa.Column("name", _Text),
        sa.Column("kind", _Text, nullable=False),
        sa.Column("parent_id", _Text, sa.ForeignKey("owners.id", name="fk_owners_parent_id")),
        sa.Column("plan", _Text),
        sa.Column("attributes", _Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", _Text, nullable=False),
        sa.Column("disabled_at", sa.BigInteger),
    )
    op.create_index("ix_owners_handle", "owners", ["handle"], unique=True)
    op.create_index("ix_owners_parent_id", "owners", ["parent_id"])
    op.create_table(
        "keys",
        sa.Column("id", _Text, primary_key=True),
        sa.Column("prefix", _Text, nullable=False),
        sa.Column("phc", _Text, nullable=False),
        sa.Column("name", _Text),
        sa.Column("owner_id", _Text, sa.ForeignKey("owners.id", name="fk_keys_owner_id")),
        sa.Column("environment", _Text, nullable=False),
        sa.Column("scopes", _Text, nullable=False),
        sa.Column("allowed_ips", _Text, nullable=False),
        sa.Column("metadata", _Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", _Text, nullable=False),
        sa.Column("delivered_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("locked_at", sa.BigInteger),
        sa.Column("locked_until", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("revoked_reason", _Text),
        sa.Column("replaces", _Text),
        sa.Column("replaced_by", _Text),
        sa.Column("last_used_at", sa.BigInteger),
    )
    op.create_index("ix_keys_prefix", "keys", ["prefix"], unique=True)
    op.create_index("ix_keys_created_at_id", "keys", ["created_at", "id"])
    op.create_index("ix_keys_owner_id", "keys", ["owner_id"])
    op.create_index("ix_keys_replaces", "keys", ["replaces"])
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", _Text, nullable=False),
        sa.Column("claimed_actor", _Text),
        sa.Column("action", _Text, nullable=False),
        sa.Column("reason", _Text),
        sa.Column("detail", _Text, nullable=False),
        sa.Column("previous_hash", _Text, nullable=False),
        sa.Column("hash", _Text, nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", _Text, nullable=False),
    )
