"""Callbacks: whom to tell of a task's end, and a delivery for each as the task ends.

A trigger adds the deliveries: see `asynctasks.migrations.delivery_trigger`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.migrations.delivery_trigger import drop_delivery_trigger, make_delivery_trigger

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("callbacks", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("tasks", sa.Column("delivery_of", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_tasks_delivery_of",
        "tasks",
        ["delivery_of", "id"],
        unique=False,
        postgresql_where=sa.text("delivery_of IS NOT NULL"),
        sqlite_where=sa.text("delivery_of IS NOT NULL"),
    )
    make_delivery_trigger(op.get_bind(), inherited=("principal", "tenant"))


def downgrade() -> None:
    """Take it back."""
    drop_delivery_trigger(op.get_bind())
    op.drop_index("ix_tasks_delivery_of", table_name="tasks")
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("delivery_of")
        tasks.drop_column("callbacks")
