"""Keeps objects and tasks alike: reads what has changed, has it planned, writes, and marks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import structlog

from asyncoperator.cluster.kube_errors import (
    KubeConflictError,
    KubeError,
    KubeExistsError,
    KubeGoneError,
    KubeRefusedError,
    KubeThrottledError,
    KubeUnavailableError,
)
from asyncoperator.metrics import MIRROR_DEGRADED, MIRROR_OBJECTS, MIRROR_STALE, MIRROR_WRITES
from asyncoperator.mirror.asynctask import (
    PLURAL,
    Seen,
    mirrored_object,
    object_name,
    parse,
    refused_status,
    task_status,
)
from asyncoperator.mirror.plan import (
    Create,
    Delete,
    Limits,
    Pressure,
    Show,
    plan,
    pressure_after,
)
from asyncoperator.mirror.resync import Resync
from asyncoperator.mirror.submitter import Refusal, task_id_of
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.instants import utc_now
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from uuid import UUID

    from asyncoperator.cluster.custom_object import Object
    from asyncoperator.cluster.kube import Kube
    from asyncoperator.mirror.plan import Plan, Write
    from asyncoperator.mirror.submitter import Submitter
    from asyncoperator.mirror.view import View
    from asyncoperator.mirror.write_budget import WriteBudget
    from asyncoperator.settings import OperatorSettings
    from asynctasks.statements.mirroring import MirroredTask, Mirroring

TICK_SECONDS = 1.0
BATCH = 200
STALE_COUNTED = 5_000
PRESSURE_SECONDS = 10.0
"""How often the mirror asks itself whether it is behind."""
SHARE_OF_SLOW = 10
"""Looking for slow tasks may take this part of the time: a burst of young ones is read in vain."""
PAUSE_SECONDS = 60.0
"""After the API server refused an object, it is tried again so much later."""
BACKOFF_SECONDS = (1.0, 30.0)

log = structlog.get_logger(__name__)


class MirrorLoop:
    """One for the leader. `see` and `poke` are called in its loop; `run` does the work."""

    def __init__(
        self,
        *,
        kube: Kube,
        mirroring: Mirroring,
        submitter: Submitter,
        view: View,
        budget: WriteBudget,
        settings: OperatorSettings,
        owner: Object | None = None,
    ) -> None:
        self._kube = kube
        self._mirroring = mirroring
        self._submitter = submitter
        self._view = view
        self._budget = budget
        self._settings = settings
        self._owner = owner
        self._limits = Limits(
            ttl_succeeded_seconds=settings.mirror_ttl_succeeded_seconds,
            ttl_unsuccessful_seconds=settings.mirror_ttl_unsuccessful_seconds,
            history_limit=settings.mirror_history_limit,
            object_limit=settings.mirror_object_limit,
        )
        self._resync = Resync(kube, mirroring, submitter, view)
        self._wake = asyncio.Event()
        self._gone: dict[str, Seen] = {}
        self._asked: set[str] = set()
        self._fresh: set[UUID] = set()
        self._paused: dict[str | UUID, float] = {}
        self._pressure = Pressure(settings.mirror_min_age_seconds)
        self._pressure_at = self._slow_at = self._resync_at = float("-inf")
        self._behind_since: float | None = None
        self._is_full = False
        self.last_tick = asyncio.get_running_loop().time()

    @property
    def is_degraded(self) -> bool:
        """Whether what there is to show is more than the budget or the limits allow."""
        return self._pressure.is_degraded or self._is_full

    def see(self, seen: Seen) -> None:
        """Take note of an object that the watch has shown."""
        known = self._view.get(seen.name)
        is_lost = seen.is_going and known is not None and known.uid == seen.uid
        self._view.see(seen)
        if is_lost and not seen.is_final:
            self._gone[seen.uid] = seen
        if is_lost or seen.request is not None or seen.cancel_requested:
            self.poke()

    def poke(self) -> None:
        """Let the next tick begin at once."""
        self._wake.set()

    async def run(self) -> NoReturn:
        """Tick every second, or when poked. What is away is waited for; else it raises."""
        failures = 0
        while True:
            has_more = False
            try:
                has_more = await self.tick()
                failures = 0
            except (DatabaseUnavailableError, KubeUnavailableError, KubeThrottledError) as error:
                failures += 1
                log.warning("mirror waits", reason=str(error))
                if isinstance(error, KubeThrottledError):
                    self._budget.throttled(error.retry_after_seconds)
                shortest, longest = BACKOFF_SECONDS
                await asyncio.sleep(min(longest, shortest * 2 ** min(failures, 5)))
            self.last_tick = self._now
            if not has_more:
                await self._pause()

    async def tick(self) -> bool:
        """Do what there is to do now; whether there is more that needs no waiting for."""
        if self._now - self._resync_at >= self._settings.mirror_resync_seconds:
            await self._resync.run()
            self._asked.intersection_update(seen.uid for seen in self._view)
            self._paused = {key: at for key, at in self._paused.items() if at > self._now}
            self._resync_at = self._now
        await self._end_tasks()
        await self._submit()
        await self._delete_forgotten()
        await self._feel_pressure()
        rows = await self._rows()
        planned = plan(
            rows,
            self._view,
            now=utc_now(),
            budget=self._budget.available,
            limits=self._limits,
            is_degraded=self._pressure.is_degraded,
        )
        shown = await self._written(planned)
        await self._mark({**planned.settled, **shown})
        if not planned.is_short:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._now
        self._is_full = planned.is_full
        MIRROR_OBJECTS.set(len(self._view))
        MIRROR_DEGRADED.set(self.is_degraded)
        return len(planned.settled) >= BATCH

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await self._wake.wait()
        self._wake.clear()

    async def _end_tasks(self) -> None:
        """Cancel what people asked the end of, by a word in the object or by deleting it."""
        for seen in await self._submitter.ended_by_people(gone := list(self._gone.values())):
            await self._cancel(seen, "its object was deleted")
        for seen in gone:
            self._gone.pop(seen.uid, None)
        for seen in list(self._view):
            if seen.cancel_requested and not seen.is_final and seen.uid not in self._asked:
                await self._cancel(seen, "its object asks for it")

    async def _cancel(self, seen: Seen, reason: str) -> None:
        # A person's object may be a task already, and not say so yet.
        task_id = seen.task_id or task_id_of(seen.uid, seen.created_at)
        if await self._submitter.cancel(task_id):
            log.info("cancelled", task_id=str(task_id), reason=reason)
            self._asked.add(seen.uid)

    async def _delete_forgotten(self) -> None:
        forgotten = self._resync.forgotten
        for seen in forgotten[: self._budget.available]:
            # Before the watch tells: this ends no task.
            self._view.forget(seen)
            await self._delete(seen)
            forgotten.remove(seen)

    async def _submit(self) -> None:
        asking = [
            seen
            for seen in self._view
            if seen.request is not None and not self._is_paused(seen.uid)
        ]
        for seen in asking[: self._budget.available]:
            if self._view.get(seen.name) is not seen:
                continue  # it has changed, or gone, meanwhile
            outcome = await self._submitter.submit(seen)
            if isinstance(outcome, Refusal):
                await self._refuse(seen, outcome)
            else:
                log.info("submitted by an object", asynctask=seen.name, task_id=str(outcome))
                self._fresh.add(outcome)

    async def _refuse(self, seen: Seen, refusal: Refusal) -> None:
        status = refused_status(seen, reason=refusal.reason, message=refusal.message, now=utc_now())
        try:
            await self._show(seen, status)
        except KubeGoneError:
            self._view.forget(seen)
        except (KubeRefusedError, KubeConflictError) as error:
            self._pause_for(seen.uid, error)

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
        rows += await self._mirroring.of_ids(list(self._fresh)[:BATCH])
        by_id = {row.id: row for row in rows if not self._is_paused(row.id)}
        return list(by_id.values())

    async def _slow(self) -> list[MirroredTask]:
        is_idle = self._pressure.is_degraded or self._budget.available == 0
        if is_idle or self._now < self._slow_at:
            return []
        began_at = self._now
        rows = await self._mirroring.slow(
            min_age_seconds=self._pressure.min_age_seconds, limit=BATCH
        )
        self._slow_at = self._now + SHARE_OF_SLOW * (self._now - began_at)
        return rows

    async def _written(self, planned: Plan) -> dict[UUID, int]:
        """Write; the tasks that are shown now, by the versions that are. Raises at the end."""
        shown: dict[UUID, int] = {}
        outcomes = await asyncio.gather(
            *(self._write(write, shown) for write in planned.writes), return_exceptions=True
        )
        errors = [one for one in outcomes if isinstance(one, BaseException)]
        if errors:
            # What has been written is marked all the same.
            await self._mark(shown)
            raise errors[0]
        return shown

    async def _write(self, write: Write, shown: dict[UUID, int]) -> None:
        key = write.seen.uid if isinstance(write, Delete) else write.row.id
        if self._is_paused(key) or self._budget.available <= 0:
            return
        try:
            if isinstance(write, Delete):
                await self._delete(write.seen)
                return
            seen = write.seen if isinstance(write, Show) else await self._create(write)
            if seen is None:
                return
            await self._show_row(write.row, seen)
            shown[write.row.id] = write.row.version
        except KubeGoneError:
            if not isinstance(write, Create):
                self._view.forget(write.seen)
        except KubeThrottledError as error:
            self._budget.throttled(error.retry_after_seconds)
        except (KubeRefusedError, KubeConflictError) as error:
            self._pause_for(key, error)

    async def _create(self, write: Create) -> Seen | None:
        body = mirrored_object(write.row, owner=self._owner)
        try:
            async with self._budget.write():
                made = await self._kube.create(PLURAL, body)
            MIRROR_WRITES.labels("create").inc()
        except KubeExistsError:
            made = await self._kube.get(PLURAL, object_name(write.row.id))
            if made is None:
                return None
        seen = parse(made)
        if seen.task_id != write.row.id or not seen.is_ours:
            self._pause_for(write.row.id, KubeError(f"{seen.name} is another's object"))
            return None
        self._view.see(seen)
        return seen

    async def _delete(self, seen: Seen) -> None:
        async with self._budget.write():
            await self._kube.delete(PLURAL, seen.name, uid=seen.uid)
        MIRROR_WRITES.labels("delete").inc()
        # Before the watch tells: what we delete ends no task.
        self._view.forget(seen)

    async def _show_row(self, row: MirroredTask, seen: Seen) -> None:
        status = task_status(row, seen, now=utc_now(), public_url=self._settings.public_url)
        await self._show(seen, status)
        has_ended = row.status.is_final and seen.task_status is not row.status
        if has_ended and row.status is not TaskStatus.SUCCEEDED:
            await self._tell(row, seen, status["message"])

    async def _show(self, seen: Seen, status: Object) -> None:
        async with self._budget.write():
            body = await self._kube.apply_status(PLURAL, seen.name, status, uid=seen.uid)
        MIRROR_WRITES.labels("status").inc()
        self._view.see(parse(body))

    async def _tell(self, row: MirroredTask, seen: Seen, message: str) -> None:
        """Post an Event; one that is lost is not missed."""
        kind: Any = "Normal" if row.status is TaskStatus.CANCELLED else "Warning"
        try:
            async with self._budget.write():
                await self._kube.post_event(
                    seen.reference, reason=row.status.capitalize(), message=message, type=kind
                )
            MIRROR_WRITES.labels("event").inc()
        except (KubeRefusedError, KubeGoneError, KubeConflictError) as error:
            log.warning("event not posted", asynctask=seen.name, reason=str(error))

    async def _mark(self, shown: dict[UUID, int]) -> None:
        await self._mirroring.mark(shown)
        self._fresh.difference_update(shown)

    def _is_paused(self, key: str | UUID) -> bool:
        return self._paused.get(key, 0.0) > self._now

    def _pause_for(self, key: str | UUID, error: KubeError) -> None:
        self._paused[key] = self._now + PAUSE_SECONDS
        log.warning("object refused", key=str(key), reason=str(error), again_in=PAUSE_SECONDS)
