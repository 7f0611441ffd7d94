"""What limits and pauses hold back: in which order it is let go, and the state of each limit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0011"
down_revision = "0010"

_WAITS_FOR_JOB = "status = 'queued' AND upstream_job IS NOT NULL"


def upgrade() -> None:
    """Apply it."""
    op.add_column(
        "tasks", sa.Column("priority", sa.SmallInteger(), server_default="5", nullable=False)
    )
    op.add_column("tasks", sa.Column("fair_key", sa.String(), server_default="", nullable=False))
    for index in ("due", "published", "running", "upstream_jobs"):
        op.drop_index(f"ix_tasks_{index}", table_name="tasks")
    _create(
        "ix_tasks_held",
        ["queue", "operation", "priority", "fair_key", "next_publish_at"],
        "status = 'queued' AND NOT published AND upstream_job IS NULL",
        "status = 'queued' AND published = 0 AND upstream_job IS NULL",
    )
    _create(
        "ix_tasks_due_polls",
        ["next_publish_at"],
        "status = 'queued' AND NOT published AND upstream_job IS NOT NULL",
        "status = 'queued' AND published = 0 AND upstream_job IS NOT NULL",
    )
    _create(
        "ix_tasks_published",
        ["queue", "operation", "next_publish_at"],
        "status = 'queued' AND published",
        "status = 'queued' AND published = 1",
    )
    _create("ix_tasks_running", ["operation", "fair_key"], "status = 'running'")
    _create("ix_tasks_upstream_jobs", ["operation", "fair_key"], _WAITS_FOR_JOB)
    op.add_column("audit_entries", sa.Column("target", sa.String(), nullable=True))
    op.create_table(
        "limits",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("changed", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("allowed_at", UtcDateTime(), nullable=True),
        sa.Column("turn", sa.Float(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=True),
        sa.Column("open_until", UtcDateTime(), nullable=True),
        sa.Column("openings", sa.Integer(), server_default="0", nullable=False),
        sa.Column("successes", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "limit_keys",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("turn", sa.Float(), server_default="0", nullable=False),
        sa.Column("allowed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", "key"),
    )
    op.create_table(
        "pauses",
        sa.Column(
            "kind",
            sa.Enum("queue", "operation", "limit", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("paused_at", UtcDateTime(), nullable=False),
        sa.Column("paused_by", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("kind", "name"),
    )


def downgrade() -> None:
    """Take it back."""
    for table in ("pauses", "limit_keys", "limits"):
        op.drop_table(table)
    with op.batch_alter_table("audit_entries") as entries:
        entries.drop_column("target")
    for index in ("held", "due_polls", "published", "running", "upstream_jobs"):
        op.drop_index(f"ix_tasks_{index}", table_name="tasks")
    _create("ix_tasks_upstream_jobs", ["id"], _WAITS_FOR_JOB)
    _create("ix_tasks_running", ["id"], "status = 'running'")
    _create(
        "ix_tasks_published",
        ["queue", "next_publish_at"],
        "status = 'queued' AND published",
        "status = 'queued' AND published = 1",
    )
    _create(
        "ix_tasks_due",
        ["next_publish_at"],
        "status = 'queued' AND NOT published",
        "status = 'queued' AND published = 0",
    )
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("fair_key")
        tasks.drop_column("priority")


def _create(name: str, columns: list[str], condition: str, on_sqlite: str | None = None) -> None:
    op.create_index(
        name,
        "tasks",
        columns,
        unique=False,
        postgresql_where=sa.text(condition),
        sqlite_where=sa.text(on_sqlite or condition),
    )
