"""What the operator needs: the mirror's marks on a task, and the roster of executors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0002"
down_revision = "0001"

STALE = sa.text(
    "mirrored_version < version AND (mirrored_version > 0 "
    "OR status IN ('failed', 'cancelled', 'expired'))"
)
SUBMITTED_BY_OBJECT = sa.text("asynctask IS NOT NULL AND status IN ('queued', 'running')")


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("asynctask", sa.String(), nullable=True))
    op.add_column(
        "tasks", sa.Column("mirrored_version", sa.Integer(), server_default="0", nullable=False)
    )
    op.create_index(
        "ix_tasks_stale",
        "tasks",
        ["id"],
        unique=False,
        postgresql_where=STALE,
        sqlite_where=STALE,
    )
    op.create_index(
        "ix_tasks_asynctask",
        "tasks",
        ["asynctask"],
        unique=False,
        postgresql_where=SUBMITTED_BY_OBJECT,
        sqlite_where=SUBMITTED_BY_OBJECT,
    )
    op.create_table(
        "executors",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("pod", sa.String(), nullable=True),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), server_default="0", nullable=False),
        sa.Column("consuming", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("draining", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("idle_since", UtcDateTime(), nullable=True),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("ix_executors_queue", "executors", ["queue"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.drop_table("executors")
    op.drop_index("ix_tasks_asynctask", table_name="tasks")
    op.drop_index("ix_tasks_stale", table_name="tasks")
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("mirrored_version")
        tasks.drop_column("asynctask")
