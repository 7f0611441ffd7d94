"""Writes to the AsyncTask objects what was planned, and lets those rest that are refused."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from asyncoperator.cluster.kube_errors import (
    KubeConflictError,
    KubeError,
    KubeExistsError,
    KubeGoneError,
    KubeRefusedError,
    KubeThrottledError,
)
from asyncoperator.metrics import MIRROR_WRITES
from asyncoperator.mirror.asynctask import (
    PLURAL,
    ObservedTask,
    mirrored_object,
    object_name,
    parse,
    refused_status,
    task_status,
)
from asyncoperator.mirror.plan import Create, Delete, Show
from asynctasks.instants import utc_now
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from asyncoperator.cluster.custom_object import Object
    from asyncoperator.cluster.kube import Kube
    from asyncoperator.mirror.object_cache import ObjectCache
    from asyncoperator.mirror.plan import Write
    from asyncoperator.mirror.write_budget import WriteBudget
    from asynctasks.statements.mirroring import MirroredTask

PAUSE_SECONDS = 60.0
"""After the API server refused an object, it is tried again so much later."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a plan's writes."""

    shown: dict[UUID, int]
    """The tasks that their objects show now, and which version of each."""
    error: BaseException | None
    """What kept some of them from being written, and is not about one object alone."""


class MirrorWriter:
    """Writes AsyncTask objects within the budget, and notes in the cache what they are then.

    An object that the API server refuses is left alone for a minute: it holds up no other.
    """

    def __init__(
        self,
        kube: Kube,
        *,
        objects: ObjectCache,
        budget: WriteBudget,
        installation: str,
        owner: Object | None,
        public_url: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._objects = objects
        self._budget = budget
        self._installation = installation
        self._owner = owner
        self._public_url = public_url
        self._clock = clock
        self._paused_until: dict[str | UUID, float] = {}

    def is_paused(self, key: str | UUID) -> bool:
        """Whether the task of that id, or the object of that uid, is to be left alone for now."""
        return self._paused_until.get(key, 0.0) > self._clock()

    async def write(self, writes: Sequence[Write]) -> Written:
        """Make the writes of a plan, side by side."""
        now = self._clock()
        self._paused_until = {key: at for key, at in self._paused_until.items() if at > now}
        shown: dict[UUID, int] = {}
        outcomes = await asyncio.gather(
            *(self._write_one(write, shown) for write in writes), return_exceptions=True
        )
        errors = (outcome for outcome in outcomes if isinstance(outcome, BaseException))
        return Written(shown, next(errors, None))

    async def refuse(self, seen: ObservedTask, *, reason: str, message: str) -> None:
        """Show a person why their object cannot become a task."""
        status = refused_status(
            seen, installation=self._installation, reason=reason, message=message, now=utc_now()
        )
        try:
            await self._show(seen, status)
        except KubeGoneError:
            self._objects.forget(seen)
        except (KubeRefusedError, KubeConflictError) as error:
            self._pause(seen.uid, error)

    async def delete(self, seen: ObservedTask) -> None:
        """Delete the object, unless its name is another's by now."""
        async with self._budget.write():
            await self._kube.delete(PLURAL, seen.name, uid=seen.uid)
        MIRROR_WRITES.labels("delete").inc()
        # Before the watch tells: what we delete ends no task.
        self._objects.forget(seen)

    async def _write_one(self, write: Write, shown: dict[UUID, int]) -> None:
        key = write.seen.uid if isinstance(write, Delete) else write.row.id
        if self.is_paused(key) or self._budget.available <= 0:
            return
        try:
            if isinstance(write, Delete):
                await self.delete(write.seen)
                return
            seen = write.seen if isinstance(write, Show) else await self._create(write)
            if seen is None:
                return
            await self._show_row(write.row, seen)
            shown[write.row.id] = write.row.version
        except KubeGoneError:
            if not isinstance(write, Create):
                self._objects.forget(write.seen)
        except KubeThrottledError as error:
            self._budget.throttled(error.retry_after_seconds)
        except (KubeRefusedError, KubeConflictError) as error:
            self._pause(key, error)
        except KubeError:
            raise
        except Exception as error:  # noqa: BLE001 - one task, whatever is in its row, stops no other
            self._pause(key, error)

    async def _create(self, write: Create) -> ObservedTask | None:
        body = mirrored_object(write.row, installation=self._installation, owner=self._owner)
        try:
            async with self._budget.write():
                made = await self._kube.create(PLURAL, body)
            MIRROR_WRITES.labels("create").inc()
            return parse(made)
        except KubeExistsError:
            made = await self._kube.get(PLURAL, object_name(write.row.id))
        seen = None if made is None else parse(made)
        if seen is None:
            return None
        if seen.is_stray and seen.installation == self._installation:
            # Of a mirror that ended between its two writes; or somebody's, who foresaw the name.
            await self.delete(seen)
            return None
        if seen.task_id != write.row.id or not seen.is_ours:
            self._pause(write.row.id, KubeError(f"{seen.name} is another's object"))
            return None
        self._objects.see(seen)
        return seen

    async def _show_row(self, row: MirroredTask, seen: ObservedTask) -> None:
        status = task_status(
            row,
            seen,
            installation=self._installation,
            now=utc_now(),
            public_url=self._public_url,
        )
        await self._show(seen, status)
        has_ended = row.status.is_final and seen.task_status is not row.status
        if has_ended and row.status is not TaskStatus.SUCCEEDED:
            await self._post_event(row, seen, status["message"])

    async def _show(self, seen: ObservedTask, status: Object) -> None:
        async with self._budget.write():
            body = await self._kube.apply_status(PLURAL, seen.name, status, uid=seen.uid)
        MIRROR_WRITES.labels("status").inc()
        self._objects.see(parse(body))

    async def _post_event(self, row: MirroredTask, seen: ObservedTask, message: str) -> None:
        """Tell by an Event how the task ended; one that is lost is not missed."""
        kind: Any = "Normal" if row.status is TaskStatus.CANCELLED else "Warning"
        try:
            async with self._budget.write():
                await self._kube.post_event(
                    seen.reference, reason=row.status.capitalize(), message=message, type=kind
                )
            MIRROR_WRITES.labels("event").inc()
        except (KubeRefusedError, KubeGoneError, KubeConflictError) as error:
            log.warning("event not posted", asynctask=seen.name, reason=str(error))

    def _pause(self, key: str | UUID, error: Exception) -> None:
        self._paused_until[key] = self._clock() + PAUSE_SECONDS
        log.warning("object refused", key=str(key), reason=str(error), again_in=PAUSE_SECONDS)
