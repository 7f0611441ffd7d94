"""Keeps objects and tasks alike: reads what has changed, has it planned, writes, and marks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from asyncoperator.cluster.kube_errors import KubeThrottledError, KubeUnavailableError
from asyncoperator.metrics import MIRROR_DEGRADED, MIRROR_OBJECTS, MIRROR_STALE
from asyncoperator.mirror.plan import Limits, Pressure, plan, pressure_after
from asyncoperator.mirror.resync import Resync
from asyncoperator.mirror.submitter import Refusal, task_id_of
from asyncoperator.mirror.writer import MirrorWriter
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.instants import utc_now
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from asyncoperator.cluster.custom_object import Object
    from asyncoperator.cluster.kube import Kube
    from asyncoperator.mirror.asynctask import ObservedTask
    from asyncoperator.mirror.object_cache import ObjectCache
    from asyncoperator.mirror.submitter import Submitter
    from asyncoperator.mirror.write_budget import WriteBudget
    from asyncoperator.settings import OperatorSettings
    from asynctasks.statements.mirroring import MirroredTask, Mirroring

TICK_SECONDS = 1.0
BATCH = 200
STALE_COUNTED = 5_000
PRESSURE_SECONDS = 10.0
"""How often the mirror asks itself whether it is behind."""
SHARE_OF_SLOW = 0.1
"""Looking for slow tasks may take this part of the time: a burst of young ones is read in vain."""
LONGEST_PAUSE_SECONDS = 30.0
"""Between two tries while the API server or the database is away."""
DOUBT_SECONDS = 1.0
"""A deletion ends a task when it is so old: by then the API server tells if the definition goes."""

log = structlog.get_logger(__name__)


class MirrorLoop:
    """Keeps AsyncTask objects and task rows alike while this operator leads.

    `loop` runs it, and `see` is called in the same event loop.
    """

    def __init__(
        self,
        *,
        kube: Kube,
        mirroring: Mirroring,
        submitter: Submitter,
        objects: ObjectCache,
        budget: WriteBudget,
        settings: OperatorSettings,
        owner: Object | None = None,
    ) -> None:
        self._kube = kube
        self._mirroring = mirroring
        self._submitter = submitter
        self._objects = objects
        self._budget = budget
        self._settings = settings
        self._limits = Limits(
            ttl_succeeded_seconds=settings.mirror_ttl_succeeded_seconds,
            ttl_unsuccessful_seconds=settings.mirror_ttl_unsuccessful_seconds,
            history_limit=settings.mirror_history_limit,
            object_limit=settings.mirror_object_limit,
        )
        self._writer = MirrorWriter(
            kube,
            objects=objects,
            budget=budget,
            installation=settings.installation,
            owner=owner,
            public_url=settings.public_url,
        )
        self._resync = Resync(kube, mirroring, submitter, objects)
        self._gone: dict[str, tuple[float, ObservedTask]] = {}
        self._asked: set[str] = set()
        self._fresh: set[UUID] = set()
        self._pressure = Pressure(settings.mirror_min_age_seconds)
        self._pressure_at = self._slow_at = self._resync_at = float("-inf")
        self._behind_since: float | None = None
        self._is_full = False
        self.loop = Loop(
            "mirror",
            self.tick,
            interval_seconds=TICK_SECONDS,
            waits_for=(DatabaseUnavailableError, KubeUnavailableError, KubeThrottledError),
            pause_after=self._pause_after,
        )

    @property
    def is_degraded(self) -> bool:
        """Whether what there is to show is more than the budget or the limits allow."""
        return self._pressure.is_degraded or self._is_full

    def see(self, seen: ObservedTask) -> None:
        """Take note of an object that the watch has shown."""
        if seen.is_stray:
            return
        if seen.installation not in (None, self._settings.installation):
            self._objects.forget(seen)
            return
        known = self._objects.get(seen.name)
        is_lost = seen.is_going and known is not None and known.uid == seen.uid
        self._objects.see(seen)
        is_doubtful = is_lost and not seen.is_final
        if is_doubtful:
            self._gone[seen.uid] = self._now, seen
            asyncio.get_running_loop().call_later(DOUBT_SECONDS, self.loop.poke)
        if is_doubtful or seen.request is not None or seen.cancel_requested:
            self.loop.poke()

    async def tick(self) -> bool:
        """Do what there is to do now; whether there is more that needs no waiting for."""
        if self._now - self._resync_at >= self._settings.mirror_resync_seconds:
            await self._resync.run()
            self._asked.intersection_update(seen.uid for seen in self._objects)
            self._resync_at = self._now
        await self._end_tasks()
        has_more = await self._submit()
        await self._delete_forgotten()
        await self._feel_pressure()
        rows = await self._rows()
        planned = plan(
            rows,
            self._objects,
            now=utc_now(),
            budget=self._budget.available,
            limits=self._limits,
            is_degraded=self._pressure.is_degraded,
        )
        written = await self._writer.write(planned.writes)
        await self._mark({**planned.settled, **written.shown})
        if written.error is not None:
            raise written.error
        if not planned.is_short:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._now
        self._is_full = planned.is_full
        MIRROR_OBJECTS.set(len(self._objects))
        MIRROR_DEGRADED.set(self.is_degraded)
        return has_more or len(planned.settled) >= BATCH

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _pause_after(self, error: Exception, failures: int) -> float:
        if isinstance(error, KubeThrottledError):
            self._budget.throttled(error.retry_after_seconds)
        return min(LONGEST_PAUSE_SECONDS, TICK_SECONDS * 2 ** min(failures, 5))

    async def _end_tasks(self) -> None:
        """Cancel what people asked the end of, by a word in the object or by deleting it."""
        asking = [
            seen
            for seen in self._objects
            if seen.cancel_requested and not seen.is_final and seen.uid not in self._asked
        ]
        await self._cancel(asking, "its object asks for it")
        if self._gone:
            await self._end_tasks_of(dict(self._gone))

    async def _end_tasks_of(self, gone: dict[str, tuple[float, ObservedTask]]) -> None:
        """Cancel those of deleted objects, unless these went with their definition.

        Looked at as soon as one goes, too: a definition may be back when the doubt is over.
        """
        if await self._kube.serves_ours():
            certain_from = self._now - DOUBT_SECONDS
            certain = [seen for at, seen in gone.values() if at <= certain_from]
            by_people = await self._submitter.ended_by_people(certain)
            await self._cancel(by_people, "its object was deleted")
        else:
            certain = [seen for _, seen in gone.values()]
            log.warning("deletions end no task: the definitions go", objects=len(certain))
            await self._mirroring.release_objects(self._kube.namespace)
        for seen in certain:
            self._gone.pop(seen.uid, None)

    async def _cancel(self, ended: list[ObservedTask], reason: str) -> None:
        # A person's object may be a task already, and not say so yet.
        by_id = {seen.task_id or task_id_of(seen.uid, seen.created_at): seen for seen in ended}
        ids = list(by_id)
        for start in range(0, len(ids), BATCH):
            for row in await self._mirroring.of_ids(ids[start : start + BATCH]):
                seen = by_id[row.id]
                if row.asynctask != (None if seen.is_ours else self._submitter.asking(seen)):
                    continue  # not the object of that task, whatever it says
                if await self._submitter.cancel(row.id):
                    log.info("cancelled", task_id=str(row.id), reason=reason)
                    self._asked.add(seen.uid)

    async def _delete_forgotten(self) -> None:
        forgotten = self._resync.forgotten
        for seen in forgotten[: self._budget.available]:
            # Before the watch tells: this ends no task.
            self._objects.forget(seen)
            await self._writer.delete(seen)
            forgotten.remove(seen)

    async def _submit(self) -> bool:
        """Make tasks of objects that ask for it; whether there may be more of them."""
        asking = [seen for seen in self._objects if self._is_asking(seen)][:BATCH]
        # Side by side, so that they are committed together, and before anything is written.
        outcomes = await asyncio.gather(
            *(self._submitter.submit(seen) for seen in asking), return_exceptions=True
        )
        for seen, outcome in zip(asking, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            if not isinstance(outcome, Refusal):
                log.info("submitted by an object", asynctask=seen.name, task_id=str(outcome))
                self._fresh.add(outcome)
            elif self._objects.get(seen.name) is seen and self._budget.available > 0:
                await self._writer.refuse(seen, reason=outcome.reason, message=outcome.message)
        return len(asking) == BATCH

    def _is_asking(self, seen: ObservedTask) -> bool:
        return (
            seen.request is not None
            and not self._writer.is_paused(seen.uid)
            and task_id_of(seen.uid, seen.created_at) not in self._fresh
        )

    async def _feel_pressure(self) -> None:
        if self._now - self._pressure_at < PRESSURE_SECONDS:
            return
        self._pressure_at = self._now
        stale = await self._mirroring.count_stale(limit=STALE_COUNTED)
        MIRROR_STALE.set(stale)
        before = self._pressure
        self._pressure = pressure_after(
            before,
            stale=stale,
            behind_seconds=0.0 if self._behind_since is None else self._now - self._behind_since,
            min_age_seconds=self._settings.mirror_min_age_seconds,
        )
        if self._pressure.is_degraded != before.is_degraded:
            log.warning("mirror", degraded=self._pressure.is_degraded, stale_tasks=stale)

    async def _rows(self) -> list[MirroredTask]:
        rows = await self._mirroring.changed(limit=BATCH)
        if self._settings.mirror_failures:
            rows += await self._mirroring.unsuccessful(limit=BATCH)
        rows += await self._slow()
        rows += await self._mirroring.of_ids([*self._fresh, *self._unobserved()][:BATCH])
        by_id = {row.id: row for row in rows if not self._writer.is_paused(row.id)}
        return list(by_id.values())

    def _unobserved(self) -> Iterator[UUID]:
        """Tasks of which all is shown, in objects that have been changed since."""
        for seen in self._objects:
            if seen.task_id is not None and seen.observed_generation != seen.generation:
                yield seen.task_id

    async def _slow(self) -> list[MirroredTask]:
        is_idle = self._pressure.is_degraded or self._budget.available == 0
        if is_idle or self._now < self._slow_at:
            return []
        began_at = self._now
        rows = await self._mirroring.slow(
            min_age_seconds=self._pressure.min_age_seconds, limit=BATCH
        )
        self._slow_at = self._now + (self._now - began_at) / SHARE_OF_SLOW
        return rows

    async def _mark(self, shown: dict[UUID, int]) -> None:
        await self._mirroring.mark(shown)
        self._fresh.difference_update(shown)
