"""Many calls of one operation by one request: each line of its body is a call, and is answered.

    body ──▶ lines ──▶ checked ──▶ a group of them stored by one statement ──▶ answers

What a single call may not do a line may not do either, and the others go on. Reading never waits
until somebody reads the answers, since many clients send all before they read any: what is held of
them is bounded by the number of lines.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from asyncproxy.body import check_media_type, read_bounded_json
from asyncproxy.caller import Caller
from asyncproxy.json_text import MAX_SHOWN
from asyncproxy.metrics import RequestMetrics
from asyncproxy.operation_routes import LARGE_BYTES, noted, outcome_of, surrounded
from asyncproxy.options_headers import header_error, read_options
from asyncproxy.problems import BodyTooLargeError, on_error, on_unknown_error
from asyncproxy.request_head import forwarded_headers
from asyncproxy.request_lines import lines_of
from asyncproxy.trace import trace_of
from asynctasks.errors import (
    ArgumentsInvalidError,
    AsyncApiProxyError,
    TaskOptionsError,
    Violation,
)
from asynctasks.json_values import as_object
from asynctasks.operations.arguments import pointer
from asynctasks.operations.reserved_paths import MANY_CALLS
from asynctasks.task import Task
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from starlette.datastructures import Headers
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from asyncproxy.access.access import Access
    from asyncproxy.access.audit import Change
    from asyncproxy.access.quotas import Allowance, Quotas
    from asyncproxy.body_budget import BodyBudget, HeldBody
    from asyncproxy.forwarded import PublicAddress
    from asyncproxy.operation_routes import Endpoint
    from asyncproxy.request_lines import Line
    from asyncproxy.submission import Call, Submission
    from asynctasks.operations.operation import Operation, Operations
    from asynctasks.operations.sealing import Header
    from asynctasks.operations.task_options import TaskOptions
    from asynctasks.traces.traces import Traces

MEDIA_TYPE = "application/x-ndjson"
GROUP_LINES = 250
GROUP_BYTES = 1_048_576
"""Of one group, unless a single line has more."""
EXAMPLE = '{"key": "order-7", "arguments": {}}'
MOST_TOLD = 5
"""Of what is wrong with one line."""


def many_calls_endpoints(
    operations: Operations,
    *,
    submission: Submission,
    bodies: BodyBudget,
    public: PublicAddress,
    access: Access | None = None,
    quotas: Quotas | None = None,
    traces: Traces = NO_TRACES,
) -> dict[tuple[str, str], Endpoint]:
    """What serves many calls of each operation that takes them, by method and path."""
    endpoints: dict[tuple[str, str], Endpoint] = {}
    for operation in operations.values():
        if not operation.takes_many_calls:
            continue
        served = ManyCalls(operation, submission, bodies=bodies, access=access, quotas=quotas)
        endpoint = surrounded(served.serve, operation, public=public, traces=traces)
        for path in (operation.path + MANY_CALLS, f"{operation.path}{MANY_CALLS}/"):
            endpoints[operation.method, path] = endpoint
    return endpoints


@dataclass(frozen=True, slots=True)
class Said:
    """What a request says by its headers of each of its lines."""

    request: Request
    options: TaskOptions
    forwarded: Sequence[Header]


class ManyCalls:
    """Serves many calls of one operation."""

    def __init__(
        self,
        operation: Operation,
        submission: Submission,
        *,
        bodies: BodyBudget,
        access: Access | None,
        quotas: Quotas | None,
    ) -> None:
        self._operation = operation
        self._submission = submission
        self._settings = submission.settings
        self._bodies = bodies
        self._access = access
        self._quotas = quotas
        self._metrics = RequestMetrics(operation.name)

    async def serve(self, request: Request) -> Response:
        """Answer one request; raises what is wrong with all of its lines."""
        if self._access is not None:
            self._access.submit(request, self._operation.name)
        check_media_type(request, (MEDIA_TYPE,))
        try:
            options = _options_of_all(request.headers)
            self._submission.check(self._operation, options)
        except TaskOptionsError as error:
            raise header_error(error) from error
        said = Said(request, options, forwarded_headers(request, self._operation))
        return _AnsweredWhileRead(self, said)

    async def take(self, said: Said, answers: asyncio.Queue[bytes | None]) -> None:
        """Read, store and answer the lines, and none after one that cannot be taken in at all."""
        group: list[tuple[int, Call | Exception]] = []
        number = size = 0
        try:
            with self._bodies.hold() as held:
                async for line in self._lines(said, held):
                    number = line.number
                    group.append((number, await self._call(said, line)))
                    size += len(line.text or b"")
                    if len(group) == GROUP_LINES or size >= GROUP_BYTES:
                        await self._store(group, answers)
                        size = 0
            await self._store(group, answers)
        except ClientDisconnect:
            await self._store(group, answers)  # what has come whole was meant
        except AsyncApiProxyError as error:
            await self._store(group, answers)
            answers.put_nowait(_problem(number + 1, error))
        finally:
            answers.put_nowait(None)

    async def _lines(self, said: Said, held: HeldBody) -> AsyncGenerator[Line]:
        most = self._settings.max_batch_lines
        max_bytes = self._settings.max_body_bytes
        async for line in lines_of(said.request, held, max_bytes=max_bytes):
            if line.number > most:
                raise BodyTooLargeError(
                    f"The body has more than {most} lines; nothing of it is taken from here on."
                )
            yield line

    async def _call(self, said: Said, line: Line) -> Call | Exception:
        """The call of one line, or why there is none."""
        change = allowance = None
        held = self._bodies.hold()
        size = len(line.text or b"")
        try:
            held.add(size)  # for which its reader has just made room
            if self._access is not None:
                change = self._access.submit(said.request, self._operation.name)
                allowance = self._quotas.allow(change.principal) if self._quotas else None

            if size < LARGE_BYTES:
                await asyncio.sleep(0)  # others have their turn between two lines
                return self._checked(said, line, held, change, allowance)
            async with self._bodies.reading_large:
                return await asyncio.to_thread(self._checked, said, line, held, change, allowance)
        except Exception as error:  # noqa: BLE001 - it is told of this line, and the others go on
            held.release()
            return noted(error, self._metrics, change)

    def _checked(
        self,
        said: Said,
        line: Line,
        held: HeldBody,
        change: Change | None,
        allowance: Allowance | None,
    ) -> Call:
        """The call; raises what is wrong with it in words of its line."""
        given = self._read(line)
        try:
            return self._submission.call(
                self._operation,
                arguments=given.get("arguments", {}),
                options=replace(said.options, idempotency_key=given.get("key")),
                headers=said.forwarded,
                trace=trace_of(said.request.scope),
                window_seconds=0.0,
                body=held,
                caller=Caller(),  # nothing is waited for, so nothing ends where it leaves
                change=change,
                allowance=allowance,
            )
        except ArgumentsInvalidError as error:
            raise _within_line(error) from error
        except TaskOptionsError as error:
            if error.option != "idempotency_key":
                raise header_error(error) from error
            raise ArgumentsInvalidError(
                [Violation("/key", f"expected {error.expected}")]
            ) from error

    def _read(self, line: Line) -> dict[str, Any]:
        """What stands in a line; raises what is wrong with it."""
        if line.text is None:
            raise BodyTooLargeError(f"It is longer than {self._settings.max_body_bytes} bytes.")
        most = self._settings.max_body_values
        given = as_object(read_bounded_json(line.text, max_values=most, first_line=line.number))
        if given is None:
            raise ArgumentsInvalidError([Violation("", f"expected an object, such as {EXAMPLE}")])
        if unknown := given.keys() - {"key", "arguments"}:
            expected = f"unknown; expected such as {EXAMPLE}"
            raise ArgumentsInvalidError(
                [Violation(pointer([name[:MAX_SHOWN]]), expected) for name in sorted(unknown)][
                    :MOST_TOLD
                ]
            )
        if not isinstance(given.get("key"), str | None):
            raise ArgumentsInvalidError([Violation("/key", "expected a text")])
        return given

    async def _store(
        self, group: list[tuple[int, Call | Exception]], answers: asyncio.Queue[bytes | None]
    ) -> None:
        """Store what there is to store, all of it at once, and answer each line in its turn."""
        if group:
            answered = await asyncio.gather(*(self._answer(number, one) for number, one in group))
            group.clear()
            answers.put_nowait(b"".join(answered))

    async def _answer(self, number: int, call: Call | Exception) -> bytes:
        if isinstance(call, Exception):
            return _problem(number, call)
        try:
            submitted = await self._submission.submit(call)
        except Exception as error:  # noqa: BLE001 - it is told of this line, and the others go on
            return _problem(number, noted(error, self._metrics, call.change))
        finally:
            call.body.release()
        self._metrics.answered(outcome_of(submitted))
        assert isinstance(submitted.result, Task)  # nobody waits for a reply
        return b'{"line":%d,"id":"%s"}\n' % (number, str(submitted.result.id).encode())


def _options_of_all(headers: Headers) -> TaskOptions:
    """What the headers ask for; raises TaskOptionsError for what no two lines can have."""
    options = read_options(headers)
    if options.idempotency_key is not None:
        raise TaskOptionsError("idempotency_key", "none, but a `key` in each line")
    return options


class _AnsweredWhileRead(StreamingResponse):
    """One that is sent while the request is still read: nobody else may receive of it."""

    def __init__(self, calls: ManyCalls, said: Said) -> None:
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._calls = calls
        self._said = said
        super().__init__(
            self._as_they_come(), headers={"Cache-Control": "no-store"}, media_type=MEDIA_TYPE
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answers while the lines are taken."""
        del scope, receive
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._calls.take(self._said, self._answers), name="many-calls")
            await self.stream_response(send)

    async def _as_they_come(self) -> AsyncGenerator[bytes]:
        while (answer := await self._answers.get()) is not None:
            yield answer


def _within_line(error: ArgumentsInvalidError) -> ArgumentsInvalidError:
    """The same of the whole line, and not too much of it."""
    return ArgumentsInvalidError(
        [replace(one, pointer=f"/arguments{one.pointer}") for one in error.violations[:MOST_TOLD]]
    )


def _problem(number: int, error: Exception) -> bytes:
    is_ours = isinstance(error, AsyncApiProxyError)
    problem = on_error(None, error) if is_ours else on_unknown_error(None, error)
    return b'{"line":%d,"problem":%s}\n' % (number, bytes(problem.body))
