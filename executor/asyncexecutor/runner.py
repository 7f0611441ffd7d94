"""What runs a task: an upstream call or a handler."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from asyncexecutor.attempt_bodies import RequestBody, ResponsePlace
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.sealing import Header
    from asynctasks.response import Response

LAST_STATUS = 599


def is_storable_status(status: int) -> bool:
    """Whether it is a status by which an exchange can end: an interim one is no answer."""
    return HTTPStatus.OK <= status <= LAST_STATUS


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream answered, and how long it asks us to wait before another attempt."""

    response: Response
    retry_after_seconds: float | None = None
    leads_elsewhere: bool = False
    """It says that the answer is at another address, which fails the operation."""

    @property
    def succeeded(self) -> bool:
        """Whether it is what the operation is for."""
        return self.response.status < HTTPStatus.BAD_REQUEST and not self.leads_elsewhere


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a task, as far as it concerns what runs it."""

    task_id: UUID
    arguments: dict[str, Any]
    number: int = 1
    principal: str = ""
    deadline: datetime | None = None
    headers: Sequence[Header] = ()
    """The caller's own that its upstream gets, too."""
    body: RequestBody | None = None
    """What the caller sent, of an operation that takes a body as it comes."""
    response_place: ResponsePlace | None = None
    """Where a large response is put away; without one it is held."""


class Runner(Protocol):
    """What makes one attempt: an upstream call or a handler."""

    async def run(self, attempt: Attempt) -> Answer:
        """The answer, whatever its status; raises AttemptFailedError where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Runnable:
    """An operation and what runs it."""

    operation: Operation
    runner: Runner
