"""The first key of a chain of rotations, in each of its keys."""

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
