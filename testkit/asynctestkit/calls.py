"""What a caller of the proxy does, in the words of a test."""

import itertools
from typing import Any

import httpx

from asynctestkit.eventually import PATIENCE_SECONDS, eventually

JSON = {"Content-Type": "application/json"}
PROBLEMS = "https://asyncapiproxy.dev/problems/"
"""What the type of each problem begins with."""
_numbers = itertools.count(1)


def caller(url: str) -> httpx.AsyncClient:
    """A caller with the patience of any wait window, and no proxy of this machine's in between.

    Without certificates: to load those took longer than most tests.
    """
    return httpx.AsyncClient(
        base_url=url, timeout=2 * PATIENCE_SECONDS, trust_env=False, verify=False
    )


def new_email(local_part: str = "ann") -> str:
    """An address that no other test has; `slow+1` and its like ask for what they say."""
    return f"number-{next(_numbers)}.{local_part}@example.com"


async def create_client(
    client: httpx.AsyncClient,
    email: str,
    *,
    prefer: str | None = None,
    key: str | None = None,
    **more: Any,
) -> httpx.Response:
    """POST /clients/ with a name, and whatever else is given; `key` is the Idempotency-Key."""
    given = {"Prefer": prefer, "Idempotency-Key": key}
    headers = {name: value for name, value in given.items() if value is not None}
    arguments = {"email": email, "name": "Ann", **more}
    return await client.post("/clients/", json=arguments, headers=headers)


async def get_task(client: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    answer = await client.get(f"/task/{task_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def has_status(client: httpx.AsyncClient, task_id: str, expected: str) -> dict[str, Any]:
    """The task once it has that status."""

    async def check() -> dict[str, Any]:
        task = await get_task(client, task_id)
        assert task["status"] == expected, task
        return task

    return await eventually(check)


async def finished_task(
    client: httpx.AsyncClient, task_id: str, *, timeout_seconds: float = PATIENCE_SECONDS
) -> dict[str, Any]:
    """The task once it is done."""

    async def done() -> dict[str, Any]:
        task = await get_task(client, task_id)
        assert task["done"], task
        return task

    return await eventually(done, timeout_seconds=timeout_seconds)
