"""From an operation and a caller's wishes to a new task: one way for HTTP, kubectl and any other.

Each door only reads the wishes, and names a wrong one in its own words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asynctasks.callbacks.allow import NO_URLS, AllowedUrls
from asynctasks.errors import CallbackUrlError, TaskOptionsError
from asynctasks.json_values import written
from asynctasks.operations.fingerprint import coalescing_key, fingerprints
from asynctasks.operations.task_options import TaskOptions, check_options, check_order
from asynctasks.task import DEFAULT_PRIORITY, Task
from asynctasks.traces.trace_context import TraceContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    import orjson

    from asynctasks.operations.operation import Operation
    from asynctasks.operations.sealing import Header, Sealing


@dataclass(kw_only=True)
class NewTask:
    """All that is decided about a task before it is stored."""

    id: UUID
    operation: str
    revision: str | None = None
    queue: str
    arguments: orjson.Fragment | None
    """As JSON's text; None once they are stored, for whoever still waits with the task."""
    sealed_arguments: str | None
    sealed_headers: str | None = None
    body_headers: list[list[str]] | None = None
    """Of a body that came as it is to be sent; None where it was JSON or nothing."""
    body: bytes | None = None
    body_blob: str | None = None
    max_attempts: int
    created_at: datetime
    published: bool
    """Whether a message will have been published: not with a delay, nor with the broker away."""
    publish_in_seconds: float
    """When the relay publishes it; with `published`, if nobody has claimed it by then."""
    publish_grace_seconds: float = 0.0
    """And where it is published in a place that was reserved for it."""
    place_of: str | None = None
    """Who has reserved a place under its limits, which it takes if it is still there."""
    reply_to: str | None = None
    principal: str = ""
    tenant: str = ""
    priority: int = DEFAULT_PRIORITY
    fair_key: str = ""
    """Who it is for among those who share the operation's limits evenly."""
    idempotency_key: str | None = None
    fingerprint: str | None = None
    coalescing_key: str | None = None
    """Of calls that have the same one, only the first that has not finished makes a task."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    batch: str | None = None
    delay_seconds: float | None = None
    deadline: datetime | None = None
    deadline_seconds: float | None = None
    """In place of an instant: so long from now, by the clock of the database."""
    asynctask: str | None = None
    """`namespace/name/uid` of the AsyncTask that asks for it."""
    callbacks: list[dict[str, Any]] | None = None
    """Who is told of its end, as the row has it."""
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def trace(self) -> TraceContext | None:
        """Where it stands in its caller's trace."""
        return None if self.traceparent is None else TraceContext(self.traceparent, self.tracestate)

    def set_trace(self, trace: TraceContext | None) -> None:
        """Have what it leads to be part of this trace, at this place."""
        if trace is not None:
            self.traceparent, self.tracestate = trace.traceparent, trace.tracestate

    def let_go(self) -> None:
        """Hold no more of what the caller sent: it is stored, by this task or an earlier one."""
        self.arguments = self.body = None

    def start_at_once(self, *, has_place: bool) -> None:
        """Whether it has the place that was reserved; without it is held as others are."""
        self.published = has_place
        self.publish_in_seconds = self.publish_grace_seconds if has_place else 0.0

    def as_accepted(self) -> Task:
        """The task as its row stands once it is stored, by this process's clock."""
        return Task.of_row(
            {
                "id": self.id,
                "operation": self.operation,
                "revision": self.revision,
                "queue": self.queue,
                "principal": self.principal,
                "tenant": self.tenant,
                "priority": self.priority,
                "fair_key": self.fair_key,
                "arguments": self.arguments,
                "labels": self.labels,
                "batch": self.batch,
                "max_attempts": self.max_attempts,
                "created_at": self.created_at,
                "run_after": self._from_then(self.delay_seconds),
                "deadline": self._from_then(self.deadline_seconds) or self.deadline,
                "next_publish_at": self._from_then(self.publish_in_seconds),
                "published": self.published,
                "traceparent": self.traceparent,
            }
        )

    def _from_then(self, seconds: float | None) -> datetime | None:
        return None if seconds is None else self.created_at + timedelta(seconds=seconds)


def new_task(
    operation: Operation,
    *,
    arguments: Any,
    options: TaskOptions,
    sealing: Sealing,
    task_id: UUID,
    created_at: datetime,
    principal: str = "",
    tenant: str = "",
    headers: Sequence[Header] = (),
    publish_grace_seconds: float | None = None,
    asynctask: str | None = None,
    callback_urls: AllowedUrls = NO_URLS,
) -> NewTask:
    """The task of a call; raises TaskOptionsError, ArgumentsInvalidError.

    With `publish_grace_seconds` whoever stores it publishes it too, unless it has a delay, and the
    relay does so only if nobody has claimed it after that; without, or with limits, it is held
    until it is released.
    """
    delay_seconds, deadline_seconds = _times(operation, options, created_at)
    operation.schema.check(arguments)
    open_arguments, secrets = operation.schema.part(arguments)
    key = options.idempotency_key
    labels = {**operation.labels, **options.labels}
    is_published = (
        publish_grace_seconds is not None and delay_seconds is None and not operation.limits
    )
    publish_in_seconds = publish_grace_seconds if is_published else delay_seconds
    return NewTask(
        id=task_id,
        operation=operation.name,
        revision=operation.revision,
        queue=operation.queue,
        principal=principal,
        tenant=tenant,
        priority=operation.priority if options.priority is None else options.priority,
        fair_key=_fair_key(operation.fair_by, principal=principal, tenant=tenant, labels=labels),
        arguments=written(open_arguments),
        sealed_arguments=sealing.seal(secrets),
        sealed_headers=sealing.seal_headers(headers),
        max_attempts=operation.retry.max_attempts,
        created_at=created_at,
        published=is_published,
        publish_in_seconds=publish_in_seconds or 0.0,
        publish_grace_seconds=publish_grace_seconds or 0.0,
        idempotency_key=key,
        fingerprint=None if key is None else fingerprints(arguments, sealing.keys)[0],
        coalescing_key=(
            coalescing_key(operation.revision, arguments, headers, sealing.keys)
            # A call that wants its task to be run in its own way has one of its own.
            if operation.coalesce and options == TaskOptions() and asynctask is None
            else None
        ),
        labels=labels,
        batch=options.batch,
        delay_seconds=delay_seconds,
        deadline=options.deadline,
        deadline_seconds=deadline_seconds,
        asynctask=asynctask,
        callbacks=_callbacks(options, operation, callback_urls),
    )


def check_wishes(
    operation: Operation,
    options: TaskOptions,
    *,
    created_at: datetime,
    callback_urls: AllowedUrls = NO_URLS,
) -> None:
    """Raise TaskOptionsError for what could be granted with no arguments."""
    _times(operation, options, created_at)
    _callbacks(options, operation, callback_urls)


def _times(
    operation: Operation, options: TaskOptions, created_at: datetime
) -> tuple[float | None, float | None]:
    """The seconds until it starts, and until it has to have finished by; raises TaskOptionsError.

    The latter None, too, with an instant in its place.
    """
    check_options(options, now=created_at)
    delay_seconds = _delay_seconds(options, operation)
    deadline_seconds = _deadline_seconds(options, operation)
    if options.deadline is None:
        check_order(deadline_seconds=deadline_seconds, delay_seconds=delay_seconds)
    else:
        left_seconds = (options.deadline - created_at).total_seconds()
        check_order(deadline_seconds=left_seconds, delay_seconds=delay_seconds)
    return delay_seconds, deadline_seconds


def _callbacks(
    options: TaskOptions, operation: Operation, allowed: AllowedUrls
) -> list[dict[str, Any]] | None:
    """Who is told, as the row has it: whom the operation names, and whom its caller does."""
    told: list[dict[str, Any]] = []
    if operation.callbacks is not None:
        told.append(operation.callbacks.as_stored())
    if options.callback is not None:
        asked = operation.callback(options.callback)
        try:
            told.append({**asked.as_stored(), "url": allowed.checked(asked.url)})
        except CallbackUrlError as error:
            names = ", or a name of `callbacks` in the operations file"
            is_url = "://" in options.callback
            raise TaskOptionsError(
                "callback", error.expected + ("" if is_url or not allowed else names)
            ) from error
    return told or None


def _fair_key(
    fair_by: str | None, *, principal: str, tenant: str, labels: Mapping[str, str]
) -> str:
    match fair_by:
        case None:
            return ""
        case "principal":
            return principal
        case "tenant":
            return tenant
        case _:
            return labels.get(fair_by.removeprefix("label:"), "")


def _delay_seconds(options: TaskOptions, operation: Operation) -> float | None:
    """None where it may run at once, which a caller may ask for in place of a default."""
    if options.delay_seconds is None:
        return operation.delay_seconds
    return options.delay_seconds or None


def _deadline_seconds(options: TaskOptions, operation: Operation) -> float | None:
    """None with no deadline, or with an instant in its place."""
    if options.deadline_seconds is None and options.deadline is None:
        return operation.deadline_seconds
    return options.deadline_seconds
