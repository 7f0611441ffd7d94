"""Tells who waits for a task that the relay has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from asynctasks.broker.messages import Reply

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
