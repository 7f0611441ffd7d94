"""Operations files that change under real processes: no call fails, whoever has which file."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from asynctestkit.calls import caller, create_client, get_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.processes import (
    FAST_OPERATIONS,
    Installation,
    Keep,
    Service,
    logged_events,
    start_all,
    up_service,
)
from asynctestkit.steady_load import SteadyLoad

CALLERS = 8
CHANGED = FAST_OPERATIONS.replace(
    'url: "{CUSTOMER_API_URL}/clients", timeoutSeconds: 30',
    'url: "{CUSTOMER_API_URL}/clients", timeoutSeconds: 29',
)
ADDED = """
  import-client:
    route: POST /imports
    queue: clients
    waitSeconds: 30
    arguments: {type: object}
    upstream: {url: "{CUSTOMER_API_URL}/clients"}
"""
BAD = """
  broken:
    route: FETCH /broken
    upstream: {url: "{CUSTOMER_API_URL}/clients", timeoutSeconds: soon}
"""


@pytest.fixture
def start(keep: Keep) -> Callable[..., None]:
    """Starts services at once; they end with the test."""

    def start(*services: Service) -> None:
        start_all(keep, *services)

    return start


def executor_name(service: Service) -> str:
    (name,) = {event["executor"] for event in events(service, "executor consumes")}
    return name


def events(service: Service, event: str) -> list[dict[str, Any]]:
    return [each for each in logged_events(service.log) if each["event"] == event]


async def test_tasks_of_a_newer_file_run_where_it_is_known_and_none_fails(
    install: Callable[..., Installation], start: Callable[..., None], tmp_path: Path
):
    installation = install(relay_interval_seconds=0.1)
    newer = tmp_path / "newer.yaml"
    newer.write_text(CHANGED + ADDED)
    # The old one first: it is what was in use before.
    old = installation.executor("old-executor")
    start(old, installation.demo_api())
    new = installation.executor("new-executor", operations_file=newer)
    proxy = installation.proxy(operations_file=newer)
    start(new, proxy)
    async with caller(proxy.url) as client:
        answers = await asyncio.gather(
            *(create_client(client, new_email(), prefer="wait=35") for _ in range(30)),
            *(import_client(client) for _ in range(30)),
        )
        assert [answer.status_code for answer in answers] == [201] * 60
        tasks = [await get_task(client, answer.headers["task-id"]) for answer in answers]
    assert {task["attempts"][0]["executor"] for task in tasks} == {executor_name(new)}
    assert {task["attempt"] for task in tasks} == {1}
    put_back = "tasks put back: this executor's operations file has"
    (unknown,) = events(old, f"{put_back} no such operation")
    (later,) = events(old, f"{put_back} an earlier revision of their operation")
    assert (unknown["operation"], later["operation"]) == ("import-client", "create-client")
    assert (old.faults, new.faults, proxy.faults) == ([], [], [])


async def import_client(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/imports", json={"email": new_email(), "name": "Ann"})


async def test_an_operation_comes_changes_and_goes_under_load_and_no_call_fails(
    install: Callable[..., Installation], start: Callable[..., None]
):
    installation = install(relay_interval_seconds=0.1)
    file = installation.folder / "operations.yaml"
    proxies = [installation.proxy("first-proxy"), installation.proxy("second-proxy")]
    executors = [installation.executor("first-executor"), installation.executor("second-executor")]
    services = [*proxies, *executors]
    start(*services, installation.demo_api())
    with SteadyLoad(proxies[0].url, callers=CALLERS) as load:
        async with caller(proxies[0].url) as first, caller(proxies[1].url) as second:
            for text in (FAST_OPERATIONS + ADDED, CHANGED + ADDED):
                await taken_over(services, file, text)
                for client in (first, second):
                    assert (await import_client(client)).status_code == 201
                    assert "/imports" in (await client.get("/openapi.json")).json()["paths"]
                await goes_on(load)
            await refused(services, file, CHANGED + BAD)
            assert (await import_client(first)).status_code == 201
            await goes_on(load)
            await taken_over(services, file, CHANGED)
            for client in (first, second):
                assert (await import_client(client)).status_code == 404
            await goes_on(load)
    assert load.answers.faults == []
    assert set(load.answers.outcomes) == {"201"}
    for service in services:
        (fault,) = service.faults  # the bad file's
        assert "operations.broken.route" in fault
        assert "timeoutSeconds" in fault


async def goes_on(load: SteadyLoad) -> None:
    """Calls that began after this was asked are answered, too."""
    before = load.answers.outcomes.total()

    def answered() -> None:
        assert load.answers.outcomes.total() >= before + 2 * CALLERS

    await eventually(answered)


async def taken_over(services: list[Service], file: Path, text: str) -> None:
    counts = {service.name: len(events(service, TAKEN_OVER)) for service in services}
    write(file, text)

    def by_all() -> None:
        for service in services:
            assert len(events(service, TAKEN_OVER)) == counts[service.name] + 1, service.name

    await eventually(by_all)


TAKEN_OVER = "operations file taken over"
REFUSED = "operations file refused; the one before serves on"


async def refused(services: list[Service], file: Path, text: str) -> None:
    write(file, text)

    def by_all() -> None:
        for service in services:
            assert len(events(service, REFUSED)) == 1, service.name

    await eventually(by_all)


def write(file: Path, text: str) -> None:
    """As an editor and the kubelet do it: whole or not at all."""
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(file)


async def test_up_gives_a_new_queue_an_executor_and_refuses_what_it_could_not_run(
    tmp_path: Path, start: Callable[..., None]
):
    up = up_service(tmp_path, log_format="json")
    start(up)
    file = tmp_path / "operations.yaml"
    on_new_queue = ADDED.replace("queue: clients", "queue: imports")
    async with caller(up.url) as client:
        await refused([up], file, FAST_OPERATIONS + on_new_queue.replace("CUSTOMER", "NO_SUCH"))
        assert "NO_SUCH_API_URL" in events(up, REFUSED)[0]["faults"]
        assert (await import_client(client)).status_code == 404
        began = time.monotonic()
        await taken_over([up], file, FAST_OPERATIONS + on_new_queue)
        assert (await import_client(client)).status_code == 201
        assert time.monotonic() - began < 15
    assert up.stop() == 0
