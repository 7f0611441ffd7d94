"""`asyncapiproxy` with a transaction for each write, to measure what GroupCommit costs one alone.

Only the benchmark runs this; its arguments are those of `asyncapiproxy`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncapiproxy.main import app
from asynctasks.group_commit import (
    GroupCommit,
    _Write,  # pyright: ignore[reportPrivateUsage] - it stands in for the rest of its class
)

if TYPE_CHECKING:
    from asynctasks.group_commit import Batch, ItemT, ResultT


async def write_alone(self: GroupCommit, batch: Batch[ItemT, ResultT], item: ItemT) -> ResultT:
    """As GroupCommit.write, without waiting for others and without company."""
    write = _Write(batch, item, asyncio.get_running_loop().create_future())
    (result,) = await self._transaction([write])  # pyright: ignore[reportPrivateUsage]
    return result


if __name__ == "__main__":
    GroupCommit.write = write_alone
    app()
