"""Keeps the leases of running tasks, and learns of cancels and lost leases on the way."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn

import structlog

from asynctasks.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from asyncexecutor.worker import Worker
    from asynctasks.claims import Claims

log = structlog.get_logger(__name__)


async def keep_leases(
    worker: Worker, claims: Claims, *, lease_seconds: float, watch_seconds: float
) -> NoReturn:
    """Look at all running tasks by one statement every `watch_seconds`.

    Every third of a lease that statement renews them as well.
    """
    renewed_at = 0.0
    while True:
        await asyncio.sleep(watch_seconds)
        running = worker.running
        if not running:
            continue
        is_renewal_due = time.monotonic() - renewed_at >= lease_seconds / 3
        try:
            held = await (claims.renew(running) if is_renewal_due else claims.look(running))
        except DatabaseUnavailableError as error:
            log.warning("leases not renewed", running=len(running), reason=str(error))
            continue
        if is_renewal_due:
            renewed_at = time.monotonic()
        worker.observe(running, held)
