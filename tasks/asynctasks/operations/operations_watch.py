"""Follows the operations file: a changed one is checked and taken over without a restart.

A bad one is refused as a whole, with what is wrong in one line of the log, while the one before
serves on. The file is read again and again, since notifications of the kernel do not come from
network disks, and are not to be had where a node's processes have used them up.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Gauge

from asynctasks.errors import AsyncApiProxyError, DatabaseUnavailableError
from asynctasks.loop import Loop
from asynctasks.metrics import expose
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.operations_file import load_operations

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

LOOK_SECONDS = 0.5

REFUSED = Gauge(
    "asyncapiproxy_operations_file_refused",
    "1 while the operations file as it stands was refused, and an earlier one is in use.",
    registry=None,
)
LOADED_TIMESTAMP = Gauge(
    "asyncapiproxy_operations_file_loaded_timestamp_seconds",
    "When the operations file in use was loaded.",
    registry=None,
)
METRICS = (REFUSED, LOADED_TIMESTAMP)

log = structlog.get_logger(__name__)


class OperationsWatch:
    """Looks whether a file has changed, and leads its operations to what it declares now."""

    def __init__(self, file: Path) -> None:
        """Load the file; raises OperationsFileError."""
        self._file = file
        self._judged = self._seen = _content(file)
        self.operations = LiveOperations(load_operations(file))
        REFUSED.set(0)
        LOADED_TIMESTAMP.set_to_current_time()

    async def look(self) -> None:
        """Take the file over, or refuse it, where it has changed since the look before the last.

        Two looks find the same when whoever writes it has finished. Raises
        DatabaseUnavailableError: a later look tries again.
        """
        content = await asyncio.to_thread(_content, self._file)
        is_settled = content == self._seen
        self._seen = content
        if is_settled and content != self._judged:
            await self._judge()
            self._judged = content

    async def _judge(self) -> None:
        try:
            operations = await asyncio.to_thread(load_operations, self._file)
            await self.operations.change(operations)
        except DatabaseUnavailableError:
            raise
        except AsyncApiProxyError as error:
            REFUSED.set(1)
            log.error(  # noqa: TRY400 - the file's faults are the news, not where we found them
                "operations file refused; the one before serves on", faults=str(error)
            )
        else:
            REFUSED.set(0)
            LOADED_TIMESTAMP.set_to_current_time()
            log.info("operations file taken over", operations=sorted(operations))


@asynccontextmanager
async def followed_file(file: Path) -> AsyncGenerator[LiveOperations]:
    """The operations of the file, led to each of its changes; raises OperationsFileError."""
    watch = OperationsWatch(file)
    expose(METRICS)
    loop = Loop("operations file", watch.look, interval_seconds=LOOK_SECONDS)
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(loop.run(), name=loop.name)
        yield watch.operations
        looking.cancel()


def _content(file: Path) -> bytes | None:
    """None where it cannot be read: loading it says why."""
    try:
        return file.read_bytes()
    except OSError:
        return None
