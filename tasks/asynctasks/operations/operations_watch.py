"""Follows the operations file, and leads those who serve its operations to each change."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog

from asynctasks.callbacks.allow import NO_URLS, AllowedUrls
from asynctasks.declarations.file_watch import LOOK_SECONDS, FileMetrics, FileWatch
from asynctasks.loop import Loop
from asynctasks.metrics import expose
from asynctasks.operations.delivery_operation import with_deliveries
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.operations_file import load_operations

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from asynctasks.declarations.declared_file import Read
    from asynctasks.operations.operation import Operations

FILE_METRICS = FileMetrics("operations file")
METRICS = FILE_METRICS.all

log = structlog.get_logger(__name__)


class OperationsWatch:
    """Looks whether a file has changed, and leads its operations to what it declares now."""

    def __init__(self, file: Path, *, callback_urls: AllowedUrls = NO_URLS) -> None:
        """Load the file; raises OperationsFileError."""
        load = partial(_load, file, callback_urls)
        watch = FileWatch("operations file", load, self._take_over, metrics=FILE_METRICS)
        self.look = watch.look
        self.operations = LiveOperations(watch.first)

    async def _take_over(self, operations: Operations) -> None:
        await self.operations.change(operations)
        log.info("operations file taken over", operations=sorted(operations))


def _load(file: Path, callback_urls: AllowedUrls, read: Read) -> Operations:
    return with_deliveries(load_operations(file, read=read), callback_urls)


@asynccontextmanager
async def followed_file(
    file: Path, *, callback_urls: AllowedUrls = NO_URLS
) -> AsyncGenerator[LiveOperations]:
    """The operations of the file, led to each of its changes; raises OperationsFileError.

    Where some URLs may be called back the operation that does so is one of them.
    """
    watch = OperationsWatch(file, callback_urls=callback_urls)
    expose(METRICS)
    loop = Loop("operations file", watch.look, interval_seconds=LOOK_SECONDS)
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(loop.run(), name=loop.name)
        yield watch.operations
        looking.cancel()
