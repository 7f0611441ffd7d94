"""A task in the words of Azure's long-running operations, for clients that poll by them.

They take the first 200 from the address in `Location` for the end. `Operation-Location` leads them
here, where the body says how far it is:
https://github.com/microsoft/api-guidelines/blob/vNext/azure/ConsiderationsForServiceDesign.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from asyncproxy.task_addresses import task_address
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from asynctasks.task import Task

STATUSES = {
    TaskStatus.QUEUED: "NotStarted",
    TaskStatus.RUNNING: "Running",
    TaskStatus.SUCCEEDED: "Succeeded",
    TaskStatus.FAILED: "Failed",
    TaskStatus.EXPIRED: "Failed",
    TaskStatus.CANCELLED: "Canceled",
}


def azure_response(task: Task, *, retry_after_seconds: int, prefix: str = "") -> Response:
    """Where the task stands; once it has finished, its result's address or its error."""
    headers = {"Cache-Control": "no-store", "Task-Id": str(task.id)}
    if not task.status.is_final:
        headers["Retry-After"] = str(retry_after_seconds)
    document = orjson.dumps(_document(task, prefix), option=orjson.OPT_UTC_Z)
    return Response(document, 200, headers, media_type="application/json")


def _document(task: Task, prefix: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": str(task.id),
        "status": STATUSES[task.shown_status],
        "createdDateTime": task.created_at,
    }
    if task.progress is not None:
        document["percentComplete"] = task.progress
    if task.status is TaskStatus.SUCCEEDED:
        document["resourceLocation"] = task_address(task.id, "response", prefix=prefix)
    elif task.status.is_final:
        document["error"] = _error(task)
    return document


def _error(task: Task) -> dict[str, str]:
    if task.error is not None:
        return {"code": task.error["type"], "message": task.error["detail"]}
    status = "" if task.response is None else f" {task.response.status}"
    return {"code": "upstream-refused", "message": f"The upstream answered{status}."}
