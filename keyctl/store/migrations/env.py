"""Runs migrations on the connection that keyctl hands over, inside its transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # SQLite too: keyctl begins explicitly, so that a migration that fails leaves nothing behind.
    transactional_ddl=True,
)
context.run_migrations()
