"""Tasks and AsyncTask objects as the mirror sees them, for tests of its decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from asyncoperator.mirror.asynctask import ObservedTask, object_name
from asynctasks.statements.mirroring import MirroredTask
from asynctasks.task import TaskStatus

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def task_id(number: int) -> UUID:
    return UUID(int=number + 1)


def row(number: int = 0, **values: Any) -> MirroredTask:
    """A running task, unless the status says otherwise; a final one has just finished."""
    status: TaskStatus = values.get("status", TaskStatus.RUNNING)
    defaults: dict[str, Any] = {
        "id": task_id(number),
        "version": 2,
        "mirrored_version": 0,
        "operation": "create-client",
        "queue": "clients",
        "status": status,
        "attempt": 1,
        "max_attempts": 3,
        "created_at": NOW - timedelta(seconds=60),
        "started_at": NOW - timedelta(seconds=50),
        "finished_at": NOW if status.is_final else None,
        "executor": "one",
        "cancel_requested": False,
        "asynctask": None,
        "progress": None,
        "message": None,
        "response_status": None,
        "error": None,
    }
    return MirroredTask(**(defaults | values))


def seen(number: int = 0, **values: Any) -> ObservedTask:
    """The mirror's own object of a running task, unless the status says otherwise."""
    status: TaskStatus | None = values.get("task_status", TaskStatus.RUNNING)
    defaults: dict[str, Any] = {
        "name": object_name(task_id(number)),
        "uid": f"uid-{number}",
        "resource_version": 1,
        "generation": 1,
        "created_at": NOW - timedelta(seconds=60),
        "is_going": False,
        "installation": "asyncapiproxy",
        "is_ours": True,
        "is_stray": False,
        "task_id": task_id(number),
        "task_status": status,
        "version": 2,
        "observed_generation": 1,
        "finished_at": NOW if status is not None and status.is_final else None,
        "ttl_seconds": None,
        "cancel_requested": False,
        "is_refused": False,
    }
    return ObservedTask(**(defaults | values))
