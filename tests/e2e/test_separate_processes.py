"""Proxies, executors and the upstream as processes of their own, on PostgreSQL and RabbitMQ."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from asynctestkit.calls import caller, create_client, finished_task, get_task, new_email
from asynctestkit.processes import Installation, Keep, Service, start_all
from asynctestkit.servers import GivenServer, RabbitmqServer


@dataclass(frozen=True)
class Running:
    installation: Installation
    first: Service
    second: Service
    executors: tuple[Service, ...]
    demo: Service

    @property
    def services(self) -> tuple[Service, ...]:
        return (self.first, self.second, *self.executors, self.demo)


@pytest.fixture(scope="module", params=["shared", "per-task"])
def running(  # noqa: PLR0917 - fixtures
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    empty_database_url: str,
    rabbitmq_server: RabbitmqServer | GivenServer,
    module_queue_prefix: str,
    keep_in_module: Keep,
) -> Iterator[Running]:
    installation = Installation(
        tmp_path_factory.mktemp(request.param),
        database_url=empty_database_url,
        broker_url=rabbitmq_server.url,
        broker_prefix=f"{module_queue_prefix}{uuid4().hex[:8]}",
        settings={"reply_strategy": request.param},
    )
    assert "is at revision" in installation.migrate()
    running = Running(
        installation,
        installation.proxy("first-proxy"),
        installation.proxy("second-proxy"),
        (installation.executor("executor"), installation.executor("other-executor")),
        installation.demo_api(),
    )
    start_all(keep_in_module, *running.services)
    yield running
    # The next parameter's relays are to be alone with the database.
    for service in running.services:
        service.kill()


async def test_a_quick_call_is_answered_as_the_upstream_answered(running: Running):
    email = new_email()
    async with caller(running.first.url) as client:
        answer = await create_client(client, email, password="correct horse")

    assert (answer.status_code, answer.json()["email"]) == (201, email)


async def test_a_task_submitted_through_one_proxy_is_read_through_the_other(running: Running):
    async with caller(running.first.url) as first, caller(running.second.url) as second:
        accepted = await create_client(first, new_email("slow+1"), prefer="wait=0")
        assert accepted.status_code == 202

        task = await finished_task(second, accepted.headers["task-id"])

        assert (task["status"], task["response"]["status"]) == ("succeeded", 201)
        assert await get_task(first, task["id"]) == task
        response = await second.get(f"{task['links']['self']}/response")
        assert (response.status_code, response.json()) == (201, task["response"]["body"])


async def test_each_reply_reaches_the_caller_that_waits_for_it(running: Running):
    emails = [new_email("slow+0.3" if number % 3 else "ann") for number in range(60)]
    async with caller(running.first.url) as first, caller(running.second.url) as second:
        answers = await asyncio.gather(
            *(
                create_client(second if number % 2 else first, email, prefer="wait=20")
                for number, email in enumerate(emails)
            )
        )

    assert [answer.status_code for answer in answers] == [201] * len(emails)
    assert [answer.json()["email"] for answer in answers] == emails


async def test_fifty_equal_posts_to_two_proxies_are_one_task_and_one_upstream_call(
    running: Running,
):
    email = new_email("slow+0.5")
    async with (
        caller(running.first.url) as first,
        caller(running.second.url) as second,
        caller(running.demo.url) as demo,
    ):
        before = (await demo.get("/stats")).json()

        answers = await asyncio.gather(
            *(
                create_client(second if number % 2 else first, email, key=email)
                for number in range(50)
            )
        )

        after = (await demo.get("/stats")).json()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.headers["task-id"] for answer in answers}) == 1
    assert len({answer.content for answer in answers}) == 1
    assert after["calls"] - before["calls"] == 1


@pytest.mark.parametrize(
    ("behaviour", "status", "attempts"),
    [("fail+503", 502, 3), ("drop", 502, 3), ("flaky+2", 201, 3), ("fail+418", 418, 1)],
)
async def test_a_failing_upstream_ends_in_a_sensible_status(
    running: Running, behaviour: str, status: int, attempts: int
):
    async with caller(running.second.url) as client:
        answer = await create_client(client, new_email(behaviour), prefer="wait=20")

        task = await get_task(client, answer.headers["task-id"])
        assert (answer.status_code, task["attempt"]) == (status, attempts), task["attempts"]


async def test_a_response_too_large_for_a_message_is_answered_whole(running: Running):
    async with caller(running.first.url) as client:
        name = "x" * 32
        answer = await create_client(client, new_email("huge+1"), name=name)

        # 1,000,000 bytes: below what is kept, above what a reply carries.
        assert answer.status_code == 201
        assert len(answer.content) == 1_000_000
        again = await client.get(f"/tasks/{answer.headers['task-id']}/response")
        assert again.content == answer.content


@pytest.mark.parametrize("name", ["Zoë 💡", "\u2028"])
async def test_any_text_is_kept_and_travels_as_it_is(running: Running, name: str):
    async with caller(running.first.url) as client:
        answer = await create_client(client, new_email(), name=name)

        assert (answer.status_code, answer.json()["name"]) == (201, name)
        task = await get_task(client, answer.headers["task-id"])
        assert task["arguments"]["name"] == task["response"]["body"]["name"] == name


async def test_a_nul_which_no_row_can_hold_is_refused_by_its_place(running: Running):
    async with caller(running.first.url) as client:
        answer = await create_client(client, new_email(), name="a\0b")

        assert (answer.status_code, answer.json()["errors"]) == (
            422,
            [{"pointer": "/name", "detail": "holds a NUL (U+0000), which no text here may"}],
        )


async def test_migrating_again_changes_nothing(running: Running):
    assert running.installation.migrate() == running.installation.migrate()


def test_nothing_of_all_this_was_a_fault(running: Running):
    assert [service.name for service in running.services if not service.is_running] == []
    assert [fault for service in running.services for fault in service.faults] == []
