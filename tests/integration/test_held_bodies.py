"""What a proxy holds of the bodies that callers send."""

import asyncio
from typing import Any

import httpx
from sqlalchemy import text

from asyncproxy.metrics import HELD_BODY_BYTES, PARKED_CALLERS
from asynctasks.operations.new_task import NewTask
from asynctestkit.calls import PROBLEMS
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, inside
from asynctestkit.new_objects import new_objects, only_new_objects

JSON = {"Content-Type": "application/json"}


def body(size: int, name: str = "Ann") -> bytes:
    return b'{"name":"%s","filler":"%s"}' % (name.encode(), b"x" * size)


async def test_bodies_that_wait_for_the_database_are_bounded_and_others_told_503(sqlite_url: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", max_held_body_bytes=100_000
    ) as installation:
        proxy = await installation.proxy()
        client = await installation.client(proxy)

        async def post() -> httpx.Response:
            return await client.post(
                "/create-client", content=body(60_000), headers={**JSON, **ASYNC}
            )

        async with proxy.connections.database.write() as connection:
            await connection.execute(text("UPDATE tasks SET version = version"))
            first = asyncio.ensure_future(post())

            def is_held() -> None:
                assert HELD_BODY_BYTES._value.get() > 60_000

            await eventually(is_held)
            refused = await post()
            assert (refused.status_code, refused.json()["type"]) == (503, f"{PROBLEMS}overloaded")
            assert refused.headers["retry-after"] == "1"
        assert (await first).status_code == 202
        assert HELD_BODY_BYTES._value.get() == 0
        assert (await post()).status_code == 202


async def test_nothing_of_the_arguments_is_held_while_a_caller_waits(installation: Inside):
    client = await installation.client(await installation.proxy())
    headers = {**JSON, "Idempotency-Key": "a", "Prefer": "wait=60"}
    parked: Any = PARKED_CALLERS
    before = parked._value.get()
    with only_new_objects():
        calls = [
            asyncio.ensure_future(
                client.post("/create-client", content=body(10, "Marked"), headers=headers)
            )
            for _ in range(2)  # the second joins the first
        ]

        def both_only_wait() -> None:
            assert (parked._value.get(), HELD_BODY_BYTES._value.get()) == (before + 2, 0)
            waiting = [one for one in new_objects() if isinstance(one, NewTask)]
            assert [one.arguments for one in waiting] == [None, None]

        await eventually(both_only_wait)
        held: list[Any] = [one for one in new_objects() if type(one) is dict]
        assert [one for one in held if one.get("name") == "Marked"] == []
        assert HELD_BODY_BYTES._value.get() == 0
        await installation.executor()
        assert [answer.status_code for answer in await asyncio.gather(*calls)] == [201, 201]
