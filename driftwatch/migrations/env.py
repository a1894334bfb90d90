"""Alembic runs this; the connection, its transaction and its lock belong to the caller."""

from __future__ import annotations

from alembic import context

from driftwatch.store.schema import VERSION_TABLE
from driftwatch.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    version_table_pk=False,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
