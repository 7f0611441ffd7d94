"""The jobs of upstreams that are asynchronous themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

WAITS_FOR_JOB = sa.text("status = 'queued' AND upstream_job IS NOT NULL")


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("upstream_job", sa.JSON(none_as_null=True), nullable=True))
    op.create_index(
        "ix_tasks_upstream_jobs",
        "tasks",
        ["id"],
        unique=False,
        postgresql_where=WAITS_FOR_JOB,
        sqlite_where=WAITS_FOR_JOB,
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_tasks_upstream_jobs", table_name="tasks")
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("upstream_job")
