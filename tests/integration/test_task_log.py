"""A line for each task that ends or is tried again, and for each request where asked for."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest

from asyncproxy.access.principal import Principal
from asynctasks.logs import REQUESTS, TASKS
from asynctestkit.callers import access, proof
from asynctestkit.calls import has_status
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.inside import Inside, accepted, inside, one_of_each, operation, slow, status

ANN = Principal(name="ann", tenant="acme")
SECRET = "hunter2"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"}


@pytest.fixture
async def installation(sqlite_url: str) -> AsyncIterator[Inside]:
    given = {"database_url": sqlite_url, "broker_url": "memory://"}
    async with inside(operation(), **given, relay_interval_seconds=0.1) as found:
        yield found


class Lines(logging.Handler):
    """What was told by one logger."""

    def __init__(self, logger: str) -> None:
        super().__init__()
        self._logger = logging.getLogger(logger)
        self.told: list[dict[str, Any]] = []
        self.levels: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told: Any = record.msg
        self.told.append(told)
        self.levels.append(logging.getLevelName(record.levelno))

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(logging.NOTSET)

    async def of(self, task_id: str, *events: str) -> list[dict[str, Any]]:
        """The lines of a task, once these are told of it."""

        def found() -> list[dict[str, Any]]:
            lines = [told for told in self.told if told.get("task_id") == task_id]
            assert [told["event"] for told in lines] == list(events)
            return lines

        return await eventually(found)


async def test_a_task_that_succeeds_is_one_line_with_who_asked_for_it(installation: Inside):
    proxy = await installation.proxy(access=access([ANN]))
    await installation.executor()
    client = await installation.client(proxy)
    with Lines(TASKS) as lines:
        answer = await client.post(
            "/create-client",
            json={"name": SECRET, "password": SECRET},
            headers={**proof(ANN), **TRACED},
        )
        (told,) = await lines.of(answer.headers["task-id"], "task succeeded")
    seconds = told.pop("seconds")
    assert 0 <= seconds < PATIENCE_SECONDS
    assert told == {
        "event": "task succeeded",
        "task_id": answer.headers["task-id"],
        "operation": "create-client",
        "status": "succeeded",
        "attempt": 1,
        "principal": "ann",
        "response_status": 201,
        "trace_id": TRACE,
    }


async def test_each_attempt_that_is_followed_by_another_is_told(installation: Inside):
    client = await one_of_each(installation)
    installation.upstream.will(status(503), *[status(500)] * 2)
    with Lines(TASKS) as lines:
        answer = await client.post("/create-client", json={})
        told = await lines.of(
            answer.headers["task-id"], "task retried", "task retried", "task failed"
        )
    assert [line["status"] for line in told] == ["queued", "queued", "failed"]
    assert [line["attempt"] for line in told] == [1, 2, 3]
    assert told[-1]["error"] == "upstream-failed"
    assert lines.levels == ["INFO", "INFO", "WARNING"]


async def test_a_cancelled_and_an_expired_task_are_told_by_whoever_ended_them(
    installation: Inside,
):
    client = await one_of_each(installation)
    installation.upstream.will(slow(PATIENCE_SECONDS))
    with Lines(TASKS) as lines:
        queued = await accepted(client, **{"Task-Delay": "3600"}, **TRACED)
        assert (await client.post(f"/tasks/{queued}/cancel")).status_code == 200
        running = await accepted(client)
        await has_status(client, running, "running")
        assert (await client.post(f"/tasks/{running}/cancel")).status_code == 202
        (ended,) = await lines.of(queued, "task cancelled")
        await lines.of(running, "task cancelled")
        late = await accepted(client, **{"Task-Deadline": "0.2", "Task-Delay": "0.1"}, **TRACED)
        installation.upstream.will(slow(PATIENCE_SECONDS))
        (told,) = await lines.of(late, "task expired")
    assert told["error"] == "task-expired"
    assert told["trace_id"] == ended["trace_id"] == TRACE


async def test_a_request_is_a_line_where_that_is_asked_for(installation: Inside):
    proxy = await installation.proxy(request_log=True)
    await installation.executor()
    client = await installation.client(proxy)
    with Lines(REQUESTS) as lines:
        answer = await client.post("/create-client", json={"name": SECRET})
        await client.get("/tasks", params={"operation": SECRET})
        lines.told = [told for told in lines.told if told["path"] != "/ping"]
    first, second = lines.told
    assert 0 <= first.pop("seconds") < PATIENCE_SECONDS
    assert first == {
        "event": "request",
        "method": "POST",
        "path": "/create-client",
        "status": 201,
        "bytes": len(answer.content),
        "address": "127.0.0.1",
        "task_id": answer.headers["task-id"],
    }
    assert (second["path"], second["status"]) == ("/tasks", 200)
    assert SECRET not in str(lines.told)


async def test_who_leaves_before_the_answer_is_a_line_too(installation: Inside):
    client = await installation.client(await installation.proxy(request_log=True))
    with Lines(REQUESTS) as lines:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.post("/create-client", json={})

        def told() -> None:
            assert any(line["path"] == "/create-client" for line in lines.told)

        await eventually(told)


async def test_no_request_is_told_unless_that_is_asked_for(installation: Inside):
    client = await one_of_each(installation)
    with Lines(REQUESTS) as lines:
        await client.post("/create-client", json={})
    assert lines.told == []
