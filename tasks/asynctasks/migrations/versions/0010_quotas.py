"""How many tasks of a tenant or a principal there are, and how many proxies share its quotas."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0010"
down_revision = "0009"

UNFINISHED = "status IN ('queued', 'running')"


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("counted", sa.Boolean(), nullable=True))
    for column in ("principal", "tenant"):
        op.create_index(
            f"ix_tasks_{column}_counted",
            "tasks",
            [column],
            unique=False,
            postgresql_where=sa.text(f"counted AND {UNFINISHED}"),
            sqlite_where=sa.text(f"counted = 1 AND {UNFINISHED}"),
        )
    op.create_table(
        "proxies",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("proxies")
    for column in ("principal", "tenant"):
        op.drop_index(f"ix_tasks_{column}_counted", table_name="tasks")
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("counted")
