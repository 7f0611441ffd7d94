"""`asyncapiproxy task` in a terminal: what a person sees, at its width, and after Ctrl-C."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from asyncapiproxy import AsyncClient
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.inside import Inside, held, inside, operation, serving_app, status
from asynctestkit.processes import COMMAND
from asynctestkit.scripted_proxy import OPENAPI
from asynctestkit.terminal import Terminal

LONG = operation("an-operation-whose-name-does-not-fit-into-a-column", queue="clients")
CREATE = operation("create-client", retry={"maxAttempts": 3, "backoffSeconds": [0.5, 0.5]})
CTRL_C = "\x03"
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
async def installation(sqlite_url: str) -> AsyncIterator[Inside]:
    async with inside(CREATE, LONG, database_url=sqlite_url, broker_url="memory://") as found:
        yield found


@pytest.fixture
async def url(installation: Inside) -> str:
    proxy = await installation.proxy()
    await installation.executor()
    return proxy.url


def terminal(*words: str, url: str, folder: Path, columns: int = 80, **more: str) -> Terminal:
    environment = {"ASYNCAPIPROXY_URL": url, **more}
    return Terminal((str(COMMAND), *words), folder=folder, columns=columns, environment=environment)


def submitted(*words: str, url: str, folder: Path, columns: int = 80) -> Terminal:
    return terminal(
        "task", "submit", "create-client", *words, url=url, folder=folder, columns=columns
    )


@pytest.mark.parametrize("columns", [80, 200])
async def test_a_submitted_task_is_named_at_once_and_then_shows_that_it_waits(
    installation: Inside, url: str, tmp_path: Path, columns: int
):
    going = asyncio.Event()
    installation.upstream.will(status(503), held(going))

    def shows() -> list[str]:
        with submitted("name=Ann", url=url, folder=tmp_path, columns=columns) as shown:
            shown.wait_for("running")
            shown.wait_for("attempt 2 of 3")
            loop.call_soon_threadsafe(going.set)
            assert shown.wait() == 0
            return shown.lines

    loop = asyncio.get_running_loop()
    lines = await asyncio.to_thread(shows)
    named = re.fullmatch(rf"task ({ID})", lines[0])
    assert named
    assert any(named[1] in line and line.startswith("task  ") for line in lines[1:])
    assert any("● succeeded" in line for line in lines)
    assert max(map(len, lines)) <= columns


async def test_a_task_that_is_not_waited_for_shows_no_waiting(url: str, tmp_path: Path):
    def shows() -> list[str]:
        with submitted("name=Ann", "--async", "--delay", "1h", url=url, folder=tmp_path) as shown:
            assert shown.wait() == 0
            return shown.lines

    lines = await asyncio.to_thread(shows)
    assert lines[0].startswith("status     ● queued")
    assert "Ctrl-C leaves" not in "".join(lines)


async def test_ctrl_c_leaves_the_task_alone_and_says_how_to_go_on(
    installation: Inside, url: str, tmp_path: Path
):
    going = asyncio.Event()
    installation.upstream.will(held(going))

    def left() -> list[str]:
        with submitted("name=Ann", url=url, folder=tmp_path) as shown:
            shown.wait_for("running")
            shown.resize(40)
            shown.press(CTRL_C)
            assert shown.wait() == 130
            return shown.lines

    lines = await asyncio.to_thread(left)
    said = "".join(lines)
    assert "Traceback" not in said
    (task_id,) = re.findall(rf"task watch ({ID})", said)
    async with AsyncClient(url) as client:
        task = await client.get(task_id)
        assert (task.status, task.state.is_cancel_requested) == ("running", False)
        going.set()
        await task.result(timeout=PATIENCE_SECONDS)


async def test_ctrl_c_before_the_answer_tells_the_key_that_joins_the_task(tmp_path: Path):
    posted = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.json_response(OPENAPI)
        posted.set()
        await asyncio.sleep(PATIENCE_SECONDS)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", silent)

    def left(url: str) -> str:
        with submitted("--key", "mine", "name=Ann", url=url, folder=tmp_path) as shown:
            asyncio.run_coroutine_threadsafe(posted.wait(), loop).result(PATIENCE_SECONDS)
            shown.press(CTRL_C)
            assert shown.wait() == 130
            return " ".join(shown.lines)

    loop = asyncio.get_running_loop()
    async with serving_app(app, handler_cancellation=True) as url:
        said = await asyncio.to_thread(left, url)
    assert "with --key mine joins it or makes it" in " ".join(said.split())
    assert "Traceback" not in said


@pytest.mark.parametrize("columns", [30, 80])
async def test_a_list_fits_80_columns_and_cuts_no_id(url: str, tmp_path: Path, columns: int):
    async with AsyncClient(url) as client:
        made = [(await client.submit(LONG.name)).id, (await client.submit("create-client")).id]

    def listed() -> list[str]:
        words = ("task", "list")
        with terminal(*words, url=url, folder=tmp_path, columns=columns, NO_COLOR="1") as shown:
            assert shown.wait() == 0
            assert "\x1b[3" not in shown.output
            return shown.lines

    lines = await asyncio.to_thread(listed)
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if re.match(ID, line)] == made[::-1]
    assert all("● succeeded" in line for line in lines if re.match(ID, line))


@pytest.mark.parametrize(("key", "status"), [("y", "cancelled"), ("n", "queued")])
async def test_a_person_is_asked_before_many_tasks_are_changed(
    url: str, tmp_path: Path, key: str, status: str
):
    async with AsyncClient(url) as client:
        tasks = [
            await client.submit("create-client", delay=PATIENCE_SECONDS, wait=0) for _ in range(2)
        ]

        def asked() -> int:
            words = ("task", "cancel", "--status", "queued")
            with terminal(*words, url=url, folder=tmp_path) as shown:
                shown.wait_for("2 tasks: 2 queued. Cancel them? [y/N]:")
                shown.press(f"{key}\n")
                return shown.wait()

        assert await asyncio.to_thread(asked) == (0 if key == "y" else 1)
        if key == "y":
            assert all([(await task.refresh(wait=PATIENCE_SECONDS)).is_done for task in tasks])
        assert [(await task.refresh()).status for task in tasks] == [status] * 2
