"""A task that a program has in hand, for the asynchronous client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from httpx_sse import EventSource

from asyncapiproxy.client import calls, results
from asyncapiproxy.client.errors import ProxyUnreachableError, TaskFailedError
from asyncapiproxy.client.following import Following
from asyncapiproxy.client.task_options import in_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    import httpx

    from asyncapiproxy.client.async_sender import AsyncSender
    from asyncapiproxy.client.delivery import Delivery
    from asyncapiproxy.client.submission import Submitted
    from asyncapiproxy.client.task_options import Seconds
    from asyncapiproxy.client.task_state import TaskState, TaskStatus


class AsyncTaskHandle:
    """A task: where it stood when the proxy last said so, and what can be done with it."""

    def __init__(
        self, sender: AsyncSender, state: TaskState, *, submitted: Submitted | None = None
    ) -> None:
        self._sender = sender
        self.state = state
        """As of the last call about it."""
        self.key = submitted and submitted.key
        """The idempotency key it was submitted by; None where it was not submitted here."""
        self._answer = submitted and submitted.answer

    def __repr__(self) -> str:
        """Short, and without what callers have sent."""
        return f"<AsyncTaskHandle {self.id} {self.status}>"

    @property
    def id(self) -> str:
        """The task's id."""
        return self.state.id

    @property
    def status(self) -> TaskStatus:
        """Where it stood."""
        return self.state.status

    @property
    def is_done(self) -> bool:
        """Whether it will not change by itself any more."""
        return self.state.is_done

    async def refresh(self, *, wait: Seconds = 0) -> TaskState:
        """Where it stands now; with `wait` once that has changed, or after so many seconds."""
        seconds = in_seconds(wait, "wait")
        steps = calls.refreshed(self._sender.proxy, self.state, wait_seconds=seconds)
        self.state = await self._sender.run(steps)
        return self.state

    async def result(self, timeout: Seconds | None = None) -> httpx.Response:  # noqa: ASYNC109 - the proxy knows of it
        """The upstream's answer, as soon as the task has succeeded.

        Raises TaskFailedError, also where the upstream has refused (4xx); and TaskUnfinishedError,
        a TimeoutError, after `timeout` seconds, when the task goes on.
        """
        proxy, run = self._sender.proxy, self._sender.run
        try:
            if self._answer is None:
                self._answer = await run(
                    results.result(proxy, self.id, seconds=results.seconds_of(timeout))
                )
            await run(results.raise_failure(proxy, self.id, self._answer))
        except TaskFailedError as error:
            self.state = self.state.ended(error.status)
            raise
        self.state = self.state.ended("succeeded")
        return self._answer

    @asynccontextmanager
    async def response(
        self,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - the proxy knows of it
    ) -> AsyncGenerator[httpx.Response]:
        """The upstream's answer, whatever its status, its body to be read while the block runs.

        For large ones: `async for part in response.aiter_bytes()`. Raises as `result`, but where
        the upstream has refused.
        """
        steps = results.result(
            self._sender.proxy, self.id, seconds=results.seconds_of(timeout), is_streamed=True
        )
        response = await self._sender.run(steps)
        try:
            with self._sender.translating(response.request):
                yield response
        finally:
            await response.aclose()

    async def events(self) -> AsyncIterator[TaskState]:
        """Where it stands, and then each change of that, until it has finished.

        A connection that ends is opened anew, and misses nothing but what came close together.
        """
        following = Following(self._sender.proxy, self.id)
        while not following.is_over:
            try:
                async for state in self._events(following):
                    yield state
            except ProxyUnreachableError as error:
                following.lost(error)
            if not following.is_over:
                await asyncio.sleep(following.pause_seconds)

    async def cancel(self) -> TaskState:
        """End it: at once where it is queued; where it runs, its executor stops the call.

        Raises ConflictError where it has finished.
        """
        self.state = await self._sender.run(calls.cancel(self._sender.proxy, self.id))
        return self.state

    async def retry(self) -> TaskState:
        """Run it once more, if it has failed, was cancelled or has expired; else ConflictError."""
        self.state = await self._sender.run(calls.retry(self._sender.proxy, self.id))
        self._answer = None
        return self.state

    async def delete(self) -> None:
        """Have it forgotten, if it has finished, and its key with it; else ConflictError."""
        await self._sender.run(calls.forget(self._sender.proxy, self.id))

    async def deliveries(self) -> tuple[Delivery, ...]:
        """Who is told of its end by a callback, and how far that has come; the first one first."""
        return await self._sender.run(calls.deliveries(self._sender.proxy, self.id))

    async def redeliver(self, number: int) -> Delivery:
        """Tell once more what its delivery of this number has told, by a new delivery.

        Raises NotFoundError where it has none of that number.
        """
        return await self._sender.run(calls.redeliver(self._sender.proxy, self.id, number))

    async def _events(self, following: Following) -> AsyncIterator[TaskState]:
        response = await self._sender.send(following.call())
        try:
            if not following.opens(response):
                return
            with self._sender.translating(response.request):
                async for event in EventSource(response).aiter_sse():
                    state = following.saw(event.id, event.data)
                    if state is not None:
                        self.state = state
                        yield state
                    if following.is_over:
                        return
            following.ended()
        finally:
            await response.aclose()
