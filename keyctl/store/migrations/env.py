"""Runs migrations on the connection that keyctl passes, inside its transaction; or prints them for a DBA."""

from alembic import context

attributes = context.config.attributes
if context.is_offline_mode():
    context.configure(
        dialect_name=attributes["dialect"],
        output_buffer=context.config.output_buffer,
        literal_binds=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    context.configure(
        connection=attributes["connection"],
        # SQLite too: keyctl begins explicitly, so that a failed migration leaves nothing behind.
        transactional_ddl=True,
    )
    context.run_migrations()
