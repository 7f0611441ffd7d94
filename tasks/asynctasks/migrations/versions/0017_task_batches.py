"""Tasks have the name of the group that their caller made them in, and are found by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("batch", sa.String(), nullable=True))
    has_one = sa.text("batch IS NOT NULL")
    op.create_index(
        "ix_tasks_batch",
        "tasks",
        ["batch", "id"],
        unique=False,
        postgresql_where=has_one,
        sqlite_where=has_one,
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_tasks_batch", table_name="tasks")
    # Not by a copy of the table, which SQLite would leave without its triggers.
    op.drop_column("tasks", "batch")
