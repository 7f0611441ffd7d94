"""The tasks table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), server_default="", nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("sealed_arguments", sa.Text(), nullable=True),
        sa.Column("labels", sa.JSON(), server_default="{}", nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "cancelled",
                "expired",
                name="taskstatus",
                native_enum=False,
                length=16,
            ),
            server_default="queued",
            nullable=False,
        ),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("interruptions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("drains", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("run_after", UtcDateTime(), nullable=True),
        sa.Column("deadline", UtcDateTime(), nullable=True),
        sa.Column("next_publish_at", UtcDateTime(), nullable=True),
        sa.Column("published", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("executor", sa.String(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("attempt_started_at", UtcDateTime(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("reply_to", sa.String(), nullable=True),
        sa.Column("progress", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_content_type", sa.String(), nullable=True),
        sa.Column("response_body", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        postgresql_with={
            "fillfactor": 80,
            "autovacuum_vacuum_scale_factor": 0.02,
            "autovacuum_vacuum_insert_scale_factor": 0.05,
        },
    )
    op.create_index(
        "ix_tasks_deadline",
        "tasks",
        ["deadline"],
        unique=False,
        postgresql_where=sa.text("deadline IS NOT NULL AND status IN ('queued', 'running')"),
        sqlite_where=sa.text("deadline IS NOT NULL AND status IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_tasks_due",
        "tasks",
        ["next_publish_at"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND NOT published"),
        sqlite_where=sa.text("status = 'queued' AND published = 0"),
    )
    op.create_index(
        "ix_tasks_published",
        "tasks",
        ["queue", "next_publish_at"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND published"),
        sqlite_where=sa.text("status = 'queued' AND published = 1"),
    )
    op.create_index(
        "ix_tasks_finished",
        "tasks",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL"),
        sqlite_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks_running",
        "tasks",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
        sqlite_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "ix_tasks_unsuccessful",
        "tasks",
        ["status", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('failed', 'cancelled', 'expired')"),
        sqlite_where=sa.text("status IN ('failed', 'cancelled', 'expired')"),
    )
    op.create_index("ix_tasks_operation", "tasks", ["operation", "id"], unique=False)
    op.create_index(
        "uq_tasks_idempotency",
        "tasks",
        ["principal", "operation", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("tasks")
