"""Clients of other makes, as they are when nobody configures them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from asynctestkit.calls import caller, create_client, new_email
from asynctestkit.eventually import eventually
from asynctestkit.process import Process
from asynctestkit.servers.private import find_program

PROGRAMS = Path(__file__).parent / "clients"
PACKAGES = {"java": "default-jdk-headless", "go": "golang-go", "node": "nodejs"}


@pytest.fixture(scope="session")
def url(request: pytest.FixtureRequest) -> str:
    """Where clients are created, on a proxy that they reach directly."""
    return f"{request.getfixturevalue('running').first.url}/clients"


@pytest.fixture(scope="module", autouse=True)
def go_build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Begins with the first test here: a Go whose library was never compiled takes a minute."""
    folder = tmp_path_factory.mktemp("go")
    build = Process(
        *("nice", program("go"), "build", "-o", str(folder / "post"), str(PROGRAMS / "post.go")),
        name="go-build",
        folder=folder,
        is_ready=lambda build: build.exit_code == 0,
        environment={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "HOME": str(Path.home())},
    )
    yield build.launch()
    build.kill()


@pytest.fixture
def go_client(go_build: Process) -> Path:
    """What became of post.go."""
    assert go_build.wait(seconds=110) == 0, go_build.log
    return go_build.log_file.parent / "post"


async def test_the_jdks_client_is_answered_by_http_1_1_and_its_body_is_read(url: str):
    email = new_email()

    said = await run("java", str(PROGRAMS / "Post.java"), url, arguments(email))

    assert said[0] == "201 HTTP_1_1"
    assert json.loads(said[1])["email"] == email


async def test_curl_that_asks_for_an_upgrade_has_its_body_read(url: str):
    email = new_email()
    content = ("-H", "Content-Type: application/json", "-d", arguments(email))

    said = await run("curl", "--silent", "--include", "--http2", url, *content)

    assert said[0].startswith("HTTP/1.1 201")
    assert json.loads(said[-1])["email"] == email


async def test_a_client_that_half_closes_waits_for_its_answer(url: str):
    email = new_email("slow+1")
    body = arguments(email)
    host = urlsplit(url).netloc
    sent = (
        f"POST /clients HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )

    # At the end of its input socat half-closes, and waits so many seconds for more.
    said = await run("socat", "-t", "20", "-", f"TCP:{host}", given=sent)

    statuses = [line for line in said if line.startswith("HTTP/1.1 ")]
    # By a 102 on its way we learn whether it still listens.
    assert statuses == ["HTTP/1.1 102 Processing", "HTTP/1.1 201 Created"]
    assert json.loads(said[-1])["email"] == email


async def test_nodes_fetch_gives_up_joins_its_task_and_follows_it_by_events(url: str):
    said = await run(
        "node", str(PROGRAMS / "follow.mjs"), url, arguments(new_email("slow+2")), "500"
    )

    assert said == ["TimeoutError", "202 true", "event: running, event: succeeded"]


async def test_httpx_gives_up_before_the_window_ends_and_its_repeat_joins_the_task(url: str):
    email = new_email("slow+7")
    async with httpx.AsyncClient(base_url=url.removesuffix("/clients"), trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await create_client(client, email, key=email)
        answer = await create_client(client, email, key=email)

    assert (answer.status_code, answer.json()["email"]) == (201, email)
    assert answer.headers["idempotency-joined"] == "true"


async def test_gos_client_repeats_a_post_with_a_key_by_itself_and_joins_its_task(
    url: str, go_client: Path
):
    mark = uuid4().hex
    headers = ("Idempotency-Key", mark, "Task-Labels", f"mark={mark}")

    async with breaking_connection(url, mark) as through:
        said = await run(str(go_client), through, arguments(new_email("slow+3")), *headers)

    assert said[0] == "201 true"
    assert await count_tasks(url, mark) == 1


async def test_gos_client_does_not_repeat_a_post_without_a_key(url: str, go_client: Path):
    mark = uuid4().hex
    headers = ("Task-Labels", f"mark={mark}")

    async with breaking_connection(url, mark) as through:
        with pytest.raises(ClientFailedError, match="EOF"):
            await run(str(go_client), through, arguments(new_email("slow+3")), *headers)

    assert await count_tasks(url, mark) == 1


class ClientFailedError(AssertionError):
    """The client ended with a fault; the text is what it said."""


async def run(*command: str, given: str = "") -> list[str]:
    """The lines that it says."""
    process = await asyncio.create_subprocess_exec(
        *(program(command[0]), *command[1:]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(given.encode())
    if process.returncode:
        raise ClientFailedError(said.decode())
    return said.decode().splitlines()


def program(name: str) -> str:
    """Its path; raises ServerProgramMissingError."""
    return str(find_program(name, package=PACKAGES.get(name, name)))


def arguments(email: str) -> str:
    return json.dumps({"email": email, "name": "Ann"})


async def count_tasks(url: str, mark: str) -> int:
    async with caller(url.removesuffix("/clients")) as client:
        listed = await client.get("/tasks", params={"label": f"mark={mark}"})
    return len(listed.json()["tasks"])


@asynccontextmanager
async def breaking_connection(url: str, mark: str) -> AsyncGenerator[str]:
    """The URL by another way, which breaks once: when the first POST by it has become a task."""
    unbroken = True

    async def task_is_there() -> None:
        assert await count_tasks(url, mark) == 1

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal unbroken
        while data := await reader.read(65_536):
            writer.write(data)
            if data.startswith(b"POST ") and unbroken:
                unbroken = False
                await eventually(task_is_there)
                return

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = urlsplit(url).netloc.partition(":")
        other_reader, other_writer = await asyncio.open_connection(host, int(port))
        ways = {
            asyncio.create_task(forward(reader, other_writer)),
            asyncio.create_task(forward(other_reader, writer)),
        }
        _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in left:
            way.cancel()
        for end in (writer, other_writer):
            end.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/clients"
