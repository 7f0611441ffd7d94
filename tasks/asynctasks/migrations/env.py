"""Alembic's entry: run the migrations on the connection that `asynctasks.migration` hands over."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import asynctasks.task  # noqa: F401 - fills the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
