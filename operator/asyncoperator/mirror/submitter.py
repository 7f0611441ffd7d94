"""From objects to tasks: a person's AsyncTask becomes a task exactly once, and may end one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from asyncoperator.cluster.kube_errors import KubeError
from asynctasks.callbacks.allow import NO_URLS, AllowedUrls
from asynctasks.errors import (
    ArgumentsInvalidError,
    DatabaseUnavailableError,
    TaskFinishedError,
    TaskNotFoundError,
    TaskOptionsError,
)
from asynctasks.json_values import is_storable
from asynctasks.operations.new_task import new_task
from asynctasks.operations.sealing import Sealing
from asynctasks.operations.task_options import TaskOptions
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from asyncoperator.cluster.kube import Kube
    from asyncoperator.cluster.neighbours import Neighbours
    from asyncoperator.mirror.asynctask import AsyncTaskSpec, ObservedTask
    from asynctasks.errors import TaskOption
    from asynctasks.operations.new_task import NewTask
    from asynctasks.operations.operation import Operation, Operations
    from asynctasks.statements.store import TaskStore
    from asynctasks.traces.traces import Traces

FIELDS: dict[TaskOption, str] = {
    "deadline": "spec.deadlineSeconds",
    "delay": "spec.delaySeconds",
    "priority": "spec.priority",
    "labels": "spec.labels",
    "callback": "spec.callback",
}
_NO_SEALING = Sealing(())
"""Secrets are refused before they come to it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an object cannot become a task."""

    reason: str
    message: str


def task_id_of(uid: str, created_at: datetime) -> UUID:
    """The id of the task that an object asks for: a UUIDv7 (RFC 9562 §5.7), always the same one."""
    digest = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:10])
    milliseconds = int(created_at.timestamp() * 1000)
    value = (milliseconds & (1 << 48) - 1) << 80 | digest & (1 << 80) - 1
    value = value & ~(0xF << 76) | 7 << 76
    return UUID(int=value & ~(0x3 << 62) | 2 << 62)


class Submitter:
    """Submits and cancels for the objects of one installation in one namespace."""

    def __init__(
        self,
        store: TaskStore,
        operations: Operations,
        kube: Kube,
        neighbours: Neighbours,
        *,
        callback_urls: AllowedUrls = NO_URLS,
        traces: Traces = NO_TRACES,
    ) -> None:
        self._store = store
        self._operations = operations
        self._kube = kube
        self._neighbours = neighbours
        self._traces = traces
        self._callback_urls = callback_urls

    @property
    def installation(self) -> str:
        """Whose objects these are."""
        return self._neighbours.installation

    async def submit(self, seen: ObservedTask) -> UUID | Refusal:
        """Store the task that the object asks for, unless it is stored already.

        Raises DatabaseUnavailableError and KubeError; any other fault is the object's.
        """
        try:
            return await self._submit(seen)
        except (DatabaseUnavailableError, KubeError):
            raise
        except Exception as error:  # one object, whatever is in it, stops no other
            log.exception("object not submitted", asynctask=seen.name)
            return Refusal("SubmissionFailed", f"It cannot be stored: {type(error).__name__}.")

    async def _submit(self, seen: ObservedTask) -> UUID | Refusal:
        assert seen.request is not None
        if seen.installation is None:
            ambiguity = await self._neighbours.ambiguity()
            if ambiguity is not None:
                return Refusal("InstallationAmbiguous", ambiguity)
        operation = self._operations.get(seen.request.operation)
        if operation is None:
            known = ", ".join(sorted(self._operations))
            return Refusal(
                "OperationUnknown",
                f"There is no operation {seen.request.operation}; there are: {known}",
            )
        new = self._new_task(seen, seen.request, operation)
        if isinstance(new, Refusal):
            return new
        with self._traces.sending(
            None, task_id=new.id, operation=new.operation, queue=new.queue
        ) as span:
            new.set_trace(span.context)
            # With no idempotency key, a known id adds nothing.
            return (await self._store.add(new)).id

    def _new_task(
        self, seen: ObservedTask, request: AsyncTaskSpec, operation: Operation
    ) -> NewTask | Refusal:
        refusal = _refusal(operation, request)
        if refusal is not None:
            return refusal
        try:
            new = new_task(
                operation,
                arguments=request.arguments or {},
                options=_options(request),
                sealing=_NO_SEALING,
                task_id=task_id_of(seen.uid, seen.created_at),
                created_at=seen.created_at,
                asynctask=self.asking(seen),
                callback_urls=self._callback_urls,
            )
        except ArgumentsInvalidError as error:
            return Refusal("ArgumentsInvalid", str(error))
        except TaskOptionsError as error:
            return Refusal("OptionsInvalid", f"{FIELDS[error.option]}: expected {error.expected}.")
        if not is_storable(request.arguments):
            return Refusal("ArgumentsInvalid", "They are nested too deeply to be stored.")
        return new

    def asking(self, seen: ObservedTask) -> str:
        """A person's object as the row of its task names it."""
        return f"{self._kube.namespace}/{seen.name}/{seen.uid}"

    async def cancel(self, task_id: UUID) -> bool:
        """Ask for the task's end; False where there is nothing to end any more."""
        try:
            await self._store.cancel(task_id)
        except (TaskFinishedError, TaskNotFoundError):
            return False
        return True

    async def ended_by_people(self, gone: Collection[ObservedTask]) -> list[ObservedTask]:
        """Those of the deleted objects that a person deleted, and no cascade took.

        On doubt they are none of these: a lost view must never kill work.
        """
        try:
            if not gone or not await self._kube.namespace_is_there():
                return []
            owners = {owner["uid"]: owner for seen in gone if seen.is_ours for owner in seen.owners}
            going = {
                uid for uid, owner in owners.items() if not await self._kube.owner_is_there(owner)
            }
        except KubeError as error:
            log.warning("deletions end no task", objects=len(gone), reason=str(error))
            return []
        return [
            seen
            for seen in gone
            # A person's own task ends with its object, whoever owned that.
            if not (seen.is_ours and any(owner["uid"] in going for owner in seen.owners))
        ]


def _refusal(operation: Operation, request: AsyncTaskSpec) -> Refusal | None:
    if request.task_id is not None:
        return Refusal(
            "TaskIdGiven",
            "Only the operator makes objects with spec.taskId; leave it out to submit a task.",
        )
    if request.queue not in (None, operation.queue):
        return Refusal(
            "QueueUnknown",
            f"The operation {operation.name} runs on the queue {operation.queue}; leave queue out.",
        )
    if operation.body is not None:
        return Refusal(
            "BodyNeeded",
            f"The operation {operation.name} takes a body as it comes, which no object can hold; "
            "submit this by HTTP.",
        )
    arguments = request.arguments or {}
    # Before the schema's own complaints: a secret is to be mended first.
    _, secrets = operation.schema.part(arguments)
    if secrets:
        places = ", ".join("/" + "/".join(path) for path, _ in secrets)
        return Refusal(
            "WriteOnlyArguments",
            f"{places}: secret, and all who may read AsyncTasks would see it; "
            "submit this by HTTP, and change the secret.",
        )
    return None


def _options(request: AsyncTaskSpec) -> TaskOptions:
    """An object has no idempotency key: it is its own."""
    return TaskOptions(
        deadline_seconds=request.deadline_seconds,
        delay_seconds=request.delay_seconds,
        priority=request.priority,
        labels=request.labels or {},
        callback=request.callback,
    )
