"""What a process holds open: the task database, its grouped writes, blobs, broker and traces."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asynctasks.blobs.blobs import open_blobs
from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.database import Database
from asynctasks.group_commit import GroupCommit
from asynctasks.traces.environment import open_traces
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from asynctasks.blobs.blobs import Blobs
    from asynctasks.broker.protocol import Broker
    from asynctasks.operations.operation import Operations
    from asynctasks.settings import Settings
    from asynctasks.traces.traces import Traces

MEMORY = "memory://"


@dataclass(frozen=True, slots=True)
class Connections:
    """The database, its grouped writes, the blobs, the broker and the traces.

    They are open while `connect` is entered.
    """

    database: Database
    commits: GroupCommit
    broker: Broker
    blobs: Blobs
    traces: Traces = NO_TRACES


@asynccontextmanager
async def connect(
    settings: Settings, operations: Operations, *, service: str = "asyncapiproxy"
) -> AsyncGenerator[Connections]:
    """Open all, and close it on leaving; what is away is connected to when it comes.

    Its traces call the process by the name of the service. Raises SettingsError.
    """
    traces = open_traces(service=service)
    database = Database(settings.database_url, connections=settings.database_connections)
    try:
        blobs = open_blobs(database, settings.blobs, inline_bytes=settings.inline_body_bytes)
        async with (
            GroupCommit(database) as commits,
            _broker(settings, operations) as broker,
        ):
            yield Connections(database, commits, broker, blobs, traces)
    finally:
        await traces.close()
        await database.close()


def _broker(settings: Settings, operations: Operations) -> Broker:
    if settings.broker_url.startswith(MEMORY):
        return InMemoryBroker()
    return RabbitmqBroker(
        settings.broker_url,
        queues=sorted({operation.queue for operation in operations.values()}),
        prefix=settings.broker_prefix,
        publish_seconds=settings.publish_seconds,
    )
