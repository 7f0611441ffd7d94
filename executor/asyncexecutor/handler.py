"""Runs a Python function in place of an upstream call."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from asyncexecutor.failures import (
    AttemptFailedError,
    HandlerAnswerError,
    HandlerFailedError,
    HandlerTimeoutError,
)
from asyncexecutor.handler_context import HandlerContext
from asyncexecutor.handler_traceback import traceback_without_texts
from asyncexecutor.runner import Answer, is_storable_status
from asynctasks.errors import OperationsFileError
from asynctasks.json_values import has_infinite_number, write_json
from asynctasks.operations.response_headers import why_not_kept
from asynctasks.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from asyncexecutor.handler_threads import HandlerThreads
    from asyncexecutor.progress import ProgressNotes
    from asyncexecutor.runner import Attempt
    from asynctasks.operations.operation import Operation

log = structlog.get_logger(__name__)


class Handler:
    """`package.module:function`, called with the arguments as a dict.

    One with a parameter `context` is given a `HandlerContext` there. What it returns is the
    response: a `Response` as it is, None as 204, bytes as they are with 200, anything else as JSON
    with 200. A plain function runs in a thread, which goes on until it returns, whatever happens
    to the attempt meanwhile.
    """

    def __init__(
        self,
        operation: Operation,
        reference: str,
        threads: HandlerThreads,
        notes: ProgressNotes,
        *,
        max_response_bytes: int,
    ) -> None:
        """Raise OperationsFileError where there is no such function, or it cannot be called so."""
        self._operation = operation.name
        self._function = _function(operation, reference)
        self._is_async = inspect.iscoroutinefunction(self._function)
        self._takes_context = _takes_context(operation, self._function)
        if operation.body is not None and not (self._is_async and self._takes_context):
            raise OperationsFileError(
                f"{operation.place('handler')}: {operation.handler} is to read a `body`: expected "
                "`async def` with a parameter `context`"
            )
        self._threads = threads
        self._notes = notes
        self._timeout_seconds = operation.timeout_seconds
        self._max_response_bytes = max_response_bytes

    async def run(self, attempt: Attempt) -> Answer:
        """See `Runner`."""
        if not self._takes_context:
            return await self._run(attempt, partial(self._function, attempt.arguments))
        context = HandlerContext(attempt, self._notes)
        call = partial(self._function, attempt.arguments, context=context)
        try:
            return await self._run(attempt, call)
        finally:
            context.end()

    async def _run(self, attempt: Attempt, call: Callable[[], Any]) -> Answer:
        limit = asyncio.timeout(self._timeout_seconds)
        try:
            async with limit:
                answer = await self._called(call)
        except asyncio.CancelledError as error:
            if _is_cancelled_from_outside():
                raise
            raise self._failed(attempt.task_id, error) from None
        except AttemptFailedError:  # of its body, which is told as it is
            raise
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            if isinstance(error, TimeoutError) and limit.expired():
                raise HandlerTimeoutError(
                    f"The handler did not return within {self._timeout_seconds:g} s."
                ) from None
            raise self._failed(attempt.task_id, error) from None
        try:
            return Answer(_response(answer, max_bytes=self._max_response_bytes))
        except HandlerAnswerError as error:
            log.error(  # noqa: TRY400 - no traceback leads to the handler
                "answer of a handler refused",
                operation=self._operation,
                task_id=str(attempt.task_id),
                reason=str(error),
            )
            raise

    async def _called(self, call: Callable[[], Any]) -> Any:
        if self._is_async:
            return await call()
        answer = await self._threads.run(call, operation=self._operation)
        return await answer if inspect.isawaitable(answer) else answer

    def _failed(self, task_id: UUID, error: BaseException) -> HandlerFailedError:
        """The failure as callers see it: the error's own text may hold what is sealed."""
        log.error(
            "handler failed",
            operation=self._operation,
            task_id=str(task_id),
            exception=traceback_without_texts(error),
        )
        return HandlerFailedError(
            f"The handler raised {type(error).__name__}; the executor's log says where."
        )


def _function(operation: Operation, reference: str) -> Callable[..., Any]:
    module, _, name = reference.partition(":")
    place = operation.place("handler")
    try:
        function: Any = getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what is imported may raise anything
        raise OperationsFileError(
            f"{place}: {reference} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(function):
        raise OperationsFileError(f"{place}: {reference} is no function")
    return function


def _takes_context(operation: Operation, function: Callable[..., Any]) -> bool:
    """Whether it has a parameter `context`; raises OperationsFileError where it needs others."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # not every function written in C tells
        return False
    takes_context = "context" in signature.parameters
    try:
        signature.bind({}, **({"context": None} if takes_context else {}))
    except TypeError as error:
        raise OperationsFileError(
            f"{operation.place('handler')}: {operation.handler} cannot be called with "
            f"(arguments) or (arguments, context): {error}"
        ) from error
    return takes_context


def _is_cancelled_from_outside() -> bool:
    """Whether the attempt is to end, and not just something that the handler awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _response(answer: Any, *, max_bytes: int) -> Response:
    """The response that an answer is; raises HandlerAnswerError where it could not be stored."""
    if isinstance(answer, Response):
        response = _checked(answer)
    elif answer is None:
        response = Response(204, "", b"")
    elif isinstance(answer, bytes):
        response = Response(200, "application/octet-stream", answer)
    else:
        response = Response(200, "application/json", _json(answer))
    if len(response.body) > max_bytes:
        raise HandlerAnswerError(
            f"The handler returned more than {max_bytes} bytes, the most that is kept."
        )
    return response


def _json(answer: Any) -> bytes:
    try:
        text = write_json(answer)
    except TypeError as error:
        raise HandlerAnswerError(f"The handler returned what is no JSON: {error}.") from error
    if b"null" in text and has_infinite_number(answer):
        raise HandlerAnswerError("The handler returned what is no JSON: NaN or Infinity.")
    return text


def _checked(response: Response) -> Response:
    status: Any = response.status
    content_type: Any = response.content_type
    body: Any = response.body
    if type(status) is not int or not is_storable_status(status):
        raise HandlerAnswerError("The handler returned a Response whose status is not 200 to 599.")
    if not isinstance(content_type, str) or not (
        content_type.isascii() and (content_type.isprintable() or not content_type)
    ):
        raise HandlerAnswerError(
            "The handler returned a Response whose content_type is not one line of ASCII text."
        )
    if not isinstance(body, bytes):
        raise HandlerAnswerError("The handler returned a Response whose body is not bytes.")
    if fault := why_not_kept(response.headers):
        raise HandlerAnswerError(f"The handler returned a Response whose headers {fault}.")
    return response
