"""How proxies and executors on PostgreSQL and RabbitMQ start, refuse to start, and leave."""

import asyncio
import signal
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from asynctestkit.calls import caller, create_client, finished_task, get_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.processes import Installation, Keep, Service, start_all


@pytest.fixture
def installation(install: Callable[..., Installation]) -> Installation:
    return install(lease_seconds=2, publish_grace_seconds=2)


async def _is_running(proxy: Service, task_id: str) -> None:
    async with caller(proxy.url) as client:
        assert (await get_task(client, task_id))["status"] == "running"


async def test_an_executor_that_is_asked_to_stop_finishes_the_attempt_in_hand(
    installation: Installation, keep: Keep
):
    proxy, executor = installation.proxy(), installation.executor()
    start_all(keep, proxy, executor, installation.demo_api())
    async with caller(proxy.url) as client:
        accepted = await create_client(client, new_email("slow+1"), prefer="respond-async")
        task_id = accepted.headers["task-id"]
        await eventually(lambda: _is_running(proxy, task_id))

        assert executor.stop() == 0

        task = await get_task(client, task_id)
    assert (task["status"], task["attempt"]) == ("succeeded", 1)
    assert executor.faults == []


async def test_an_attempt_longer_than_the_drain_is_given_to_another_executor(
    installation: Installation, keep: Keep
):
    proxy, executor = installation.proxy(), installation.executor(drain_seconds=0.5)
    other = installation.executor("other-executor")
    start_all(keep, proxy, executor, installation.demo_api())
    async with caller(proxy.url) as client:
        accepted = await create_client(client, new_email("slow+6"), prefer="respond-async")
        task_id = accepted.headers["task-id"]
        await eventually(lambda: _is_running(proxy, task_id))
        asked_at = time.monotonic()

        assert executor.stop() == 0

        assert time.monotonic() - asked_at < 15
        # Not before: on a busy machine the attempt might have ended until it is there.
        start_all(keep, other)
        task = await finished_task(client, task_id)
    assert (task["status"], task["attempt"]) == ("succeeded", 2)
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["given back", "succeeded"]


async def test_the_task_of_a_killed_executor_is_finished_by_another(
    installation: Installation, keep: Keep
):
    proxy, executor = installation.proxy(), installation.executor()
    other = installation.executor("other-executor")
    start_all(keep, proxy, executor, installation.demo_api())
    async with caller(proxy.url) as client:
        accepted = await create_client(client, new_email("slow+2"), prefer="respond-async")
        task_id = accepted.headers["task-id"]
        await eventually(lambda: _is_running(proxy, task_id))

        executor.kill()

        start_all(keep, other)
        task = await finished_task(client, task_id)
    assert (task["status"], task["attempt"]) == ("succeeded", 2)


async def test_a_proxy_that_is_asked_to_stop_lets_its_caller_go_with_the_task(
    installation: Installation, keep: Keep
):
    proxy, executor = installation.proxy(), installation.executor()
    start_all(keep, proxy, executor, installation.demo_api())
    async with caller(proxy.url) as client:
        call = create_client(client, new_email("slow+20"), prefer="wait=20")
        answer, _ = await asyncio.gather(call, _stop_when_busy(proxy))

    assert answer.status_code == 202
    assert "task-id" in answer.headers
    assert proxy.wait(15) == 0  # before the window would have ended
    assert proxy.faults == []


async def _stop_when_busy(proxy: Service) -> None:
    async def busy() -> None:
        async with caller(proxy.url) as client:
            assert '"running"' in (await client.get("/tasks?status=running")).text

    await eventually(busy)
    proxy.signal(signal.SIGTERM)


@pytest.mark.parametrize("kind", ["proxy", "executor"])
def test_without_migration_a_service_says_what_to_run(
    installation: Installation, empty_database_url: str, keep: Keep, kind: str
):
    build = getattr(installation, kind)
    service = keep(build(database_url=empty_database_url))

    assert service.launch().wait() == 1

    assert "asyncapiproxy migrate" in service.log
    assert service.faults == []


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("proxy", {"broker_url": "memory://"}, "memory:// joins nothing across processes"),
        ("proxy", {"broker_url": "http://x"}, "ASYNCAPIPROXY_BROKER_URL: expected amqp://"),
        ("proxy", {"sealing_keys": ""}, "sealing"),
        ("executor", {"sealing_keys": ""}, "sealing"),
        ("executor", {"queue": "other"}, "the queues are: clients"),
    ],
)
def test_wrong_settings_are_told_in_one_message(
    installation: Installation, keep: Keep, kind: str, settings: dict[str, str], said: str
):
    service = keep(getattr(installation, kind)(**settings))

    assert service.launch().wait() == 2

    assert said in service.log
    assert service.faults == []


def test_a_service_starts_and_stops_without_broker(installation: Installation, keep: Keep):
    nowhere = f"amqp://guest:guest@127.0.0.1:1/{uuid4().hex}"
    proxy = keep(installation.proxy(broker_url=nowhere)).start()

    assert proxy.stop() == 0
    assert proxy.faults == []


async def test_a_proxy_that_lingers_serves_on_and_asks_callers_to_connect_anew(
    installation: Installation, keep: Keep
):
    proxy = installation.proxy(linger_seconds=3)
    start_all(keep, proxy)
    async with caller(proxy.url) as client:
        assert "connection" not in (await client.get("/ping")).headers

        proxy.signal(signal.SIGTERM)

        async def asked() -> None:
            answer = await client.get("/ping")
            assert answer.status_code == 200
            assert answer.headers.get("connection") == "close"

        await eventually(asked, timeout_seconds=2.5)
        # That one was closed; there is still a new one to be had.
        await asked()
    assert proxy.wait() == 0
    assert proxy.faults == []
