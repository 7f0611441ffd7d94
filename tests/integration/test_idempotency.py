"""Idempotency-Key: one task however often it is asked for, and the same answer each time."""

import asyncio
from typing import Any

import httpx
import pytest

from asynctasks.metrics import exposition
from asynctasks.operations.sealing import new_sealing_key
from asynctestkit.calls import caller, finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import KEY, Inside, held, inside, one_of_each, status

REUSED = "https://asyncapiproxy.dev/problems/idempotency-key-reused"


async def post(
    client: httpx.AsyncClient,
    key: str = "one",
    *,
    path: str = "/create-client",
    prefer: str = "wait=10",
    **arguments: Any,
) -> httpx.Response:
    headers = {"Idempotency-Key": key, "Prefer": prefer}
    return await client.post(path, json=arguments, headers=headers)


@pytest.mark.parametrize(
    ("code", "expected"), [(201, 201), (404, 404), (409, 409), (500, 502), (501, 502)]
)
async def test_a_repeat_gets_the_first_answer_whatever_it_was(
    installation: Inside, code: int, expected: int
):
    client = await one_of_each(installation)
    installation.upstream.will(*[status(code)] * 3)
    first = await post(client, name="Ann")
    repeat = await post(client, name="Ann")
    assert (first.status_code, repeat.status_code) == (expected, expected)
    assert repeat.content == first.content
    for header in ("content-type", "task-id"):
        assert repeat.headers[header] == first.headers[header]
    assert "idempotency-replayed" not in first.headers
    assert repeat.headers["idempotency-replayed"] == "true"
    assert set(installation.upstream.keys) == {first.headers["task-id"]}
    assert len(installation.upstream.keys) == (3 if code == 500 else 1)


async def test_a_repeat_while_it_runs_waits_with_the_first(
    installation: Inside,
):
    client = await one_of_each(installation)
    may_end = asyncio.Event()
    installation.upstream.will(held(may_end))
    first = asyncio.ensure_future(post(client))

    def running() -> None:
        assert installation.upstream.keys

    def all_held() -> None:
        assert b"\nasyncapiproxy_parked_callers 6.0\n" in exposition()[0]

    await eventually(running)
    impatient = await post(client, prefer="wait=0")
    assert (impatient.status_code, impatient.json()["status"]) == (202, "running")
    repeats = [asyncio.ensure_future(post(client)) for _ in range(5)]
    await eventually(all_held)
    assert not any(call.done() for call in (first, *repeats))
    may_end.set()
    answers = await asyncio.gather(first, *repeats)
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (201, answers[0].content)
    }
    # One that is held may first look when the task has just ended: that is a replay.
    told = [
        [answer.headers.get(f"idempotency-{how}") for how in ("joined", "replayed")]
        for answer in answers
    ]
    assert told[0] == [None, None]
    assert all(sorted(each, key=str) == [None, "true"] for each in told[1:])
    assert impatient.headers["idempotency-joined"] == "true"
    assert len(installation.upstream.keys) == 1


@pytest.mark.parametrize(
    "other", [{"name": "Bob"}, {}, {"name": "Ann", "password": "another one"}, {"name": "Ann "}]
)
async def test_a_key_of_other_arguments_is_refused(installation: Inside, other: dict[str, str]):
    client = await one_of_each(installation)
    first = await post(client, name="Ann", password="one of mine")
    refused = await post(client, **other)
    assert (refused.status_code, refused.json()["type"]) == (422, REUSED)
    assert "task-id" not in refused.headers
    assert "mine" not in refused.text
    same = await post(client, password="one of mine", name="Ann")
    assert same.headers["task-id"] == first.headers["task-id"]


async def test_a_key_is_its_operations_alone(installation: Inside):
    client = await one_of_each(installation)
    one, other = await post(client), await post(client, path="/other")
    assert one.headers["task-id"] != other.headers["task-id"]


async def test_a_key_is_the_same_quoted_and_bare(installation: Inside):
    client = await one_of_each(installation)
    quoted, bare = await post(client, '"one"'), await post(client, "one")
    assert quoted.headers["task-id"] == bare.headers["task-id"]
    refused = await post(client, "k" * 256)
    assert refused.status_code == 400


async def test_calls_without_a_key_or_with_others_are_tasks_of_their_own(installation: Inside):
    client = await one_of_each(installation)
    answers = [await post(client, f"key-{n}") for n in range(3)]
    answers += [await client.post("/create-client", json={}) for _ in range(2)]
    assert len({answer.headers["task-id"] for answer in answers}) == 5


async def test_a_repeat_of_a_cancelled_task_is_told_so(installation: Inside):
    client = await installation.client(await installation.proxy())
    task_id = (await post(client, prefer="respond-async")).headers["task-id"]
    await client.post(f"/tasks/{task_id}/cancel")
    repeat = await post(client)
    assert (repeat.status_code, repeat.headers["idempotency-replayed"]) == (409, "true")


async def test_a_repeat_after_the_sealing_key_was_rotated_is_still_one(
    postgresql_url: str, amqp_url: str, queue_prefix: str
):
    async with inside(
        database_url=postgresql_url, broker_url=amqp_url, broker_prefix=f"{queue_prefix}i"
    ) as installation:
        before = await installation.proxy()
        after = await installation.proxy(sealing_keys=f"{new_sealing_key()},{KEY}")
        await installation.executor()
        first = await post(await installation.client(before), password="correct horse")
        client = await installation.client(after)
        repeat = await post(client, password="correct horse")
        assert first.status_code == 201
        assert repeat.headers["task-id"] == first.headers["task-id"]
        refused = await post(client, password="wrong horse!")
        assert refused.status_code == 422


async def test_fifty_equal_calls_at_once_to_two_proxies_are_one_task_and_one_upstream_call(
    postgresql_url: str, amqp_url: str, queue_prefix: str
):
    async with inside(
        database_url=postgresql_url, broker_url=amqp_url, broker_prefix=f"{queue_prefix}f"
    ) as installation:
        proxies = [await installation.proxy(), await installation.proxy()]
        for _ in range(2):
            await installation.executor()
        async with caller(proxies[0].url) as one, caller(proxies[1].url) as other:
            answers = await asyncio.gather(
                *(post(one if n % 2 else other, name="Ann") for n in range(50))
            )
            assert {answer.status_code for answer in answers} == {201}
            assert len({answer.headers["task-id"] for answer in answers}) == 1
            assert len({answer.content for answer in answers}) == 1
            task = await finished_task(one, answers[0].headers["task-id"])
        assert (task["attempt"], len(installation.upstream.keys)) == (1, 1)
