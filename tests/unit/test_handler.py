"""Python functions in place of an upstream call: their answers, their faults and their time."""

import asyncio
import math
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from structlog.testing import capture_logs

from asyncexecutor.failures import (
    HandlerAnswerError,
    HandlerFailedError,
    HandlerTimeoutError,
)
from asyncexecutor.handler import Handler
from asyncexecutor.handler_threads import HandlerThreads
from asyncexecutor.handler_traceback import traceback_without_texts
from asyncexecutor.metrics import ABANDONED_HANDLERS
from asyncexecutor.progress import ProgressNotes
from asyncexecutor.runner import Attempt
from asynctasks.errors import OperationsFileError
from asynctasks.json_values import read_json
from asynctasks.operations.operation import Operation
from asynctasks.response import Response
from asynctasks.task import new_task_id
from asynctestkit.eventually import eventually

SIZE = 3
MAX_BYTES = 1_000


@dataclass
class Point:
    x: float | None


class Make(Protocol):
    """Makes a handler of a function."""

    def __call__(self, function: Callable[[Any], Any], **declared: Any) -> Handler: ...


def abandoned() -> float:
    (family,) = ABANDONED_HANDLERS.collect()
    return family.samples[0].value


@pytest.fixture
def threads() -> Iterator[HandlerThreads]:
    with HandlerThreads(SIZE) as threads:
        yield threads


@pytest.fixture
def handler(threads: HandlerThreads, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a handler of a function, which it finds by its name in this module."""

    def make(function: Callable[[Any], Any], **declared: Any) -> Handler:
        monkeypatch.setitem(globals(), "told", function)
        operation = Operation.model_validate(
            {"name": "a", "route": "POST /a", "handler": f"{__name__}:told", **declared}
        )
        assert operation.handler
        return Handler(
            operation, operation.handler, threads, ProgressNotes(), max_response_bytes=MAX_BYTES
        )

    return make


async def run(handler: Handler, arguments: dict[str, Any] | None = None) -> Response:
    return (await handler.run(Attempt(new_task_id(), arguments or {}))).response


async def test_what_a_function_returns_is_the_response(handler: Make):
    async def as_async(arguments: dict[str, Any]) -> Any:
        return arguments

    class Called:
        async def __call__(self, arguments: dict[str, Any]) -> Any:
            return arguments

    def plain(arguments: Any) -> Any:
        return arguments

    functions: list[Callable[[Any], Any]] = [plain, as_async, Called()]
    for function in functions:
        answer = await run(handler(function), read_json(b'{"n": 1.10}'))
        assert answer == Response(200, "application/json", b'{"n":1.10}')
    whole = [None, "NaN", Point(None), read_json(b"1e300")]
    written = b'[null,"NaN",{"x":null},1e300]'
    assert await run(handler(lambda _: whole)) == Response(200, "application/json", written)
    assert await run(handler(lambda _: None)) == Response(204, "", b"")
    packed = Response(200, "application/octet-stream", b"\x00\xff")
    assert await run(handler(lambda _: b"\x00\xff")) == packed
    given = Response(404, "text/plain", b"no", (("Location", "/clients/7"), ("X-A", "\xfc")))
    assert await run(handler(lambda _: given)) is given


async def test_as_many_functions_run_at_a_time_as_attempts_may(
    handler: Make, threads: HandlerThreads
):
    may_end = threading.Event()
    running: list[int] = []

    def function(_: Any) -> None:
        running.append(1)
        may_end.wait(10)
        running.pop()

    held = handler(function)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(SIZE + 2):
            tasks.create_task(run(held))

        def all_run() -> None:
            assert (len(running), threads.busy) == (SIZE, SIZE)

        await eventually(all_run)
        may_end.set()
    assert (len(running), threads.busy) == (0, 0)


async def test_threads_are_kept_for_the_next(handler: Make):
    seen: set[int] = set()
    noted = handler(lambda _: seen.add(threading.get_ident()))
    for _ in range(20):
        await run(noted)
    assert len(seen) == 1


async def test_a_function_that_takes_too_long_fails_in_time_and_keeps_its_thread_until_it_returns(
    handler: Make, threads: HandlerThreads
):
    may_end = threading.Event()
    slow = handler(lambda _: may_end.wait(10), timeoutSeconds=0.1)
    with capture_logs() as logs:
        with pytest.raises(HandlerTimeoutError) as caught:
            await run(slow)
        assert str(caught.value) == "The handler did not return within 0.1 s."
        assert caught.value.is_retryable
        assert (threads.busy, abandoned()) == (1, 1)
        assert [entry["event"] for entry in logs] == [
            "handler goes on though its attempt has ended"
        ]
        may_end.set()

        def is_free() -> None:
            assert (threads.busy, abandoned()) == (0, 0)

        await eventually(is_free)
    assert logs[-1]["event"] == "abandoned handler has returned"


async def test_where_all_threads_are_kept_an_attempt_fails_in_time_without_having_run(
    handler: Make,
):
    may_end = threading.Event()
    ran: list[int] = []

    def function(_: Any) -> None:
        ran.append(1)
        may_end.wait(10)

    slow = handler(function, timeoutSeconds=0.2)
    outcomes = await asyncio.gather(*(run(slow) for _ in range(SIZE + 1)), return_exceptions=True)
    assert all(isinstance(outcome, HandlerTimeoutError) for outcome in outcomes)
    assert len(ran) == SIZE
    may_end.set()


async def test_an_async_function_is_cancelled_when_its_time_is_up(handler: Make):
    ended: list[str] = []

    async def function(_: Any) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("cancelled")

    with pytest.raises(HandlerTimeoutError):
        await run(handler(function, timeoutSeconds=0.05))
    assert ended == ["cancelled"]


async def test_a_cancel_ends_the_attempt_at_once_whatever_the_function_does(handler: Make):
    may_end = threading.Event()
    begun = threading.Event()

    def function(_: Any) -> None:
        begun.set()
        may_end.wait(10)

    attempt = asyncio.create_task(run(handler(function)))

    def has_begun() -> None:
        assert begun.is_set()

    await eventually(has_begun)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    may_end.set()


def raising(error: BaseException, *, is_async: bool) -> Callable[[Any], Any]:
    async def as_async(_: Any) -> None:
        raise error

    def plain(_: Any) -> None:
        raise error

    return as_async if is_async else plain


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("password=hunter2"),
        TimeoutError("password=hunter2"),
        SystemExit("password=hunter2"),
        BaseException("password=hunter2"),
        KeyboardInterrupt("password=hunter2"),
        GeneratorExit("password=hunter2"),
        asyncio.CancelledError("password=hunter2"),
        KeyError("password=hunter2"),
    ],
)
async def test_where_an_error_was_raised_is_logged_and_its_text_is_for_nobody(
    handler: Make, error: BaseException, is_async: bool
):
    with capture_logs() as logs, pytest.raises(HandlerFailedError) as caught:
        await run(handler(raising(error, is_async=is_async)), {"password": "hunter2"})
    name = type(error).__name__
    assert str(caught.value) == f"The handler raised {name}; the executor's log says where."
    assert caught.value.is_retryable
    (entry,) = logs
    assert (entry["event"], entry["operation"]) == ("handler failed", "a")
    assert entry["task_id"]
    assert "raise error" in entry["exception"]
    assert "hunter2" not in str(entry)


def failing() -> None:
    try:
        int("hunter2")
    except ValueError:
        raise LookupError("hunter2")  # noqa: B904 - as handlers do


def test_a_traceback_goes_down_to_the_first_cause():
    with pytest.raises(LookupError) as caught:
        failing()
    lines = [line.strip() for line in traceback_without_texts(caught.value).splitlines()]
    assert lines[0] == "builtins.LookupError"
    assert 'raise LookupError("hunter2")  # noqa: B904 - as handlers do' in lines
    assert lines.index("caused by") + 1 == lines.index("builtins.ValueError")
    assert lines[-1] == 'int("hunter2")'


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({1, 2}, "what is no JSON"),
        ({"a": object()}, "what is no JSON"),
        ({1: "a"}, "what is no JSON"),
        ("\ud800", "what is no JSON"),
        (2**70, "what is no JSON"),
        (math.nan, "what is no JSON: NaN"),
        ({"a": [1, None, (-math.inf,)]}, "what is no JSON: NaN"),
        (Point(math.inf), "what is no JSON: NaN"),
        ("x" * MAX_BYTES, "more than 1000 bytes"),
        (Response(200, "text/plain", b"x" * (MAX_BYTES + 1)), "more than 1000 bytes"),
        (Response(0, "", b""), "status"),
        (Response(199, "", b""), "status"),
        (Response(600, "", b""), "status"),
        (Response(True, "", b""), "status"),
        (Response("200", "", b""), "status"),  # pyright: ignore[reportArgumentType] - what people do
        (Response(200, "a\r\nX: b", b""), "content_type"),
        (Response(200, "é", b""), "content_type"),
        (Response(200, None, b""), "content_type"),  # pyright: ignore[reportArgumentType] - what people do
        (Response(200, "", "text"), "body"),  # pyright: ignore[reportArgumentType] - what people do
        (Response(200, "", b"", (("X", "a\r\nY: b"),)), "a value of X that is not one line"),
        (Response(200, "", b"", (("X", "€"),)), "a value of X that is not one line"),
        (Response(200, "", b"", (("X Y", "a"),)), "a name that is none"),
        (Response(200, "", b"", (("Set-Cookie", "a=b"),)), "Set-Cookie: a cookie is for"),
        (Response(200, "", b"", (("content-type", "a/b"),)), "content-type: it is always kept"),
        (Response(200, "", b"", (("X", 5),)), "a value of X"),  # pyright: ignore[reportArgumentType] - what people do
        (Response(200, "", b"", {"X": "a"}), "not pairs"),  # pyright: ignore[reportArgumentType] - what people do
        (Response(200, "", b"", (pair for pair in [("X", "a")])), "not pairs"),  # pyright: ignore[reportArgumentType] - what people do
        (Response(200, "", b"", None), "not pairs"),  # pyright: ignore[reportArgumentType] - what people do
        (Response(200, "", b"", (("X", "a"),) * 65), "more than 64"),
        (Response(200, "", b"", (("X", "a" * 16_384),)), "16384 bytes"),
    ],
)
async def test_an_answer_that_cannot_be_stored_fails_once_and_says_why(
    handler: Make, answer: Any, told: str
):
    with capture_logs() as logs, pytest.raises(HandlerAnswerError) as caught:
        await run(handler(lambda _: answer))
    assert told in str(caught.value)
    assert not caught.value.is_retryable
    assert logs[0]["event"] == "answer of a handler refused"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("no.such.module:run", "cannot be imported: ModuleNotFoundError"),
        (f"{__name__}:missing", "cannot be imported: AttributeError"),
        (f"{__name__}:SIZE", "is no function"),
    ],
)
def test_a_handler_that_is_not_there_is_told_by_its_place(
    threads: HandlerThreads, reference: str, told: str
):
    operation = Operation.model_validate({"name": "a", "route": "POST /a", "handler": reference})
    with pytest.raises(OperationsFileError) as caught:
        Handler(operation, reference, threads, ProgressNotes(), max_response_bytes=MAX_BYTES)
    assert str(caught.value).startswith(f"operations.a.handler: {reference} ")
    assert told in str(caught.value)


def test_a_module_that_raises_what_is_no_exception_is_told_as_well(
    threads: HandlerThreads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "panicking_module.py").write_text("raise BaseException('no such device')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    reference = "panicking_module:run"
    operation = Operation.model_validate({"name": "a", "route": "POST /a", "handler": reference})
    with pytest.raises(OperationsFileError, match="cannot be imported: BaseException: no such"):
        Handler(operation, reference, threads, ProgressNotes(), max_response_bytes=MAX_BYTES)
