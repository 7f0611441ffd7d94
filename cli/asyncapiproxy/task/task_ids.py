"""Finds a task by how its id begins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

from asyncapiproxy.client.task_filter import TaskFilter
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from asyncapiproxy.client.client import Client
    from asyncapiproxy.client.task_state import TaskState

DIGITS = 32
SHOWN = 5
_BEGINNING = re.compile(r"[0-9a-f-]{1,36}", re.IGNORECASE)


class TaskIdAmbiguousError(AsyncApiProxyError):
    """Several tasks have an id that begins so."""


class TaskIdUnknownError(AsyncApiProxyError):
    """No task has an id that begins so."""


def whole_id(client: Client, typed: str) -> str:
    """The id that begins as typed; what could be none is left to the proxy to refuse.

    Raises TaskIdUnknownError, TaskIdAmbiguousError.
    """
    if not _BEGINNING.fullmatch(typed) or len(_digits(typed)) >= DIGITS:
        return typed
    found = tasks_from(client, typed, most=SHOWN)
    if not found:
        raise TaskIdUnknownError(f"No task that you may read has an id that begins with {typed}.")
    if len(found) > 1:
        lines = "\n".join(f"  {task.id}  {task.operation}, {task.status}" for task in found)
        raise TaskIdAmbiguousError(f"Several ids begin with {typed}, such as\n{lines}")
    return found[0].id


def tasks_from(client: Client, typed: str, *, most: int) -> list[TaskState]:
    """The newest tasks whose ids begin as typed.

    Ids are ordered, and a page goes on below any id: the page below the last that begins so.
    """
    if typed and not _BEGINNING.fullmatch(typed):
        return []
    digits = _digits(typed)
    last = UUID(digits.ljust(DIGITS, "f"))
    page = client.page(TaskFilter(), page_size=most, page_token=str(last))
    return [task for task in page.tasks if _digits(task.id).startswith(digits)]


def _digits(text: str) -> str:
    return text.replace("-", "").lower()
