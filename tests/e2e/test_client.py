"""The client library against a proxy that is killed, started anew, and slow; and its document."""

import asyncio
import doctest
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from asyncapiproxy import AsyncClient, ProxyUnreachableError, TaskState, TaskUnfinishedError
from asynctestkit.calls import caller, new_email
from asynctestkit.either_client import KINDS, either_client
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.processes import Keep, Service, up_service

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, keep_in_module: Keep) -> Service:
    """One for all of them, since each leaves it running.

    A killed one takes its executor with it, whose tasks then run again after 2 s.
    """
    folder = tmp_path_factory.mktemp("up")
    return keep_in_module(up_service(folder, lease_seconds=2)).start()


@pytest.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[AsyncClient]:
    options = {"patience_seconds": PATIENCE_SECONDS}
    async with either_client(request.param, service.url, **options) as found:
        yield found


def slow_client(seconds: float) -> dict[str, Any]:
    return {"email": new_email(f"slow+{seconds:g}"), "name": "Ann"}


async def begun(service: Service, label: str) -> None:
    """Return once the task with this label runs."""
    async with caller(service.url) as http:

        async def runs() -> None:
            answer = await http.get("/tasks", params={"label": f"mark={label}"})
            assert [task["status"] for task in answer.json()["tasks"]] == ["running"]

        await eventually(runs)


async def test_a_task_is_made_once_though_its_proxy_is_killed_while_it_waits(
    client: AsyncClient, service: Service
):
    mark = uuid4().hex
    async with asyncio.TaskGroup() as tasks:
        submitting = tasks.create_task(
            client.submit(
                "create-client", slow_client(1), wait=PATIENCE_SECONDS, labels={"mark": mark}
            )
        )
        await begun(service, mark)
        service.kill()
        # Long enough for some repeats in vain.
        await asyncio.sleep(0.5)
        service.launch()
        await asyncio.to_thread(service.wait_until_ready)
    task = submitting.result()
    assert (await task.result(timeout=PATIENCE_SECONDS)).status_code == 201
    made = [one.id async for one in client.tasks(labels={"mark": mark})]
    assert made == [task.id]


async def test_an_answer_is_waited_for_and_changes_are_followed_over_a_restart(
    client: AsyncClient, service: Service
):
    mark = uuid4().hex
    task = await client.submit("create-client", slow_client(2), wait=0, labels={"mark": mark})
    seen: list[TaskState] = []

    async def follow() -> None:
        seen.extend([state async for state in (await client.get(task.id)).events()])

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(task.result(timeout=PATIENCE_SECONDS))
        tasks.create_task(follow())
        await begun(service, mark)
        service.kill()
        service.launch()
        await asyncio.to_thread(service.wait_until_ready)
    assert waiting.result().status_code == 201
    assert seen[-1].status == "succeeded"
    versions = [int(str(state.etag).strip('"')) for state in seen]
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_proxy_that_stops_answering_is_asked_again_by_the_same_key(
    service: Service, kind: Any
):
    mark = uuid4().hex
    options = {"patience_seconds": PATIENCE_SECONDS, "answer_seconds": 1}
    async with either_client(kind, service.url, **options) as client:
        await client.operations()
        service.suspend()
        async with asyncio.TaskGroup() as tasks:
            submitting = tasks.create_task(
                client.submit("create-client", slow_client(0), wait=0, labels={"mark": mark})
            )
            # What was sent meanwhile is all answered when it goes on.
            await asyncio.sleep(2.5)
            service.resume()
        task = submitting.result()
        await task.result(timeout=PATIENCE_SECONDS)
        made = [one.id async for one in client.tasks(labels={"mark": mark})]
    assert made == [task.id]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_time_out_holds_though_the_proxy_has_stopped_answering(service: Service, kind: Any):
    async with either_client(kind, service.url) as client:
        task = await client.submit("create-client", slow_client(60), wait=0)
        service.suspend()
        try:
            async with asyncio.timeout(15):
                with pytest.raises(TaskUnfinishedError):
                    await task.result(timeout=2)
        finally:
            service.resume()


@pytest.mark.parametrize("kind", KINDS)
async def test_who_gives_up_may_ask_later_by_the_key(service: Service, kind: Any):
    mark, arguments = uuid4().hex, slow_client(1)
    async with either_client(kind, service.url, patience_seconds=0) as client:
        async with asyncio.TaskGroup() as tasks:

            async def submit() -> str | None:
                with pytest.raises(ProxyUnreachableError) as raised:
                    await client.submit("create-client", arguments, labels={"mark": mark})
                return raised.value.key

            submitting = tasks.create_task(submit())
            await begun(service, mark)
            service.kill()
        key = submitting.result()
        assert key
        service.launch()
        await asyncio.to_thread(service.wait_until_ready)
        again = await client.submit("create-client", arguments, key=key, wait=0)
        assert (await again.result(timeout=PATIENCE_SECONDS)).status_code == 201
        assert [one.id async for one in client.tasks(labels={"mark": mark})] == [again.id]


def test_the_document_tells_what_happens(service: Service):
    text = (ROOT / "docs/client.md").read_text()
    for place in ("example.com", "http://localhost:8080"):
        assert place in text
    text = text.replace("http://localhost:8080", service.url)
    # Clients that no earlier run has created.
    text = text.replace("@example.com", f".{uuid4().hex[:8]}@example.com")
    told: list[str] = []
    examples = doctest.DocTestParser().get_doctest(text, {}, "client.md", "docs/client.md", 0)
    assert len(examples.examples) > 20
    doctest.DocTestRunner(verbose=False).run(examples, out=told.append, clear_globs=False)
    examples.globs["client"].close()
    assert "".join(told) == ""


def test_the_readmes_example_prints_the_task_and_its_answer(
    service: Service, capsys: pytest.CaptureFixture[str]
):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for stands, here in (
        ("http://localhost:8080", service.url),
        ("slow+20@example.com", f"{uuid4().hex[:8]}.slow+0.5@example.com"),
    ):
        assert stands in code
        code = code.replace(stands, here)
    exec(code, {})
    task_id, answer = capsys.readouterr().out.split(maxsplit=1)
    assert UUID(task_id).version == 7
    assert "'name': 'Ann'" in answer
