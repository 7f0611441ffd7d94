"""What callers see where one of two proxies dies while it holds their call."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from asynctestkit.balancers import Balancer, Haproxy, Nginx
from asynctestkit.calls import caller, create_client, new_email
from asynctestkit.eventually import eventually
from asynctestkit.processes import Keep, Service


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, keep_in_module: Keep) -> tuple[Service, Service]:
    """Two proxies for the tests of this module to kill."""
    installation = request.getfixturevalue("running").installation
    pair = (installation.proxy("third"), installation.proxy("fourth"))
    for proxy in pair:
        keep_in_module(proxy).launch()
    return pair


@asynccontextmanager
async def balanced(
    kind: type[Balancer], pair: tuple[Service, Service]
) -> AsyncGenerator[httpx.AsyncClient]:
    """A caller of a new balancer, which has seen neither of them fail."""
    for proxy in pair:
        if not proxy.is_running:
            proxy.launch()
        proxy.wait_until_ready()
    with kind(*(proxy.url for proxy in pair)) as balancer:
        async with caller(balancer.url) as client:
            yield client


async def test_a_post_through_nginx_is_a_502_at_once_and_its_repeat_joins_the_task(
    pair: tuple[Service, Service],
):
    email, mark = new_email("slow+9"), uuid4().hex
    arguments = {"email": email, "name": "Ann"}
    headers = {"Idempotency-Key": email, "Task-Labels": f"mark={mark}"}
    async with balanced(Nginx, pair) as client, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.post("/clients", json=arguments, headers=headers))
        await it_runs(pair[0], mark)
        await kill_the_holder(pair)
        async with asyncio.timeout(2):
            lost = await waiting
        repeated = await client.post("/clients", json=arguments, headers=headers)

    assert lost.status_code == 502
    assert (repeated.status_code, repeated.json()["email"]) == (201, email)
    assert repeated.headers["idempotency-joined"] == "true"


async def test_a_long_poll_through_nginx_goes_on_at_the_other_proxy(
    pair: tuple[Service, Service],
):
    async with balanced(Nginx, pair) as client, asyncio.TaskGroup() as tasks:
        async with caller(pair[0].url) as direct:
            accepted = await create_client(direct, new_email("slow+4"), prefer="wait=1")
        headers = {"Prefer": "wait=20", "If-None-Match": accepted.headers["etag"]}
        waiting = tasks.create_task(client.get(accepted.headers["location"], headers=headers))
        await kill_the_holder(pair, gauge="asyncapiproxy_connections")

    assert (waiting.result().status_code, waiting.result().json()["status"]) == (200, "succeeded")


async def test_a_post_without_a_key_is_not_repeated_by_haproxy(pair: tuple[Service, Service]):
    async with balanced(Haproxy, pair) as client:
        answer, tasks_made = await posted_to_a_dying_proxy(client, pair)

    assert (answer.status_code, tasks_made) == (502, 1)


async def test_a_post_with_a_key_is_repeated_by_haproxy_and_joins_its_task(
    pair: tuple[Service, Service],
):
    async with balanced(Haproxy, pair) as client:
        answer, tasks_made = await posted_to_a_dying_proxy(
            client, pair, **{"Idempotency-Key": uuid4().hex}
        )

    assert (answer.status_code, tasks_made) == (201, 1)
    assert answer.headers["idempotency-joined"] == "true"


async def posted_to_a_dying_proxy(
    client: httpx.AsyncClient, pair: tuple[Service, Service], **headers: str
) -> tuple[httpx.Response, int]:
    """The answer in the end, and how many tasks there are of this call."""
    mark = uuid4().hex
    headers["Task-Labels"] = f"mark={mark}"
    arguments = {"email": new_email("slow+9"), "name": "Ann"}
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.post("/clients", json=arguments, headers=headers))
        await it_runs(pair[0], mark)
        await kill_the_holder(pair)
    listed = await client.get("/tasks", params={"label": f"mark={mark}"})
    return waiting.result(), len(listed.json()["tasks"])


async def it_runs(proxy: Service, mark: str) -> None:
    """Wait until the task of that label runs.

    A proxy holds its caller already before the task is committed: one that is killed then leaves
    none to join.
    """

    async def runs() -> None:
        listed = await client.get("/tasks", params={"label": f"mark={mark}"})
        assert [task["status"] for task in listed.json()["tasks"]] == ["running"]

    async with caller(proxy.url) as client:
        await eventually(runs)


async def kill_the_holder(
    pair: tuple[Service, Service], *, gauge: str = "asyncapiproxy_parked_callers"
) -> None:
    """SIGKILL to the proxy that, by its gauge, holds a caller."""

    async def holder() -> Service:
        (found,) = [proxy for proxy in pair if await gauged(proxy, gauge)] or [None]
        assert found
        return found

    (await eventually(holder)).kill()


async def gauged(proxy: Service, gauge: str) -> float:
    async with caller(proxy.health_url) as client:
        metrics = (await client.get("/metrics")).text
    found = re.search(rf"^{gauge} (\S+)$", metrics, re.MULTILINE)
    assert found
    return float(found[1])
