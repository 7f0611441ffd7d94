"""The headers of an answer are kept with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply it."""
    op.add_column("tasks", sa.Column("response_headers", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("response_headers")
