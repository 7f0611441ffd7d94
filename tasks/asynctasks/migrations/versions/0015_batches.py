"""Batches: one action on many tasks, and how far it has come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "action",
            sa.Enum("cancel", "retry", "delete", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum("queued", "running", "succeeded", "cancelled", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("listed", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("stepped_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("found_until", sa.Uuid(), nullable=True),
        sa.Column("locked", sa.JSON(), nullable=False),
        sa.Column("matched", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("failures", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_batches_principal", "batches", ["principal", "id"], unique=False)
    op.create_index("ix_batches_finished", "batches", ["finished_at"], unique=False)
    unfinished = sa.text("status IN ('queued', 'running')")
    op.create_index(
        "ix_batches_unfinished",
        "batches",
        ["stepped_at"],
        unique=False,
        postgresql_where=unfinished,
        sqlite_where=unfinished,
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("batches")
