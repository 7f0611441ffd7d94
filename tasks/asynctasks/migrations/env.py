"""Alembic's entry: run the migrations on the connection that `asynctasks.migration` hands over."""

from __future__ import annotations

from alembic import context

from asynctasks.migrations.tables import TABLES, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=TABLES[0].metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
