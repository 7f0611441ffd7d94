"""An upstream that answers byte by byte what a test says, and what calls it as an executor does."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncexecutor.access_tokens import AccessTokens
from asyncexecutor.runner import Answer, Attempt
from asyncexecutor.upstream import Upstream
from asyncexecutor.upstream_connections import UpstreamConnections
from asynctasks.operations.operation import Operation
from asynctasks.operations.sealing import Header
from asynctasks.task import new_task_id

SECRET = "hunter2"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """A server that does as it likes with each connection; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await serve(reader, writer)
            # What it wrote last may not have left yet: an abort would cut it off.
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Scripted:
    """Answers each request by the next of its answers, the last one for ever, and keeps count."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append(await request_on(reader))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(answer)
            await writer.drain()
            if not answer:
                return


async def request_on(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length or 0))


@asynccontextmanager
async def calling(
    url: str,
    *,
    environment: dict[str, str] | None = None,
    forwarded: Sequence[Header] = (),
    **upstream: Any,
) -> AsyncGenerator[Callable[[], Awaitable[Answer]]]:
    """What calls the URL once each time, with a secret in its headers and query."""
    operation = Operation.model_validate(
        {
            "name": "a",
            "route": "POST /a",
            "upstream": {
                "url": url + "{?KEY}",
                "headers": {"Authorization": "Bearer {KEY}"},
                "timeoutSeconds": 10,
                **upstream,
            },
        }
    )
    assert operation.upstream
    given = {"KEY": SECRET, **(environment or {})}
    connections = UpstreamConnections(limit=5, environment=given)
    runner = Upstream(
        operation,
        operation.upstream,
        connections,
        AccessTokens(connections, given),
        environment=given,
        max_response_bytes=100_000,
    )
    async with connections:
        yield lambda: runner.run(Attempt(new_task_id(), {}, headers=forwarded))


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", b""])
