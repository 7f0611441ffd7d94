"""Callers and sites are told of tasks' ends, by signed calls that are tried for three days."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from asyncapiproxy import NotFoundError
from asyncexecutor.executor import run_executor
from asyncexecutor.settings import ExecutorSettings
from asynctasks.callbacks.allow import AllowedUrls
from asynctasks.callbacks.scheme import PUBLIC_PREFIX, key_bytes, signed_content
from asynctasks.callbacks.signing import SigningKeys, new_signing_key
from asynctasks.connections import connect
from asynctasks.errors import OperationsFileError, SettingsError
from asynctasks.instants import utc_now
from asynctasks.json_values import read_json
from asynctasks.operations import delivery_operation
from asynctasks.operations.callback import Callback
from asynctasks.operations.delivery_operation import DELIVERY
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.operations_file import parse_operations
from asynctestkit.calls import PROBLEMS, finished_task
from asynctestkit.either_client import KINDS, Kind, either_client
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, inside, operation, serving_app, status
from asynctestkit.releasing import set_row

KEY = new_signing_key()


@dataclass
class Receiver:
    """Answers 204 to every callback, or what the test puts in `statuses`, the first first."""

    url: str = ""
    statuses: list[int] = field(default_factory=list[int])
    came: list[tuple[dict[str, str], bytes]] = field(
        default_factory=list[tuple[dict[str, str], bytes]]
    )

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.came.append(
            ({name.lower(): value for name, value in request.headers.items()}, await request.read())
        )
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)

    async def events(self, count: int) -> list[dict[str, Any]]:
        """What it was told, once there was so much."""

        def there() -> None:
            assert len(self.came) >= count

        await eventually(there)
        return [read_json(body) for _, body in self.came]


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("POST", "/{path:.*}", receiver.answer)
    async with serving_app(app) as receiver.url:
        yield receiver


@asynccontextmanager
async def telling(
    database_url: str, *, callbacks: dict[str, Any] | None = None, **given: Any
) -> AsyncGenerator[tuple[Inside, httpx.AsyncClient, Receiver]]:
    """An installation that may call the receiver, a caller of it, and that.

    With `callbacks` the operation tells the receiver's /erp of each end.
    """
    settings = {
        "callback_networks": "127.0.0.0/8",
        "callback_keys": KEY,
        "relay_interval_seconds": 0.05,
        "database_url": database_url,
        "broker_url": "memory://",
        **given,
    }
    async with receiving() as receiver:
        settings["callback_allow"] = receiver.url
        told = {} if callbacks is None else {"url": f"{receiver.url}/erp", **callbacks}
        declared = operation(callbacks=told or None)
        async with inside(declared, DELIVERY, **settings) as installation:
            proxy = await installation.proxy()
            await installation.executor()
            await installation.executor(queue="callbacks")
            yield installation, await installation.client(proxy), receiver


async def test_a_caller_is_told_of_the_end_by_a_signed_event(database_url: str):
    async with telling(database_url, public_url="https://tasks.example.com") as (
        _,
        client,
        receiver,
    ):
        headers = {**ASYNC, "Task-Callback": f"{receiver.url}/hook", "Task-Labels": "order=7"}
        accepted = await client.post("/create-client", json={"name": "Ann"}, headers=headers)
        [event] = await receiver.events(1)
        task = await finished_task(client, accepted.json()["id"])
        keys = (await client.get("/.well-known/jwks.json")).json()["keys"]
    assert event == {
        "specversion": "1.0",
        "id": event["id"],
        "source": "https://tasks.example.com/operations/create-client",
        "type": "dev.asyncapiproxy.task.succeeded",
        "subject": task["id"],
        "time": event["time"],
        "datacontenttype": "application/json",
        "data": {
            "id": task["id"],
            "operation": "create-client",
            "status": "succeeded",
            "labels": {"order": "7"},
            "attempt": 1,
            "createdAt": event["data"]["createdAt"],
            "finishedAt": event["time"],
            "links": {
                "self": f"https://tasks.example.com/tasks/{task['id']}",
                "response": f"https://tasks.example.com/tasks/{task['id']}/response",
            },
        },
    }
    headers, body = receiver.came[0]
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["webhook-id"] == event["id"]
    kind, _, signature = headers["webhook-signature"].partition(",")
    assert kind == "v1a"
    _verify(headers, body, signature)
    public = SigningKeys.of([KEY]).public_jwks()["keys"]
    assert keys == public
    assert [key["kty"] for key in keys] == ["OKP"]


def _verify(headers: dict[str, str], body: bytes, signature: str) -> None:
    (public,) = SigningKeys.of([KEY]).public_keys
    raw = key_bytes(public, PUBLIC_PREFIX)
    assert raw is not None
    Ed25519PublicKey.from_public_bytes(raw).verify(
        b64decode(signature),
        signed_content(headers["webhook-id"], headers["webhook-timestamp"], body),
    )


async def test_a_site_is_told_of_what_it_wants_to_hear_with_the_answer(sqlite_url: str):
    wanted = {"events": ["succeeded"], "include": "response"}
    async with telling(sqlite_url, callbacks=wanted) as (installation, client, receiver):
        installation.upstream.will(status(404))
        assert (await client.post("/create-client", json={})).status_code == 404
        assert (await client.post("/create-client", json={})).status_code == 201
        [event] = await receiver.events(1)
    assert event["type"] == "dev.asyncapiproxy.task.succeeded"
    assert event["data"]["response"] == {
        "status": 201,
        "contentType": "application/json; charset=utf-8",
        "body": {"number": 2},
    }


async def test_a_receiver_that_fails_is_called_again_under_the_same_id(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(delivery_operation, "WAITS_SECONDS", (0.1,) * 9)
    async with telling(sqlite_url) as (_, client, receiver):
        receiver.statuses = [500, 302, 204]
        task_id = (await _called(client, receiver)).headers["task-id"]
        await receiver.events(3)
        [delivery] = await _delivered(client, task_id)
    assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 1
    assert len({body for _, body in receiver.came}) == 1
    assert delivery["id"] == receiver.came[0][0]["webhook-id"]
    assert [one["responseStatus"] for one in delivery["attempts"]] == [500, 302, 204]
    assert delivery["attempts"][1]["detail"] == (
        "The receiver answered 302. Redirects are not followed."
    )


async def test_it_is_tried_ten_times_over_three_days_by_a_clock_that_is_turned(
    parts: Any, database_url: str
):
    waits: list[timedelta] = []
    async with telling(database_url) as (_, client, receiver):
        receiver.statuses = [503] * 11
        task_id = (await _called(client, receiver)).headers["task-id"]
        for tries in range(1, 10):
            delivery = await _tried(client, task_id, tries)
            failed_at = datetime.fromisoformat(delivery["attempts"][-1]["finishedAt"])
            waits.append(datetime.fromisoformat(delivery["nextAttemptAt"]) - failed_at)
            await set_row(
                parts, UUID(delivery["id"]), run_after=utc_now(), next_publish_at=utc_now()
            )
        [delivery] = await _delivered(client, task_id)
    assert (delivery["status"], len(delivery["attempts"]), len(receiver.came)) == ("failed", 10, 10)
    for wait, seconds in zip(waits, delivery_operation.WAITS_SECONDS, strict=True):
        assert 0.89 * seconds < wait.total_seconds() < 1.11 * seconds + 1
    assert timedelta(days=2.8) < sum(waits, timedelta()) < timedelta(days=3.6)


async def _called(client: httpx.AsyncClient, receiver: Receiver, **headers: str) -> httpx.Response:
    callback = {"Task-Callback": f"{receiver.url}/hook"}
    return await client.post("/create-client", json={}, headers={**callback, **headers})


async def _delivered(client: httpx.AsyncClient, task_id: str) -> list[dict[str, Any]]:
    """The task's deliveries once all have ended."""
    found: list[dict[str, Any]] = []

    async def ended() -> None:
        nonlocal found
        found = (await client.get(f"/tasks/{task_id}/deliveries")).json()["deliveries"]
        assert found
        assert all(one["finishedAt"] for one in found)

    await eventually(ended)
    return found


async def _tried(client: httpx.AsyncClient, task_id: str, tries: int) -> dict[str, Any]:
    """The task's one delivery once it waits after so many tries."""

    async def waits() -> dict[str, Any]:
        [found] = (await client.get(f"/tasks/{task_id}/deliveries")).json()["deliveries"]
        assert (found["status"], len(found["attempts"])) == ("queued", tries)
        return found

    return await eventually(waits)


async def test_a_receiver_that_is_gone_is_called_no_more(sqlite_url: str):
    async with telling(sqlite_url) as (_, client, receiver):
        receiver.statuses = [410]
        task_id = (await _called(client, receiver)).headers["task-id"]
        [delivery] = await _delivered(client, task_id)
        failed = (await client.get("/tasks", params={"status": "failed"})).json()["tasks"]
    assert delivery["status"] == "failed"
    assert [one["responseStatus"] for one in delivery["attempts"]] == [410]
    assert [(one["operation"], one["error"]["type"]) for one in failed] == [
        ("callback", f"{PROBLEMS}callback-gone")
    ]


async def test_a_cancel_and_a_failure_are_told_as_well(sqlite_url: str):
    async with telling(sqlite_url) as (installation, client, receiver):
        installation.upstream.will(status(404))
        await _called(client, receiver)
        accepted = await _called(client, receiver, **ASYNC, **{"Task-Delay": "60"})
        await client.post(f"/tasks/{accepted.json()['id']}/cancel")
        events = await receiver.events(2)
    assert [event["data"]["status"] for event in events] == ["failed", "cancelled"]


async def test_an_end_is_told_once_more_by_hand(sqlite_url: str):
    async with telling(sqlite_url) as (_, client, receiver):
        task_id = (await _called(client, receiver)).headers["task-id"]
        await _delivered(client, task_id)
        again = await client.post(f"/tasks/{task_id}/deliveries/1/redeliver")
        first, second = await _delivered(client, task_id)
        tasks = [(await client.get(f"/tasks/{each['taskId']}")).json() for each in (first, second)]
        await receiver.events(2)
        unknown = [
            await client.post(f"/tasks/{task_id}/deliveries/{number}/redeliver")
            for number in ("3", "0", "-1", "one", "9" * 40)
        ]
        nobodys = await client.get(f"/tasks/{'0' * 32}/deliveries")
    assert again.status_code == 202
    assert again.headers["location"] == f"/tasks/{task_id}/deliveries"
    assert (again.json()["number"], again.json()["status"]) == (2, "queued")
    assert (first["number"], second["number"]) == (1, 2)
    assert first["id"] == second["id"] == first["taskId"] != second["taskId"]
    assert [task["operation"] for task in tasks] == ["callback", "callback"]
    (headers, body), (headers_again, body_again) = receiver.came
    assert (headers["webhook-id"], body) == (headers_again["webhook-id"], body_again)
    assert {answer.json()["type"] for answer in unknown} == {f"{PROBLEMS}delivery-not-found"}
    assert (nobodys.status_code, nobodys.json()["type"]) == (404, f"{PROBLEMS}task-not-found")


@pytest.mark.parametrize("kind", KINDS)
async def test_programs_see_who_is_told_and_have_it_told_once_more(sqlite_url: str, kind: Kind):
    async with (
        telling(sqlite_url) as (_, client, receiver),
        either_client(kind, str(client.base_url)) as programs,
    ):
        hook = f"{receiver.url}/hook"
        task = await programs.submit("create-client", {"name": "Ann"}, callback=hook)
        await _delivered(client, task.id)
        (told,) = await task.deliveries()
        again = await task.redeliver(told.number)
        await receiver.events(2)
        with pytest.raises(NotFoundError):
            await task.redeliver(3)
        untold = await programs.submit("create-client", {"name": "Ann"})
        assert await untold.deliveries() == ()
    assert (told.url, told.event, told.status) == (hook, "succeeded", "succeeded")
    assert [attempt["responseStatus"] for attempt in told.attempts] == [204]
    assert (again.number, again.status, again.id) == (2, "queued", told.id)
    assert [headers["webhook-id"] for headers, _ in receiver.came] == [told.id] * 2


async def test_the_answer_of_another_run_is_not_told_with_an_earlier_end(sqlite_url: str):
    async with telling(sqlite_url) as (installation, client, receiver):
        named = {"erp": Callback(url=f"{receiver.url}/erp", include="response")}
        installation.operations["create-client"].knows_callbacks(named)
        installation.upstream.will(status(404))
        failed = await client.post("/create-client", json={}, headers={"Task-Callback": "erp"})
        await receiver.events(1)
        task_id = failed.headers["task-id"]
        await client.post(f"/tasks/{task_id}/retry")
        await receiver.events(2)
        await client.post(f"/tasks/{task_id}/deliveries/1/redeliver")
        first, second, again = await receiver.events(3)
    assert first["data"]["response"]["status"] == 404
    assert second["data"]["response"]["status"] == 201
    assert (again["data"]["status"], again["data"]["response"]) == ("failed", None)


REFUSED = {
    "https://elsewhere.example.com/": "a URL that this installation may call",
    "ftp://127.0.0.1/": "a URL that begins with https:// or http://",
    "erp": (
        "a URL that begins with https:// or http://, or a name of `callbacks` in the operations "
        "file"
    ),
    "": (
        "a URL that begins with https:// or http://, or a name of `callbacks` in the operations "
        "file"
    ),
}


async def test_what_may_not_be_called_is_refused_before_there_is_a_task(sqlite_url: str):
    async with telling(sqlite_url) as (_, client, receiver):
        for asked, expected in REFUSED.items():
            answer = await client.post("/create-client", json={}, headers={"Task-Callback": asked})
            assert answer.status_code == 400
            assert answer.json()["detail"] == f"Task-Callback: expected {expected}."
        assert (await client.get("/tasks")).json()["tasks"] == []
    assert receiver.came == []


async def test_where_nothing_may_be_called_callbacks_are_off(sqlite_url: str):
    given = {"database_url": sqlite_url, "broker_url": "memory://"}
    async with inside(operation(), **given) as installation:
        client = await installation.client(await installation.proxy())
        headers = {"Task-Callback": "https://erp.example.com"}
        answer = await client.post("/create-client", json={}, headers=headers)
        keys = (await client.get("/.well-known/jwks.json")).json()
    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "Task-Callback: expected none: this installation makes no callbacks."
    )
    assert keys == {"keys": []}


async def test_nobody_calls_the_operation_of_deliveries(sqlite_url: str):
    async with telling(sqlite_url) as (_, client, _receiver):
        answer = await client.post("/callbacks", json={})
        document = (await client.get("/openapi.json")).json()
    assert answer.status_code == 404
    assert "/callbacks" not in document["paths"]


async def test_an_executor_that_could_not_sign_does_not_start(sqlite_url: str):
    given = {"callback_allow": "https://*.example.com", "callback_keys": ""}
    async with AsyncExitStack() as stack:
        settings = {"database_url": sqlite_url, "broker_url": "memory://", **given}
        read = ExecutorSettings.read(settings)
        operations = {DELIVERY.name: DELIVERY}
        connections = await stack.enter_async_context(connect(read, operations))
        with pytest.raises(SettingsError, match="ASYNCAPIPROXY_CALLBACK_KEYS is not set"):
            await run_executor(
                read,
                LiveOperations(operations),
                connections,
                queue="callbacks",
                environment={},
                stop=asyncio.Event(),
            )


def test_a_file_may_not_name_what_may_not_be_called():
    operations = parse_operations(
        """
callbacks:
  erp: {url: https://erp.example.com/hooks}
  crm: {url: https://crm.example.com/hooks}
operations:
  create-client:
    route: POST /clients
    upstream: {url: https://a.example.com}
    callbacks: {url: https://other.example.com}
""",
        name="file",
    )
    with pytest.raises(OperationsFileError) as refused:
        delivery_operation.with_deliveries(operations, AllowedUrls.of(["https://erp.example.com"]))
    expected = "expected a URL that this installation may call (ASYNCAPIPROXY_CALLBACK_ALLOW)"
    assert str(refused.value).splitlines() == [
        f"file:9: operations.create-client.callbacks.url: {expected}",
        f"callbacks.crm.url: {expected}",
    ]
