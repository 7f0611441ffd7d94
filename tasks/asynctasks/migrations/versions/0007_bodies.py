"""Bodies of callers, and bodies that are too large for a row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("body_headers", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("tasks", sa.Column("body", sa.LargeBinary(), nullable=True))
    op.add_column("tasks", sa.Column("body_blob", sa.String(), nullable=True))
    op.add_column("tasks", sa.Column("response_blob", sa.String(), nullable=True))
    op.create_table(
        "blobs",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("touched_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("ix_blobs_task_id", "blobs", ["task_id"])
    op.create_index("ix_blobs_touched_at", "blobs", ["touched_at"])
    op.create_table(
        "blob_chunks",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", "number"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE blob_chunks ALTER COLUMN data SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Take it back."""
    op.drop_table("blob_chunks")
    op.drop_table("blobs")
    with op.batch_alter_table("tasks") as tasks:
        for column in ("response_blob", "body_blob", "body", "body_headers"):
            tasks.drop_column(column)
