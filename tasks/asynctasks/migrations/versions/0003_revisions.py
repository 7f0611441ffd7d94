"""The revision of a task's operation, and the order in which revisions appeared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("revision", sa.String(), nullable=True))
    op.create_table(
        "operation_revisions",
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("operation", "revision"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("operation_revisions")
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("revision")
