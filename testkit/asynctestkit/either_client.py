"""One way for a test to use both clients: the synchronous one runs in a thread."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar, cast

import httpx

from asyncapiproxy import AsyncClient, BatchState, Client, SubmittedCall, TaskHandle, TaskState

Kind = Literal["sync", "async"]
KINDS: tuple[Kind, ...] = ("sync", "async")
T = TypeVar("T")
_ENDED = object()


class ThreadedTask:
    """A `TaskHandle` as if it were an `AsyncTaskHandle`."""

    def __init__(self, handle: TaskHandle) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._handle, name)
        return _in_thread(found) if callable(found) else found

    def events(self) -> AsyncIterator[TaskState]:
        return _in_turn(self._handle.events())

    @asynccontextmanager
    async def response(self, timeout: float | None = None) -> AsyncGenerator[Any]:  # noqa: ASYNC109 - as the other has it
        held = self._handle.response(timeout)
        response = await asyncio.to_thread(held.__enter__)
        try:
            yield _Parts(response)
        finally:
            await asyncio.to_thread(held.__exit__, None, None, None)


class _Parts:
    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        return _in_turn(self._response.iter_bytes())


class ThreadedClient:
    """A `Client` as if it were an `AsyncClient`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return _in_thread(getattr(self._client, name))

    async def submit(self, *given: Any, **more: Any) -> ThreadedTask:
        return ThreadedTask(await asyncio.to_thread(self._client.submit, *given, **more))

    async def get(self, task_id: str) -> ThreadedTask:
        return ThreadedTask(await asyncio.to_thread(self._client.get, task_id))

    def tasks(self, **which: Any) -> AsyncIterator[TaskHandle]:
        return _in_turn(self._client.tasks(**which))

    def submit_many(self, *given: Any, **more: Any) -> AsyncIterator[SubmittedCall]:
        return _in_turn(self._client.submit_many(*given, **more))

    def batches(self, **which: Any) -> AsyncIterator[BatchState]:
        return _in_turn(self._client.batches(**which))


@asynccontextmanager
async def either_client(kind: Kind, url: str, **options: Any) -> AsyncGenerator[AsyncClient]:
    """A client of this kind, to be used as the asynchronous one is."""
    if kind == "async":
        async with AsyncClient(url, **options) as client:
            yield client
    else:
        with Client(url, **options) as client:
            yield cast("AsyncClient", ThreadedClient(client))


def _in_thread(function: Callable[..., T]) -> Callable[..., Any]:
    async def call(*given: Any, **more: Any) -> T:
        return await asyncio.to_thread(function, *given, **more)

    return call


async def _in_turn(items: Iterator[T]) -> AsyncIterator[T]:
    while True:
        found = await asyncio.to_thread(next, items, _ENDED)
        if found is _ENDED:
            return
        yield cast("T", found)
