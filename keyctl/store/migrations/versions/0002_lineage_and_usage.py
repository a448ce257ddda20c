"""The first key of a chain of rotations, in each of its keys; and how often keys are used, as recorders report it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

# From the first successor of each chain downwards. A first key that is missing is known by its id all the same. Keys
# that replace each other in a circle, which keyctl never writes, are not reached.
_CHAIN = """
with recursive chain(id, lineage) as (
    select new.id, new.replaces from keys new left join keys old on old.id = new.replaces
        where new.replaces is not null and old.replaces is null
    union all
    select new.id, chain.lineage from chain join keys new on new.replaces = chain.id
)
"""
_FILL = {
    # SQLite before 3.33 has no UPDATE … FROM, and PostgreSQL would read the whole chain again for each key.
    "sqlite": """
update keys set lineage = (select lineage from chain where chain.id = keys.id) where id in (select id from chain)
""",
    "postgresql": "update keys set lineage = chain.lineage from chain where chain.id = keys.id",
}


def upgrade() -> None:
    op.add_column("keys", sa.Column("lineage", _Text, nullable=False, server_default=sa.text("''")))
    op.execute("update keys set lineage = id")
    op.execute(_CHAIN + _FILL[op.get_context().dialect.name])

    op.execute("delete from settings where name = 'usage_recorded_since'")
    for table, period in (("usage_hours", "week"), ("usage_days", "quarter")):
        op.create_table(
            table,
            sa.Column(period, sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("key_id", _Text, primary_key=True),
            sa.Column("counts", _Text, nullable=False),
            sqlite_with_rowid=False,
        )
    op.create_table(
        "usage_recorders",
        sa.Column("instance", _Text, primary_key=True),
        sa.Column("name", _Text, nullable=False),
        sa.Column("host", _Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("reported_at", sa.BigInteger, nullable=False),
        sa.Column("every", sa.BigInteger, nullable=False),
        sa.Column("counted", _Text, nullable=False),
        sa.Column("dropped_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("from_file", sa.BigInteger, nullable=False),
    )
