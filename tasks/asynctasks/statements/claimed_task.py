"""What an executor is given of a task that it may run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from asynctasks.traces.trace_context import TraceContext
from asynctasks.upstream_job import UpstreamJob

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """A task that is this executor's until its lease runs out."""

    id: UUID
    operation: str
    arguments: dict[str, Any]
    sealed_arguments: str | None
    sealed_headers: str | None = None
    body_headers: list[list[str]] | None = None
    body: bytes | None = None
    body_blob: str | None = None
    attempt: int
    interruptions: int
    drains: int = 0
    max_attempts: int
    attempts: list[dict[str, Any]]
    attempt_started_at: datetime
    executor: str
    reply_to: str | None
    principal: str = ""
    tenant: str = ""
    fair_key: str = ""
    """Who it is for among those who share its operation's limits."""
    deadline: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    upstream_job: dict[str, Any] | None = None
    cancel_requested: bool = False
    """Only where it was asked for between two polls of a job: no other task is claimed then."""

    @property
    def trace(self) -> TraceContext | None:
        """Where what it leads to stands in its caller's trace."""
        return None if self.traceparent is None else TraceContext(self.traceparent, self.tracestate)

    def in_trace(self, trace: TraceContext | None) -> ClaimedTask:
        """The same as a part of this trace, if there is one to be named."""
        if trace is None:
            return self
        return replace(self, traceparent=trace.traceparent, tracestate=trace.tracestate)

    @property
    def job(self) -> UpstreamJob | None:
        """The upstream's job that this attempt has started."""
        return None if self.upstream_job is None else UpstreamJob.of_json(self.upstream_job)
