"""From objects to tasks: a person's AsyncTask becomes a task exactly once, and may end one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from asyncoperator.cluster.kube_errors import KubeError
from asynctasks.errors import ArgumentsInvalidError, TaskFinishedError, TaskNotFoundError
from asynctasks.statements.store import NewTask

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from asyncoperator.cluster.kube import Kube
    from asyncoperator.mirror.asynctask import AsyncTaskSpec, ObservedTask
    from asynctasks.operations.operation import Operation, Operations
    from asynctasks.statements.store import TaskStore

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
    """Submits and cancels for the objects of one namespace."""

    def __init__(self, store: TaskStore, operations: Operations, kube: Kube) -> None:
        self._store = store
        self._operations = operations
        self._kube = kube

    async def submit(self, seen: ObservedTask) -> UUID | Refusal:
        """Store the task that the object asks for, unless it is stored already.

        Raises DatabaseUnavailableError.
        """
        assert seen.request is not None
        operation = self._operations.get(seen.request.operation)
        if operation is None:
            known = ", ".join(sorted(self._operations))
            return Refusal(
                "OperationUnknown",
                f"There is no operation {seen.request.operation}; there are: {known}",
            )
        refusal = _refusal(operation, seen.request)
        if refusal is not None:
            return refusal
        new = _new_task(seen, seen.request, operation, self._kube.namespace)
        # With no idempotency key, a known id adds nothing.
        return (await self._store.add(new)).id

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
    if request.queue not in (None, operation.queue):
        return Refusal(
            "QueueUnknown",
            f"The operation {operation.name} runs on the queue {operation.queue}; leave queue out.",
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
    try:
        operation.schema.check(arguments)
    except ArgumentsInvalidError as error:
        return Refusal("ArgumentsInvalid", str(error))
    return None


def _new_task(
    seen: ObservedTask, request: AsyncTaskSpec, operation: Operation, namespace: str
) -> NewTask:
    delay_seconds = request.delay_seconds
    if delay_seconds is None:
        delay_seconds = operation.delay_seconds
    deadline_seconds = request.deadline_seconds
    if deadline_seconds is None:
        deadline_seconds = operation.deadline_seconds
    return NewTask(
        id=task_id_of(seen.uid, seen.created_at),
        operation=operation.name,
        queue=operation.queue,
        arguments=request.arguments or {},
        sealed_arguments=None,
        max_attempts=operation.retry.max_attempts,
        created_at=seen.created_at,
        # The relay publishes it at once, or when its delay is over.
        published=False,
        publish_in_seconds=delay_seconds or 0.0,
        labels={**operation.labels, **(request.labels or {})},
        delay_seconds=delay_seconds or None,
        deadline_seconds=deadline_seconds,
        asynctask=f"{namespace}/{seen.name}/{seen.uid}",
    )
