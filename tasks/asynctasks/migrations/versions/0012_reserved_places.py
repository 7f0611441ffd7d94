"""Places under limits that processes have taken ahead of the tasks that they will add."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.instants import UtcDateTime

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "reserved_places",
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("fair_key", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("reserved_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("operation", "fair_key", "holder"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("reserved_places")
