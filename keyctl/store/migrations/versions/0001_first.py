"""The first schema: settings, owners, keys and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "settings", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.create_table(
        "counters", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.BigInteger, nullable=False)
    )
    op.create_table(
        "owners",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("handle", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parent_id", sa.Text, sa.ForeignKey("owners.id", name="fk_owners_parent_id")),
        sa.Column("plan", sa.Text),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("disabled_at", sa.BigInteger),
    )
    op.create_index("ix_owners_handle", "owners", ["handle"], unique=True)
    op.create_index("ix_owners_parent_id", "owners", ["parent_id"])
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("phc", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("owner_id", sa.Text, sa.ForeignKey("owners.id", name="fk_keys_owner_id")),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("allowed_ips", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("delivered_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("locked_at", sa.BigInteger),
        sa.Column("locked_until", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("revoked_reason", sa.Text),
        sa.Column("replaces", sa.Text),
        sa.Column("replaced_by", sa.Text),
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
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("claimed_actor", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
