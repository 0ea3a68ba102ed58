"""Alembic environment: migrates on the given connection, within its transaction."""

from alembic import context

from node.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
