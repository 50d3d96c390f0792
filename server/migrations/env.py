"""Alembic's entry: runs the steps on the connection (and in the transaction) that `Database.migrate` hands over."""

from alembic import context

from server.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    render_as_batch=True,
)
context.run_migrations()
