"""What the tests of stores and brokers share: a store on a fresh database, a broker of its own."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from asyncoperator.mirror.loop import MirrorLoop
from asynctasks.blobs.blobs import Blobs, open_blobs
from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.broker.protocol import Broker
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.database import Database
from asynctasks.group_commit import GroupCommit
from asynctasks.instants import utc_now
from asynctasks.json_values import written
from asynctasks.operations.new_task import NewTask
from asynctasks.statements.claims import Claimable, Claims
from asynctasks.statements.store import TaskStore
from asynctasks.task import new_task_id
from asynctestkit.fake_asynctasks import FakeAsyncTasks, mirror_loop
from asynctestkit.inside import Inside, inside, operation

INLINE_BYTES = 65_536
CREATE_CLIENT = Claimable("clients", {"create-client": "own"})


@dataclass(frozen=True)
class Parts:
    """A process's view of the task database."""

    database: Database
    commits: GroupCommit
    store: TaskStore
    blobs: Blobs

    async def add(self, new: NewTask) -> UUID:
        """Its id, once it is stored."""
        await self.store.add(new)
        return new.id

    def claims(
        self,
        executor: str,
        *,
        lease_seconds: float = 60,
        claimable: Claimable = CREATE_CLIENT,
        revision_wait_seconds: float = 600,
    ) -> Claims:
        return Claims(
            self.database,
            self.commits,
            executor=executor,
            lease_seconds=lease_seconds,
            claimable=claimable,
            revision_wait_seconds=revision_wait_seconds,
        )


OpenParts = Callable[[str], AbstractAsyncContextManager[Parts]]


@asynccontextmanager
async def _open_parts(database_url: str) -> AsyncGenerator[Parts]:
    database = Database(database_url)
    try:
        async with GroupCommit(database) as commits:
            yield Parts(
                database,
                commits,
                TaskStore(database, commits),
                open_blobs(database, "database", inline_bytes=INLINE_BYTES),
            )
    finally:
        await database.close()


@pytest.fixture
def open_parts() -> OpenParts:
    """Opens a process's view; a test of two processes opens two."""
    return _open_parts


@pytest.fixture
async def parts(database_url: str) -> AsyncIterator[Parts]:
    """The view of one process on either database."""
    async with _open_parts(database_url) as parts:
        yield parts


@pytest.fixture
def kube() -> FakeAsyncTasks:
    return FakeAsyncTasks()


@pytest.fixture
def make_loop(parts: Parts, kube: FakeAsyncTasks) -> Callable[..., MirrorLoop]:
    """Makes a mirror between the database and the fake."""
    return partial(mirror_loop, parts, kube)


@pytest.fixture
def new_task() -> Callable[..., NewTask]:
    """Makes a task to add; a test names what matters to it."""
    return _new_task


def _new_task(**values: Any) -> NewTask:
    defaults: dict[str, Any] = {
        "id": new_task_id(),
        "operation": "create-client",
        "queue": "clients",
        "sealed_arguments": None,
        "max_attempts": 3,
        "created_at": utc_now(),
        "published": False,
        "publish_in_seconds": 0.0,
    }
    arguments = written(values.pop("arguments", {"name": "Ann"}))
    return NewTask(**(defaults | values), arguments=arguments)


def rabbitmq_broker(url: str, prefix: str, *, publish_seconds: float = 20) -> RabbitmqBroker:
    return RabbitmqBroker(url, queues=["clients"], prefix=prefix, publish_seconds=publish_seconds)


@pytest.fixture(params=["memory", "rabbitmq"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """Either broker, with an empty queue `clients`."""
    if request.param == "memory":
        async with InMemoryBroker() as memory:
            yield memory
    else:
        amqp_url = request.getfixturevalue("amqp_url")
        prefix = request.getfixturevalue("queue_prefix")
        async with rabbitmq_broker(amqp_url, f"{prefix}b") as rabbitmq:
            assert rabbitmq.is_connected
            yield rabbitmq


@pytest.fixture
async def installation(sqlite_url: str) -> AsyncIterator[Inside]:
    """In memory, with frequent looks and the operations `create-client` and `other`."""
    async with inside(
        operation(),
        operation("other"),
        database_url=sqlite_url,
        broker_url="memory://",
        relay_interval_seconds=0.05,
        watch_interval_seconds=0.05,
    ) as installation:
        yield installation


@pytest.fixture(params=["memory", "rabbitmq"])
def servers(request: pytest.FixtureRequest) -> dict[str, Any]:
    """SQLite and the broker in memory, or PostgreSQL and RabbitMQ."""
    if request.param == "memory":
        return {
            "database_url": request.getfixturevalue("sqlite_url"),
            "broker_url": "memory://",
        }
    return {
        "database_url": request.getfixturevalue("postgresql_url"),
        "broker_url": request.getfixturevalue("amqp_url"),
        "broker_prefix": f"{request.getfixturevalue('queue_prefix')}s",
    }
