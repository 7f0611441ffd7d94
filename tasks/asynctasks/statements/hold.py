"""Holds tasks again that have, or should have had, a message."""

from __future__ import annotations

from sqlalchemy import case, func, update

from asynctasks.statements.conditions import IS_PUBLISHED, NOW, tasks
from asynctasks.statements.id_list import is_one_of

QUEUED_SINCE = func.coalesce(tasks.c.run_after, tasks.c.attempt_started_at, tasks.c.created_at)
"""A retry waits from the end of its backoff, one whose executor was lost from that attempt."""
HOLD = (
    update(tasks)
    .where(is_one_of(tasks.c.id), IS_PUBLISHED)
    # As old as it is, so that it keeps its place; but whoever made it has a clock of its own.
    .values(published=False, next_publish_at=case((QUEUED_SINCE < NOW, QUEUED_SINCE), else_=NOW))
)
"""Of the `ids`; bookkeeping that nobody sees, so `version` stays."""
