"""Traces: where a task stands in its caller's, which its deliveries inherit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from asynctasks.migrations.delivery_trigger import drop_delivery_trigger, make_delivery_trigger

revision = "0014"
down_revision = "0013"

_BEFORE = ("principal", "tenant")
_TRACE = ("traceparent", "tracestate")


def upgrade() -> None:
    """Apply it."""
    for name in _TRACE:
        op.add_column("tasks", sa.Column(name, sa.String(), nullable=True))
    drop_delivery_trigger(op.get_bind())
    make_delivery_trigger(op.get_bind(), inherited=(*_BEFORE, *_TRACE))


def downgrade() -> None:
    """Take it back."""
    drop_delivery_trigger(op.get_bind())
    with op.batch_alter_table("tasks") as tasks:
        for name in _TRACE:
            tasks.drop_column(name)
    make_delivery_trigger(op.get_bind(), inherited=_BEFORE)
