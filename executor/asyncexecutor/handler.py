"""Runs a Python function in place of an upstream call."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from typing import TYPE_CHECKING, Any

import orjson

from asyncexecutor.failures import HandlerFailedError
from asyncexecutor.runner import Answer
from asynctasks.errors import OperationsFileError
from asynctasks.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


class Handler:
    """`package.module:function`, called with the arguments as a dict.

    What it returns is the response: a `Response` as it is, None as 204, anything else as JSON with
    200. A plain function runs in a thread, where a cancel cannot stop it.
    """

    def __init__(self, operation: str, reference: str) -> None:
        """Raise OperationsFileError where there is no such function."""
        module, _, name = reference.partition(":")
        try:
            function: Any = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise OperationsFileError(f"{operation}: handler: {reference}: {error}") from error
        if not callable(function):
            raise OperationsFileError(f"{operation}: handler: {reference} is no function")
        self._function: Callable[[dict[str, Any]], Any] = function
        self._is_async = inspect.iscoroutinefunction(function)

    async def run(self, task_id: UUID, arguments: dict[str, Any]) -> Answer:
        """See `Runner`; raises HandlerFailedError."""
        del task_id
        try:
            if self._is_async:
                answer = await self._function(arguments)
            else:
                answer = await asyncio.to_thread(self._function, arguments)
            return Answer(_response(answer))
        except Exception as error:
            raise HandlerFailedError(
                f"The handler raised {type(error).__name__}: {error}"
            ) from error


def _response(answer: Any) -> Response:
    if isinstance(answer, Response):
        return answer
    if answer is None:
        return Response(204, "", b"")
    return Response(200, "application/json", orjson.dumps(answer))
