"""The caller's headers that an upstream gets, too, and calls that join an equal one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("sealed_headers", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("coalescing_key", sa.String(), nullable=True))
    unfinished = sa.text("coalescing_key IS NOT NULL AND status IN ('queued', 'running')")
    op.create_index(
        "uq_tasks_coalescing",
        "tasks",
        ["principal", "operation", "coalescing_key"],
        unique=True,
        postgresql_where=unfinished,
        sqlite_where=unfinished,
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("uq_tasks_coalescing", table_name="tasks")
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("coalescing_key")
        tasks.drop_column("sealed_headers")
