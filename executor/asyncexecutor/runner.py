"""What runs a task: an upstream call or a handler."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from asyncexecutor.attempt_bodies import RequestBody, ResponsePlace
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.sealing import Header
    from asynctasks.response import Response
    from asynctasks.traces.trace_context import TraceContext
    from asynctasks.upstream_job import UpstreamJob

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
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """All of the answer's, by their names in whatever case."""
    job: UpstreamJob | None = None
    """The job that it is the end of."""

    @property
    def succeeded(self) -> bool:
        """Whether it is what the operation is for."""
        return self.response.status < HTTPStatus.BAD_REQUEST and not self.leads_elsewhere


@dataclass(frozen=True, slots=True)
class JobGoesOn:
    """There is no answer yet: the upstream works on a job, to be asked for after so long."""

    job: UpstreamJob
    after_seconds: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a task, as far as it concerns what runs it."""

    task_id: UUID
    arguments: dict[str, Any]
    number: int = 1
    principal: str = ""
    tenant: str = ""
    deadline: datetime | None = None
    headers: Sequence[Header] = ()
    """The caller's own that its upstream gets, too."""
    body: RequestBody | None = None
    """What the caller sent, of an operation that takes a body as it comes."""
    response_place: ResponsePlace | None = None
    """Where a large response is put away; without one it is held."""
    trace: TraceContext | None = None
    """Where what it calls stands in a trace."""
    job: UpstreamJob | None = None
    """The job that this attempt has started, and is to be asked for."""


class Runner(Protocol):
    """What makes one attempt: an upstream call or a handler."""

    async def run(self, attempt: Attempt) -> Answer | JobGoesOn:
        """The answer, whatever its status; raises AttemptFailedError where there is none."""
        ...


class JobRunner(Runner):
    """One whose work an upstream may do after its answer."""

    @abstractmethod
    async def cancel(self, attempt: Attempt, job: UpstreamJob) -> None:
        """Tell the upstream that nobody waits for the job any more, as far as it can be told."""


@dataclass(frozen=True, slots=True)
class Runnable:
    """An operation and what runs it."""

    operation: Operation
    runner: Runner
