"""Tasks are found by a label without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply it."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE INDEX ix_tasks_labels ON tasks USING gin ((labels::jsonb) jsonb_path_ops)"
            " WHERE labels::text <> '{}'"
        )


def downgrade() -> None:
    """Take it back."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_tasks_labels", table_name="tasks")
