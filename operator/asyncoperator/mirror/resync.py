"""Compares all objects with all tasks, and has repaired what events and marks have missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from asyncoperator.mirror.asynctask import PLURAL, parse_known

if TYPE_CHECKING:
    from uuid import UUID

    from asyncoperator.cluster.kube import Kube
    from asyncoperator.mirror.asynctask import ObservedTask
    from asyncoperator.mirror.object_cache import ObjectCache
    from asyncoperator.mirror.submitter import Submitter
    from asynctasks.statements.mirroring import MirroredTask, Mirroring

PAGE = 500
LIVE_MIRRORED = 50_000
"""As many as there can be objects."""

log = structlog.get_logger(__name__)


class Resync:
    """Compares all AsyncTask objects with all tasks, and has repaired what the mirror missed.

    To be run when the mirror starts, and every ten minutes from then on.
    """

    def __init__(
        self, kube: Kube, mirroring: Mirroring, submitter: Submitter, objects: ObjectCache
    ) -> None:
        self._kube = kube
        self._mirroring = mirroring
        self._submitter = submitter
        self._objects = objects
        self.forgotten: list[ObservedTask] = []
        """Our objects of tasks that there are no more, and half-made ones, to be deleted."""
        self._uids: set[str] = set()

    async def run(self) -> None:
        """Read all objects, and set the marks so that the next ticks repair what differs.

        A task of a person's object that is gone is cancelled.
        """
        self._objects.begin_listing()
        found = await self._list()
        mine = [seen for seen in found if seen.installation in (None, self._submitter.installation)]
        self._objects.listed([seen for seen in mine if not seen.is_stray])
        # Nothing is written meanwhile: the mirror's own has its status, or never gets it.
        self.forgotten = [seen for seen in mine if seen.is_stray and seen.installation is not None]
        await self._repair_objects()
        await self._repair_missing()
        await self._cancel_orphans()

    async def _list(self) -> list[ObservedTask]:
        self._uids.clear()
        found: list[ObservedTask] = []
        async for page in self._kube.pages(PLURAL):
            self._uids.update(body["metadata"]["uid"] for body in page)
            found += [seen for body in page if (seen := parse_known(body)) is not None]
        return found

    async def _repair_objects(self) -> None:
        shown = [seen for seen in self._objects if seen.task_id is not None]
        for start in range(0, len(shown), PAGE):
            page = shown[start : start + PAGE]
            ids = {seen.task_id for seen in page if seen.task_id is not None}
            rows: dict[UUID | None, MirroredTask] = {
                row.id: row for row in await self._mirroring.of_ids(ids)
            }
            differs = [
                row.id
                for seen in page
                if (row := rows.get(seen.task_id)) is not None
                and self._objects.of_task(row) is seen
                and (seen.version != row.version or seen.task_status is not row.status)
            ]
            await self._mirroring.show_again(differs)
            self.forgotten += [seen for seen in page if seen.is_ours and seen.task_id not in rows]

    async def _repair_missing(self) -> None:
        shown = {seen.task_id for seen in self._objects}
        mirrored = await self._mirroring.live_mirrored(limit=LIVE_MIRRORED)
        missing = [task_id for task_id in mirrored if task_id not in shown]
        for start in range(0, len(missing), PAGE):
            await self._mirroring.unmark(missing[start : start + PAGE])

    async def _cancel_orphans(self) -> None:
        orphans: list[UUID] = []
        after = ""
        prefix = f"{self._kube.namespace}/"
        while rows := await self._mirroring.live_of_objects(after=after, limit=PAGE):
            after = rows[-1].asynctask or ""
            orphans += [
                row.id
                for row in rows
                if (row.asynctask or "").startswith(prefix) and self._is_gone(row)
            ]
        if not orphans or not await self._kube.namespace_is_there():
            return
        # The definition, too, may have gone while they were listed.
        if await self._kube.serves_ours():
            for task_id in orphans:
                log.info("cancelled: the object that asked for it is gone", task_id=str(task_id))
                await self._submitter.cancel(task_id)

    def _is_gone(self, row: MirroredTask) -> bool:
        """Whether the object that asked for the task is; one that we do not understand is not."""
        uid = (row.asynctask or "").rpartition("/")[2]
        return uid not in self._uids and self._objects.of_task(row) is None
