"""Whose tasks are: by tenant, too, and found by either; and who has changed them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("tenant", sa.String(), server_default="", nullable=False))
    _make_unique(["principal", "tenant", "operation"])
    for column in ("principal", "tenant"):
        is_known = f"{column} <> ''"
        _create(f"ix_tasks_{column}", [column, "id"], is_known)
        _create(
            f"ix_tasks_{column}_unsuccessful",
            [column, "status", "id"],
            f"{is_known} AND status IN ('failed', 'cancelled', 'expired')",
        )
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=True),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("trace_id", sa.String(), nullable=True),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_entries_told_at", "audit_entries", ["told_at"])
    op.create_index("ix_audit_entries_task_id", "audit_entries", ["task_id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_table("audit_entries")
    for column in ("principal", "tenant"):
        op.drop_index(f"ix_tasks_{column}_unsuccessful", table_name="tasks")
        op.drop_index(f"ix_tasks_{column}", table_name="tasks")
    _make_unique(["principal", "operation"])
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("tenant")


def _make_unique(called: list[str]) -> None:
    """What has to be unique of one caller's calls of one operation."""
    for name, column, condition in (
        ("uq_tasks_idempotency", "idempotency_key", "idempotency_key IS NOT NULL"),
        (
            "uq_tasks_coalescing",
            "coalescing_key",
            "coalescing_key IS NOT NULL AND status IN ('queued', 'running')",
        ),
    ):
        where = sa.text(condition)
        op.drop_index(name, table_name="tasks")
        op.create_index(
            name,
            "tasks",
            [*called, column],
            unique=True,
            postgresql_where=where,
            sqlite_where=where,
        )


def _create(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(
        name, "tasks", columns, unique=False, postgresql_where=where, sqlite_where=where
    )
