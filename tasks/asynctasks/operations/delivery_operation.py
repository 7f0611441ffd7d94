"""The operation whose tasks tell of other tasks' ends. No file declares it, and no caller calls it.

Its tasks are added by the database as others end (see migration 0013), which knows its name, its
queue and its number of attempts, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import model_validator

from asynctasks.errors import CallbackUrlError, OperationsFileError
from asynctasks.operations.operation import Operation
from asynctasks.operations.retry_policy import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynctasks.callbacks.allow import AllowedUrls
    from asynctasks.operations.callback import Callback
    from asynctasks.operations.operation import Operations

NAME = "callback"
QUEUE = "callbacks"
MINUTE, HOUR = 60, 3_600
WAITS_SECONDS = (
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
"""Between one attempt and the next, three days in all: what Standard Webhooks advises."""
GONE = 410
SPREAD = 0.1
"""Of a wait it is as much shorter or longer at most."""


class _Schedule(RetryPolicy):
    max_attempts: int = len(WAITS_SECONDS) + 1
    on_status: frozenset[int] = frozenset(range(300, 600)) - {GONE}
    """All that is no success. A receiver that is gone for good says so."""

    def pause_seconds(self, failures: int, *, jitter: float) -> float:
        """See `RetryPolicy`."""
        wait = WAITS_SECONDS[min(failures, len(WAITS_SECONDS)) - 1]
        return wait * (1 - SPREAD + 2 * SPREAD * jitter)


class _DeliveryOperation(Operation):
    is_callable: ClassVar[bool] = False

    @model_validator(mode="after")
    def _runs_one_thing(self) -> Self:
        return self  # the executor knows what


DELIVERY: Operation = _DeliveryOperation(
    name=NAME,
    summary="Tell of a task's end",
    route="POST /callbacks",  # which is not served
    queue=QUEUE,
    retry=_Schedule(),
)


def with_deliveries(operations: Operations, allowed: AllowedUrls) -> Operations:
    """The operations of a file, and where callbacks are on the one that makes them.

    Raises OperationsFileError where the file names a URL that may not be called.
    """
    faults: list[str] = []
    for place, callback in _declared(operations):
        try:
            allowed.checked(callback.url)
        except CallbackUrlError as error:
            faults.append(f"{place}: expected {error.expected} (ASYNCAPIPROXY_CALLBACK_ALLOW)")
    if faults:
        raise OperationsFileError("\n".join(faults))
    return {**operations, NAME: DELIVERY} if allowed else operations


def _declared(operations: Operations) -> Iterator[tuple[str, Callback]]:
    """All callbacks that the file has, and where they stand in it."""
    named: dict[str, Callback] = {}
    for operation in operations.values():
        named |= operation.named_callbacks
        if operation.callbacks is not None:
            yield operation.place("callbacks", "url"), operation.callbacks
    for name, callback in named.items():
        yield f"callbacks.{name}.url", callback
