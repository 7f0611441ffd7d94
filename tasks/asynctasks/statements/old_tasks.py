"""The statements that forget finished tasks.

All that are kept for the same time get old in the order in which they ended, which is the order of
one index. So they are looked for in that order, and what was passed need not be read again:

    ended  ----|=====================|---------------------|------------>  now
             after    one window    until              retention

A window has a bounded number of ended tasks, most of which may be of other kinds, that are kept
longer. Once it has none that is old, the next one begins behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BindParameter,
    String,
    and_,
    bindparam,
    delete,
    func,
    not_,
    select,
    type_coerce,
)

from asynctasks.instants import UtcDateTime, seconds_from_now
from asynctasks.statements.conditions import tasks
from asynctasks.statements.id_list import is_one_of

if TYPE_CHECKING:
    from asynctasks.database import Database
    from asynctasks.operations.kept_tasks import KeptTasks

BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Purged:
    """What has come of one window."""

    count: int
    after: datetime
    """Where the next one begins."""
    has_more: bool
    """Whether there may be more to forget at once."""


class OldTasks:
    """Finished tasks that are older than they are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge(self, kept: KeptTasks, *, limit: int, after: datetime = BEGINNING) -> Purged:
        """Forget those of one window, `limit` at most; raises DatabaseUnavailableError.

        What another relay holds is left to it, and looked for again where that did not forget it.
        """
        given: dict[str, Any] = {
            "after": after,
            "age_seconds": -kept.seconds,
            "max_rows": limit,
            "kinds": sorted(map(" ".join, kept.kinds)),
        }
        async with self._database.write() as connection:
            until = (await connection.execute(_UNTIL, given)).scalar_one_or_none()
            given["until"] = until
            count = (await connection.execute(_PURGE[kept.is_rest], given)).rowcount
            if (await connection.execute(_LEFT[kept.is_rest], given)).first() is not None:
                return Purged(count, after, has_more=count > 0)
        return Purged(count, until or after, has_more=until is not None)


_ENDED = tasks.c.finished_at
_OLDEST = seconds_from_now(bindparam("age_seconds"))
"""Of what is kept."""
_AFTER = bindparam("after", type_=UtcDateTime())
_MAX_ROWS: BindParameter[int] = bindparam("max_rows")
_UNTIL = (
    select(_ENDED)
    .where(_ENDED > _AFTER, _ENDED < _OLDEST)
    .order_by(_ENDED)
    .offset(_MAX_ROWS - 1)
    .limit(1)
)
"""Where the window ends; nowhere where it reaches all that is old."""
_IS_IN_WINDOW = and_(
    _ENDED > _AFTER,
    func.coalesce(bindparam("until", type_=UtcDateTime()), _OLDEST) >= _ENDED,
)
# The status as text: a row may hold one that is none of ours.
_IS_OF_KINDS = is_one_of(tasks.c.operation + " " + type_coerce(tasks.c.status, String), "kinds")
_FOUND = {
    is_rest: select(tasks.c.id)
    .where(_IS_IN_WINDOW, not_(_IS_OF_KINDS) if is_rest else _IS_OF_KINDS)
    .order_by(_ENDED)
    for is_rest in (True, False)
}
_PURGE = {
    is_rest: delete(tasks).where(
        tasks.c.id.in_(found.limit(_MAX_ROWS).with_for_update(skip_locked=True))
    )
    for is_rest, found in _FOUND.items()
}
_LEFT = {is_rest: found.limit(1) for is_rest, found in _FOUND.items()}
