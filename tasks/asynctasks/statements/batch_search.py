"""The statements that find the tasks of a batch, and those that count them before there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, union_all

from asynctasks.batch import BatchAction
from asynctasks.errors import ReadTooLongError
from asynctasks.statements.conditions import tasks
from asynctasks.statements.labelled import first_of_few, with_labels
from asynctasks.statements.pages import disjoint
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select

    from asynctasks.batch import Batch
    from asynctasks.database import Database
    from asynctasks.statements.pages import Filter

FITTING: dict[BatchAction, tuple[TaskStatus, ...]] = {
    BatchAction.CANCEL: (TaskStatus.QUEUED, TaskStatus.RUNNING),
    BatchAction.RETRY: (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED),
    BatchAction.DELETE: tuple(status for status in TaskStatus if status.is_final),
}
"""The statuses, as they are shown, of the tasks with which each can be done."""


@dataclass(frozen=True, slots=True)
class Found:
    """Tasks that a step is to be made with, the oldest first."""

    ids: Sequence[UUID]
    until: UUID | None
    """The id above which the next ones are; None where there are no more."""


class BatchSearch:
    """Finds tasks of batches. Every method raises DatabaseUnavailableError, ReadTooLongError."""

    def __init__(
        self,
        database: Database,
        *,
        size: int = 500,
        seconds: float = 2.0,
        window: int = 20_000,
    ) -> None:
        """Look for `size` tasks at a time, by their indexes, for so long.

        Where that takes longer, as for a filter that no index serves, the table is walked in
        windows of so many tasks, whatever these are.
        """
        self._database = database
        self._size = size
        self._seconds = seconds
        self._window = window
        self._dear: set[UUID] = set()

    async def find(self, batch: Batch, which: Filter) -> Found:
        """The next tasks that fit, locking none."""
        # What came later, perhaps because of this batch, is not what was meant.
        before = min(batch.created_at, which.created_before or batch.created_at)
        which = replace(which, created_before=before)
        if batch.id not in self._dear:
            try:
                return await self._find(batch, which, end=None)
            except ReadTooLongError:
                self._dear.add(batch.id)
        found = await self._find(batch, which, end=await self._window_end(batch))
        if found.until is None:
            self._dear.discard(batch.id)
        return found

    async def count(
        self, action: BatchAction, which: Filter, *, most: int
    ) -> dict[TaskStatus, int]:
        """How many tasks of each status fit, of each up to `most`."""
        counts: dict[TaskStatus, int] = {}
        async with self._database.read_long(seconds=self._seconds) as connection:
            dialect = connection.dialect.name
            for one in _by_status(action, which):
                parts = _parts(action, one, dialect)
                ids = _first(with_labels(parts, one.labels, dialect), size=most)
                counted = await connection.scalar(select(func.count()).select_from(ids.subquery()))
                if one.status is not None and counted:
                    counts[one.status] = counted
        return counts

    async def _find(self, batch: Batch, which: Filter, *, end: UUID | None) -> Found:
        within = [] if end is None else [tasks.c.id <= end]
        async with self._database.read_long(seconds=self._seconds) as connection:
            dialect = connection.dialect.name
            parts = _parts(batch.action, which, dialect, also=(*_after(batch), *within))
            found = await first_of_few(
                connection, which.labels, parts, size=self._size, newest_first=False
            )
            if found is None:
                ids = _first(with_labels(parts, which.labels, dialect), size=self._size)
                found = (await connection.execute(ids)).scalars().all()
        return Found(found, found[-1] if len(found) == self._size else end)

    async def _window_end(self, batch: Batch) -> UUID | None:
        """The last id of the next window; None where that holds all that is left."""
        ids = select(tasks.c.id).where(*_after(batch)).order_by(tasks.c.id)
        async with self._database.read_long(seconds=self._seconds) as connection:
            return await connection.scalar(ids.offset(self._window - 1).limit(1))


def _after(batch: Batch) -> Sequence[ColumnElement[bool]]:
    return () if batch.found_until is None else (tasks.c.id > batch.found_until,)


def _parts(
    action: BatchAction, which: Filter, dialect: str, *, also: Sequence[ColumnElement[bool]] = ()
) -> list[list[ColumnElement[bool]]]:
    """The conditions but for labels, of each status those for which it has an index."""
    if action is BatchAction.CANCEL:
        also = (*also, ~tasks.c.cancel_requested)
    by_status = _by_status(action, which)
    return [[*part, *also] for one in by_status for part in disjoint(one, dialect)]


def _first(parts: Sequence[Sequence[ColumnElement[bool]]], *, size: int) -> Select[Any]:
    """The ids of the oldest that fit one of the parts."""
    firsts = [select(tasks.c.id).where(*part).order_by(tasks.c.id).limit(size) for part in parts]
    together = union_all(*(select(first.subquery()) for first in firsts)).subquery()
    return select(together.c.id).order_by(together.c.id).limit(size)


def _by_status(action: BatchAction, which: Filter) -> Iterator[Filter]:
    statuses = FITTING[action] if which.status is None else (which.status,)
    return (replace(which, status=status) for status in statuses)
