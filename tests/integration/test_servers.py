"""The servers other tests stand on: they serve, die at once, and come back with their data."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import aio_pika
import asyncpg
import psutil
import pytest

from asynctestkit.eventually import eventually
from asynctestkit.ports import is_listening
from asynctestkit.process import ProcessStartError
from asynctestkit.servers import (
    GivenServer,
    GivenServerError,
    PostgresqlServer,
    PrivateServer,
    RabbitmqServer,
    ServerCommandError,
    ServerProgramMissingError,
)

End = Callable[[PrivateServer], None]


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitmqServer]:
    """Private, because tests here end it; each leaves it running."""
    with RabbitmqServer() as server:
        yield server


@pytest.mark.parametrize("end", [PrivateServer.stop, PrivateServer.kill])
async def test_postgresql_comes_back_on_its_port_with_every_committed_row(end: End):
    with PostgresqlServer() as server:
        await _query(server, "CREATE TABLE facts AS SELECT 42 AS answer")
        end(server)
        with pytest.raises(ConnectionRefusedError):
            await _query(server, "SELECT 1")
        server.start()
        assert await _query(server, "SELECT answer FROM facts") == 42


@pytest.mark.parametrize("end", [PrivateServer.stop, PrivateServer.kill])
async def test_rabbitmq_comes_back_on_its_port_with_every_persistent_message(
    end: End, broker: RabbitmqServer
):
    await _publish(broker, b"42", queue="facts")
    end(broker)
    with pytest.raises(aio_pika.exceptions.AMQPConnectionError):
        await _get(broker, queue="facts")
    broker.start()
    assert await _get(broker, queue="facts") == b"42"


def test_a_second_broker_runs_beside_the_first_and_leaves_no_process_behind(broker: RabbitmqServer):
    before = _descendants()
    with RabbitmqServer() as other:
        assert broker.ctl("status") != other.ctl("status")
        names = {process.name() for process in _descendants() - before}
        assert names > {"beam.smp", "epmd"}
    assert _descendants() == before


async def test_queues_are_deleted_by_prefix_and_others_stay(broker: RabbitmqServer):
    for queue in ("mine-1", "mine-2", "not-mine-3"):
        await _publish(broker, b"", queue=queue)
    broker.delete_queues(prefix="mine-")
    queues = broker.ctl("list_queues", "name").split()
    assert "not-mine-3" in queues
    assert not {"mine-1", "mine-2"} & set(queues)


async def test_each_test_has_a_queue_prefix_on_a_broker_that_serves(
    amqp_url: str, queue_prefix: str
):
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{queue_prefix}facts", durable=True)
        assert queue.declaration_result.message_count == 0


@pytest.mark.parametrize("kind", ["PostgresqlServer", "RabbitmqServer"])
async def test_a_server_ends_with_its_owner_even_when_that_is_killed(kind: str):
    with _owner_of(kind) as owner:
        assert owner.stdout is not None
        port, folder = owner.stdout.readline().split()
        family = psutil.Process(owner.pid).children(recursive=True)
        assert is_listening(int(port))
        owner.kill()

    def the_server_is_gone() -> None:
        assert not is_listening(int(port))
        assert not [process for process in family if _lives(process)]

    await eventually(the_server_is_gone)
    shutil.rmtree(folder)  # only the owner, had it lived, would have


def test_rabbitmqctl_is_refused_while_the_server_is_down():
    server = RabbitmqServer()
    with pytest.raises(ServerCommandError, match="running server"):
        server.ctl("status")
    server.close()


def test_a_server_that_ends_at_start_says_why():
    with PostgresqlServer() as server:
        server.stop()
        with (server._data / "postgresql.conf").open("a") as settings:
            settings.write("no_such_setting = 1\n")
        with pytest.raises(ProcessStartError, match="no_such_setting"):
            server.start()


def test_a_missing_program_is_an_error_that_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
):
    def nowhere(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr("shutil.which", nowhere)
    with pytest.raises(ServerProgramMissingError, match="apt-get install rabbitmq-server"):
        RabbitmqServer()


def test_a_given_server_is_never_stopped():
    with GivenServer("amqp://elsewhere/", variable="TEST_BROKER_URL") as server:
        for control in (server.start, server.stop, server.kill, server.ctl):
            with pytest.raises(GivenServerError, match="TEST_BROKER_URL"):
                control()


async def _query(server: PostgresqlServer, statement: str) -> Any:
    connection = await asyncpg.connect(server.url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def _publish(server: RabbitmqServer, body: bytes, *, queue: str) -> None:
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue)


async def _get(server: RabbitmqServer, *, queue: str) -> bytes:
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        message = await (await channel.get_queue(queue)).get()
        await message.ack()
        return message.body


def _owner_of(kind: str) -> subprocess.Popen[str]:
    start = f"from asynctestkit.servers import {kind}; server = {kind}(); server.start()"
    script = f"{start}; print(server._port, server._folder, flush=True); input()"
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _descendants() -> set[psutil.Process]:
    return {child for child in psutil.Process().children(recursive=True) if _lives(child)}


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
