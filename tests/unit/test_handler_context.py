"""What a handler is told of its attempt, and tells of it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from asyncexecutor.attempt_bodies import RequestBody
from asyncexecutor.failures import BodyLostError, HandlerFailedError, HandlerTimeoutError
from asyncexecutor.handler import Handler
from asyncexecutor.handler_context import MESSAGE_CHARACTERS, HandlerContext
from asyncexecutor.handler_threads import HandlerThreads
from asyncexecutor.progress import ProgressNotes, ProgressWriter
from asyncexecutor.runner import Attempt
from asynctasks.errors import BlobLostError, DatabaseUnavailableError, OperationsFileError
from asynctasks.operations.operation import Operation
from asynctasks.statements.claims import Progress
from asynctasks.task import new_task_id

TASK = new_task_id()
DEADLINE = datetime(2030, 1, 1, tzinfo=UTC)
ATTEMPT = Attempt(TASK, {"n": 1}, number=2, principal="alice", tenant="red", deadline=DEADLINE)


def told(percent: int | None, message: str | None = None, *, attempt: int = 2) -> Progress:
    return Progress(TASK, attempt, percent, message)


@pytest.fixture
def threads() -> Iterator[HandlerThreads]:
    with HandlerThreads(2) as threads:
        yield threads


@pytest.fixture
def notes() -> ProgressNotes:
    return ProgressNotes()


@pytest.fixture
def run(threads: HandlerThreads, notes: ProgressNotes, monkeypatch: pytest.MonkeyPatch) -> Any:
    async def run(
        function: Callable[..., Any], *, attempt: Attempt = ATTEMPT, **declared: Any
    ) -> Any:
        monkeypatch.setitem(globals(), "given", function)
        operation = Operation.model_validate(
            {"name": "a", "route": "POST /a", "handler": f"{__name__}:given", **declared}
        )
        assert operation.handler
        handler = Handler(operation, operation.handler, threads, notes, max_response_bytes=1_000)
        return (await handler.run(attempt)).response

    return run


async def test_a_handler_is_told_of_its_attempt(run: Any):
    seen: list[Any] = []

    async def handler(arguments: dict[str, Any], context: HandlerContext) -> None:
        seen.extend(
            (arguments, context.task_id, context.attempt, context.principal, context.tenant)
        )
        seen.extend((context.deadline, context.cancelled))

    await run(handler)
    assert seen == [{"n": 1}, TASK, 2, "alice", "red", DEADLINE, False]


async def test_only_a_parameter_of_that_name_is_given_one(run: Any):
    def other(_: Any, tries: int = 3) -> int:
        return tries

    def named(_: Any, *, context: HandlerContext) -> int:
        return context.attempt

    assert (await run(other)).body == b"3"
    assert (await run(named)).body == b"2"


async def test_a_function_that_needs_more_is_refused_at_the_start(run: Any):
    def needs_more(_: Any, context: HandlerContext, more: int) -> None:
        """It cannot be called by anyone."""

    with pytest.raises(OperationsFileError, match=r"a\.handler: .*\(arguments, context\).*'more'"):
        await run(needs_more)


async def test_both_kinds_of_handler_tell_how_far_they_have_come(run: Any, notes: ProgressNotes):
    async def awaits(_: Any, context: HandlerContext) -> None:
        await context.progress(40.9, "step 2")

    def calls(_: Any, context: HandlerContext) -> None:
        context.progress(None, "in a thread")

    await run(awaits)
    assert notes.take_all() == [told(40, "step 2")]
    await run(calls)
    assert notes.take_all() == [told(None, "in a thread")]


@pytest.mark.parametrize("percent", [-1, 101, float("nan"), "40"])
async def test_what_is_no_percent_fails_where_it_is_told(run: Any, percent: Any):
    async def handler(_: Any, context: HandlerContext) -> None:
        await context.progress(percent)

    with pytest.raises(HandlerFailedError):
        await run(handler)


async def test_a_message_is_made_fit_for_the_database(run: Any, notes: ProgressNotes):
    async def handler(_: Any, context: HandlerContext) -> None:
        await context.progress(1, "a\0b\ud800" + "x" * MESSAGE_CHARACTERS)

    await run(handler)
    (note,) = notes.take_all()
    assert note.message is not None
    assert note.message.startswith("a\N{REPLACEMENT CHARACTER}b?x")
    assert len(note.message) == MESSAGE_CHARACTERS


async def test_a_thread_sees_that_its_attempt_is_over_and_is_not_heard_any_more(
    run: Any, notes: ProgressNotes
):
    is_over = threading.Event()

    def handler(_: Any, context: HandlerContext) -> None:
        assert not context.cancelled
        while not context.cancelled:
            is_over.wait(0.01)
        context.progress(99)
        is_over.set()

    with pytest.raises(HandlerTimeoutError):
        await run(handler, timeoutSeconds=0.05)
    assert await asyncio.to_thread(is_over.wait, 5)
    assert notes.take_all() == []


class Claims:
    """Writes into a list, unless it is away."""

    def __init__(self) -> None:
        self.written: list[Progress] = []
        self.is_away = False

    async def report(self, progress: Progress) -> None:
        if self.is_away:
            raise DatabaseUnavailableError
        self.written.append(progress)


async def test_of_many_notes_the_latest_is_written_and_none_is_lost_to_an_outage(
    notes: ProgressNotes,
):
    claims: Any = Claims()
    tick = ProgressWriter(notes, claims).loop._tick  # pyright: ignore[reportPrivateUsage]
    notes.note(told(1))
    notes.note(told(2))
    claims.is_away = True
    with pytest.raises(DatabaseUnavailableError):
        await tick()
    claims.is_away = False
    await tick()
    assert claims.written == [told(2)]
    claims.is_away = True
    notes.note(told(3))
    notes.note(told(1, attempt=3))
    with pytest.raises(DatabaseUnavailableError):
        await tick()
    notes.note(told(4))
    claims.is_away = False
    await tick()
    assert sorted(claims.written, key=str) == sorted(
        [told(2), told(4), told(1, attempt=3)], key=str
    )
    await tick()
    assert len(claims.written) == 3


BODY = {"contentTypes": ["application/pdf"]}
DESCRIBED = [["Content-Type", "application/pdf"]]


class Kept:
    """A blob, and where it is."""

    size = 4

    async def open(self, name: str) -> "Kept":
        assert name == "a/body"
        return self

    async def chunks(self) -> AsyncGenerator[bytes]:
        yield b"%P"
        yield b"DF"


KEPT: Any = Kept()


@pytest.mark.parametrize(
    "body",
    [RequestBody(DESCRIBED, b"%PDF"), RequestBody(DESCRIBED, blobs=KEPT, blob="a/body")],
    ids=["small", "large"],
)
async def test_a_body_is_read_whole_or_in_parts_and_as_often_as_one_likes(
    run: Any, body: RequestBody
):
    async def handler(_: Any, context: HandlerContext) -> Any:
        assert context.body is not None
        whole = await context.body.read()
        parts = [chunk async for chunk in context.body.chunks()]
        return [whole.decode(), b"".join(parts).decode(), context.body.headers]

    attempt = replace(ATTEMPT, body=body)
    answer = await run(handler, attempt=attempt, body=BODY)
    assert orjson.loads(answer.body) == ["%PDF", "%PDF", DESCRIBED]


async def test_a_body_that_is_lost_is_no_fault_of_the_handlers(run: Any):
    class Lost:
        async def open(self, name: str) -> None:
            raise BlobLostError

    async def handler(_: Any, context: HandlerContext) -> Any:
        assert context.body is not None
        return await context.body.read()

    lost: Any = Lost()
    attempt = replace(ATTEMPT, body=RequestBody(DESCRIBED, blobs=lost, blob="a/body"))
    with pytest.raises(BodyLostError):
        await run(handler, attempt=attempt, body=BODY)


async def test_who_cannot_read_a_body_is_refused_at_the_start(run: Any):
    def in_a_thread(_: Any, context: HandlerContext) -> None:
        """It could not await it."""

    async def without_context(_: Any) -> None:
        """It is not given it."""

    for handler in (in_a_thread, without_context):
        with pytest.raises(OperationsFileError, match=r"a\.handler: .* is to read a `body`"):
            await run(handler, body=BODY)
