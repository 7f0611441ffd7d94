"""The AsyncTask objects as far as we have seen them: by the watch, and by our own writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from asyncoperator.mirror.asynctask import ObservedTask
    from asynctasks.statements.mirroring import MirroredTask


class ObjectCache:
    """The AsyncTasks of the namespace as they were last seen, by the watch or by our own writes.

    Used in one event loop only. What is older than it knows already is left out.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, ObservedTask] = {}
        self._by_task: dict[UUID, ObservedTask] = {}
        self._touched: set[str] | None = None

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[ObservedTask]:
        return iter(self._by_name.values())

    def get(self, name: str) -> ObservedTask | None:
        """The object of that name."""
        return self._by_name.get(name)

    def of_task(self, row: MirroredTask) -> ObservedTask | None:
        """The object that shows the task, or that asked for it."""
        if row.asynctask is None:
            seen = self._by_task.get(row.id)
            return seen if seen is not None and seen.is_ours else None
        _, name, uid = row.asynctask.split("/")
        seen = self._by_name.get(name)
        return seen if seen is not None and seen.uid == uid else None

    def see(self, seen: ObservedTask) -> None:
        """Take note of an object as the API server has it now, or of its end."""
        if self._touched is not None:
            self._touched.add(seen.name)
        known = self._by_name.get(seen.name)
        if known is not None and known.uid == seen.uid:
            if seen.resource_version < known.resource_version:
                return
        elif known is not None and seen.created_at < known.created_at:
            return  # of an earlier object of the name
        if seen.is_going:
            self.forget(seen)
        else:
            self._put(seen)

    def forget(self, seen: ObservedTask) -> None:
        """Take note that the object is gone."""
        known = self._by_name.get(seen.name)
        if known is None or known.uid != seen.uid:
            return
        del self._by_name[seen.name]
        if known.task_id is not None and self._by_task.get(known.task_id) is known:
            del self._by_task[known.task_id]

    def begin_listing(self) -> None:
        """What is seen from here on is newer than the list that is about to be read."""
        self._touched = set()

    def listed(self, objects: Iterable[ObservedTask]) -> None:
        """Take the list for all there is, but for what was seen while it was read."""
        touched, self._touched = self._touched or set(), None
        found = {seen.name: seen for seen in objects if not seen.is_going}
        for known in list(self._by_name.values()):
            if known.name not in found and known.name not in touched:
                self.forget(known)
        for name, seen in found.items():
            if name not in touched:
                self.see(seen)

    def _put(self, seen: ObservedTask) -> None:
        known = self._by_name.get(seen.name)
        if known is not None:
            self.forget(known)
        self._by_name[seen.name] = seen
        if seen.task_id is not None and (seen.is_ours or seen.task_id not in self._by_task):
            self._by_task[seen.task_id] = seen
