"""What each proxy of another make lets through, with the configuration that the document gives."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from asyncproxy.settings import ProxySettings
from asynctestkit.balancers import BALANCERS, Balancer, documented_configuration
from asynctestkit.calls import PROBLEMS, caller, create_client, finished_task, get_task, new_email

BALANCED = [pytest.param(kind, id=kind.program) for kind in BALANCERS]


@pytest.fixture(scope="module", params=BALANCED)
def balancer(request: pytest.FixtureRequest) -> Iterator[Balancer]:
    running = request.getfixturevalue("running")
    with request.param(*running.urls) as balancer:
        yield balancer


@pytest.fixture
async def client(balancer: Balancer) -> AsyncIterator[httpx.AsyncClient]:
    """One that takes compressed answers, as most do."""
    async with caller(balancer.url) as client:
        assert "gzip" in client.headers["accept-encoding"]
        yield client


async def test_an_answer_arrives_as_the_upstream_gave_it(client: httpx.AsyncClient):
    email = new_email()

    answer = await create_client(client, email, name="Zoë 💡")

    assert (answer.status_code, answer.json()["email"]) == (201, email)
    assert answer.json()["name"] == "Zoë 💡"
    assert answer.headers["content-type"] == "application/json"
    assert (await get_task(client, answer.headers["task-id"]))["done"]


async def test_a_slow_call_becomes_a_task_that_is_found_where_location_says(
    client: httpx.AsyncClient,
):
    accepted = await create_client(client, new_email("slow+1"), prefer="wait=0")

    assert (accepted.status_code, accepted.headers["preference-applied"]) == (202, "wait=0")
    assert int(accepted.headers["retry-after"]) >= 1
    location = accepted.headers["location"]
    assert location == f"/tasks/{accepted.headers['task-id']}"
    assert (await client.get(location)).json()["id"] == accepted.json()["id"]
    await finished_task(client, accepted.json()["id"])
    response = await client.get(f"{location}/response")
    assert (response.status_code, response.json()["name"]) == (201, "Ann")


async def test_a_long_poll_waits_with_the_etag_that_its_caller_was_given(
    client: httpx.AsyncClient,
):
    task = f"/tasks/{await running_task(client, seconds=4)}"
    tag = (await client.get(task)).headers["etag"]

    began = time.monotonic()
    unchanged = await client.get(task, headers={"Prefer": "wait=1", "If-None-Match": tag})
    waited = time.monotonic() - began
    changed = await client.get(task, headers={"Prefer": "wait=20", "If-None-Match": tag})

    assert (unchanged.status_code, waited > 0.9) == (304, True)
    assert (changed.status_code, changed.json()["status"]) == (200, "succeeded")


async def test_equal_long_polls_are_answered_together(client: httpx.AsyncClient):
    task = f"/tasks/{await running_task(client, seconds=20)}"

    async with asyncio.timeout(3.5):  # where the others wait for the first, 4 s
        answers = await asyncio.gather(
            *(client.get(task, headers={"Prefer": "wait=2"}) for _ in range(4))
        )

    assert [answer.json()["status"] for answer in answers] == ["running"] * 4
    await client.post(f"{task}/cancel")


async def test_events_arrive_as_they_happen(client: httpx.AsyncClient):
    task_id = await running_task(client, seconds=3)

    async with client.stream("GET", f"/tasks/{task_id}/events") as events:
        lines = events.aiter_lines()
        first = [await anext(lines), await anext(lines)]
        seen_meanwhile = await get_task(client, task_id)
        rest = [line async for line in lines if line.startswith("event:")]

    assert "content-encoding" not in events.headers
    assert first[1] == "event: running"
    assert not seen_meanwhile["done"]
    assert rest == ["event: succeeded"]


async def test_the_largest_body_reaches_us_and_is_answered_by_us(client: httpx.AsyncClient):
    largest: int = ProxySettings.model_fields["max_body_bytes"].default
    start = b'{"email":"ann@example.com","name":"'
    body = start + b"x" * (largest - len(start) - 2) + b'"}'

    answer = await client.post(
        "/clients", content=body, headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, len(body)) == (422, largest)
    assert answer.json()["type"] == PROBLEMS + "arguments-invalid"


async def test_a_slash_within_an_argument_of_the_path_reaches_us(client: httpx.AsyncClient):
    answer = await client.patch("/clients/1%2F2", json={"name": "Ann"})

    assert answer.status_code == 422
    assert [fault["parameter"] for fault in answer.json()["errors"]] == ["clientNumber"]


@pytest.mark.parametrize("kind", BALANCED)
def test_each_documented_time_out_is_longer_than_the_longest_wait(kind: type[Balancer]):
    configuration = documented_configuration(kind.heading)
    limits = re.findall(
        r"(?:read_timeout|timeout (?:client|server)|ProxyTimeout|bytes_timeout =) (\d+)",
        configuration,
    )
    assert limits
    assert min(map(int, limits)) > ProxySettings.model_fields["max_wait_seconds"].default


async def running_task(client: httpx.AsyncClient, *, seconds: float) -> str:
    """The id of one that runs for so long, and does not change before it ends."""
    accepted = await create_client(client, new_email(f"slow+{seconds}"), prefer="wait=1")
    assert (accepted.status_code, accepted.json()["status"]) == (202, "running")
    return accepted.json()["id"]
