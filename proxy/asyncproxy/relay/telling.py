"""Tells who waits for a task that the relay has ended, and the log of each that it has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from asynctasks.broker.messages import Reply
from asynctasks.task_log import log_task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asynctasks.broker.protocol import Broker
    from asynctasks.statements.upkeep import MovedTask

log = structlog.get_logger(__name__)


async def tell(broker: Broker, moved: Iterable[MovedTask]) -> None:
    """Reply for those of the tasks that have ended."""
    for task in moved:
        if task.reply_to is None or not task.status.is_final:
            continue
        try:
            await broker.reply(task.reply_to, Reply(task.id, task.status, error=task.error))
        except Exception as error:  # noqa: BLE001 - a row may name a queue that cannot be
            log.error("reply not sent", task_id=str(task.id), error=type(error).__name__)  # noqa: TRY400


def log_moved(moved: Iterable[MovedTask]) -> None:
    """One line for each task that has ended, or is tried again since its executor is gone."""
    for task in moved:
        log_task(
            task.status.value if task.status.is_final else "given back",
            task_id=task.id,
            operation=task.operation,
            status=task.status.value,
            attempt=task.attempt,
            principal=task.principal,
            trace_id=task.trace_id,
            error=task.error.type if task.error else None,
        )
