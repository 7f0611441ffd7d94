"""Tasks are found by the type of their error without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Apply it."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE INDEX ix_tasks_error_type ON tasks"
            """ ((substring(error::text FROM '"type" *: *"([^"]*)"')), id)"""
            " WHERE error IS NOT NULL"
        )


def downgrade() -> None:
    """Take it back."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_tasks_error_type", table_name="tasks")
