"""Waiting for a task to change, for callers that no reply comes to: repeats and long-polls.

One loop asks the database about all that are watched by one query, however many wait. While nobody
does it asks nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Generator
    from uuid import UUID

    from asynctasks.statements.store import TaskStore
    from asynctasks.task import Task

LOOK_SIZE = 1_000


class Watch:
    """Tells the waiting callers of one proxy when the task of each has changed."""

    def __init__(self, store: TaskStore, *, interval_seconds: float, max_watched: int) -> None:
        self._store = store
        self._max_watched = max_watched
        self._watched: defaultdict[UUID, set[_Watcher]] = defaultdict(set)
        self._watchers = 0
        self.loop = Loop("watch", self._look, interval_seconds=interval_seconds)
        self.is_leaving = False

    @property
    def has_room(self) -> bool:
        """Whether one more can wait; without room a caller must not ask again in a loop."""
        return not self.is_leaving and self._watchers < self._max_watched

    async def until_changed(self, task: Task, *, seconds: float) -> Task:
        """The task when it differs from what was seen, or as it was seen after so long.

        Where there is no room for one more nobody is kept waiting.
        Raises TaskNotFoundError where it was deleted meanwhile, DatabaseUnavailableError.
        """
        if seconds <= 0 or not self.has_room:
            return task
        with self._watching(task) as watcher:
            try:
                await asyncio.wait_for(watcher.changed.wait(), seconds)
            except TimeoutError:
                return task
        return await self._store.find(task.id)

    async def until_final(self, task: Task, *, seconds: float) -> Task:
        """The task when it has finished, or as it stands after so long; raises likewise."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while not task.status.is_final and self.has_room and loop.time() < ends:
            task = await self.until_changed(task, seconds=ends - loop.time())
        return task

    def release_all(self) -> None:
        """Let every watcher go on now: the proxy is leaving."""
        self.is_leaving = True
        for watchers in self._watched.values():
            for watcher in watchers:
                watcher.changed.set()

    async def _look(self) -> None:
        ids = list(self._watched)
        for start in range(0, len(ids), LOOK_SIZE):
            batch = ids[start : start + LOOK_SIZE]
            versions = await self._store.versions(batch)
            for task_id in batch:
                for watcher in self._watched.get(task_id, ()):
                    if versions.get(task_id) != watcher.seen:
                        watcher.changed.set()

    @contextmanager
    def _watching(self, task: Task) -> Generator[_Watcher]:
        watcher = _Watcher(task.version)
        self._watched[task.id].add(watcher)
        self._watchers += 1
        try:
            yield watcher
        finally:
            self._watchers -= 1
            self._watched[task.id].discard(watcher)
            if not self._watched[task.id]:
                del self._watched[task.id]


class _Watcher:
    def __init__(self, seen: int) -> None:
        self.seen = seen
        self.changed = asyncio.Event()
