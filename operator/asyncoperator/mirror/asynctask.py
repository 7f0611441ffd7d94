"""An AsyncTask: what the object says, and how a task's row is shown in it.

All who may look at objects may read it, and etcd keeps it: never arguments of a mirrored task,
never secrets, never a response's body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import structlog
from pydantic import Field

from asyncoperator.cluster.custom_object import (
    API_VERSION,
    INSTALLATION,
    OPERATOR,
    Condition,
    Finding,
    Object,
    Part,
    conditions,
    installation_of,
    timestamp,
)
from asynctasks.instants import utc_now
from asynctasks.json_values import as_object
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynctasks.statements.mirroring import MirroredTask

PLURAL = "asynctasks"
MANAGED_BY = "app.kubernetes.io/managed-by"
DEFAULTED = "1970-01-01T00:00:00Z"
"""When the conditions began that the API server gives an object which no operator has seen yet."""
MESSAGE_BYTES = 1_000
"""Kubernetes' conditions hold 32 kB; one line of a table holds far less."""

log = structlog.get_logger(__name__)


class AsyncTaskSpec(Part):
    """What an AsyncTask asks for: a person's is to become a task, the mirror's own has one."""

    installation: str | None = None
    """Only needed in a person's, where several installations share the namespace."""
    task_id: str | None = None
    """Only in the mirror's own objects."""
    operation: str
    queue: str | None = None
    """Only in the mirror's own objects."""
    arguments: dict[str, Any] | None = None
    """Only in people's objects."""
    labels: dict[str, str] | None = None
    deadline_seconds: int | None = None
    delay_seconds: int | None = None
    priority: int | None = None
    callback: str | None = None
    """A URL, or a name of the operations file."""
    cancel_requested: bool | None = None
    ttl_seconds_after_finished: int | None = None


class AsyncTaskStatus(Part):
    """What the operator shows of a task in its AsyncTask."""

    installation: str | None = None
    """Whose task it is."""
    finished: bool = False
    """For `--field-selector`: one of a task that a retry has revived shows it no more."""
    task_id: str | None = None
    task_status: str | None = None
    version: int | None = None
    attempt: int | None = None
    max_attempts: int | None = None
    queued_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    executor: str | None = None
    progress: int | None = None
    response_status: int | None = None
    response_url: Annotated[str | None, Field(serialization_alias="responseURL")] = None
    message: str | None = None
    observed_generation: int | None = None
    conditions: list[Condition] = Field(default_factory=list[Condition])


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTask:
    """An AsyncTask as we last saw it. Of its spec and status only what decisions need is kept."""

    name: str
    uid: str
    resource_version: int
    generation: int
    created_at: datetime
    is_going: bool
    """Whether it is being deleted, or is gone."""
    installation: str | None
    """Whose it is; None where it does not say."""
    is_ours: bool
    """Whether the mirror made it, and not a person."""
    is_stray: bool
    """Whether it claims to be the mirror's, and nobody who may write a status has confirmed that.

    Anyone who may create objects can make one. The mirror's own is one for a moment.
    """
    task_id: UUID | None
    """The task that it shows."""
    task_status: TaskStatus | None
    version: int
    """Of the row, as it is shown; 0 where nothing is."""
    observed_generation: int
    """The generation of which the status tells; kstatus waits until it is the object's."""
    finished_at: datetime | None
    ttl_seconds: int | None
    cancel_requested: bool
    is_refused: bool
    """Whether its arguments cannot become a task."""
    conditions: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """By type the status, and since when."""
    owners: tuple[Object, ...] = ()
    request: AsyncTaskSpec | None = None
    """A person's, for as long as it is no task."""

    @property
    def is_final(self) -> bool:
        """Whether it shows a finished task, or can never have one."""
        return self.is_refused or (self.task_status is not None and self.task_status.is_final)

    @property
    def reference(self) -> Object:
        """The object as an Event names it."""
        return {
            "apiVersion": API_VERSION,
            "kind": "AsyncTask",
            "metadata": {"name": self.name, "uid": self.uid},
        }


def object_name(task_id: UUID) -> str:
    """The name of the mirror's own object of a task."""
    return f"t-{task_id}"


def parse(body: Mapping[str, Any], *, is_gone: bool = False) -> ObservedTask:
    """What an object of the API server says; its schema has been checked there."""
    metadata, spec = body["metadata"], as_object(body.get("spec")) or {}
    status = as_object(body.get("status")) or {}
    labels = as_object(metadata.get("labels")) or {}
    said = {
        one["type"]: (one["status"], one["lastTransitionTime"])
        for one in status.get("conditions") or ()
        if one["lastTransitionTime"] != DEFAULTED
    }
    named, shown = spec.get("taskId"), status.get("taskId")
    is_claimed = named is not None and labels.get(MANAGED_BY) == OPERATOR and INSTALLATION in labels
    is_ours = is_claimed and named == shown
    is_refused = said.get("Accepted", ("",))[0] == "False"
    task_status = status.get("taskStatus")
    is_asking = not is_claimed and shown is None and not is_refused
    return ObservedTask(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        generation=metadata.get("generation", 1),
        created_at=_instant(metadata["creationTimestamp"]) or utc_now(),
        is_going=is_gone or "deletionTimestamp" in metadata,
        installation=installation_of(body),
        is_ours=is_ours,
        is_stray=is_claimed and not is_ours,
        task_id=_uuid(shown),
        task_status=TaskStatus(task_status.lower()) if task_status else None,
        version=status.get("version", 0),
        observed_generation=status.get("observedGeneration", 0),
        finished_at=_instant(status.get("finishedAt")),
        ttl_seconds=spec.get("ttlSecondsAfterFinished"),
        cancel_requested=bool(spec.get("cancelRequested")),
        is_refused=is_refused,
        conditions=said,
        owners=tuple(metadata.get("ownerReferences") or ()),
        # The body may be a view that changes; what is kept must not.
        request=AsyncTaskSpec.model_validate(dict(spec)) if is_asking else None,
    )


def parse_known(body: Mapping[str, Any], *, is_gone: bool = False) -> ObservedTask | None:
    """The same; None, and a line in the log, of one that has come past the schema."""
    try:
        return parse(body, is_gone=is_gone)
    except Exception as error:  # noqa: BLE001 - one object, whatever is in it, stops no other
        name = (as_object(body.get("metadata")) or {}).get("name")
        log.error("object not understood", asynctask=name, fault=type(error).__name__)  # noqa: TRY400 - its text quotes what the object holds
        return None


def mirrored_object(row: MirroredTask, *, installation: str, owner: Object | None) -> Object:
    """The mirror's own object of a task, without its status."""
    labels = {MANAGED_BY: OPERATOR, INSTALLATION: installation}
    metadata: Object = {"name": object_name(row.id), "labels": labels}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    spec = AsyncTaskSpec(task_id=str(row.id), operation=row.operation, queue=row.queue)
    return {"metadata": metadata, "spec": spec.to_json()}


def task_status(
    row: MirroredTask, seen: ObservedTask, *, installation: str, now: datetime, public_url: str
) -> Object:
    """The status that shows the row in the object."""
    reason, message = _reason(row), _message(row)
    text = f"It is the task {row.id}."
    findings = [
        Finding(type="Accepted", holds=True, reason="Submitted", message=text),
        *_endings(_has_succeeded(row.status), reason=reason, message=message),
    ]
    has_response = row.response_status is not None
    return AsyncTaskStatus(
        installation=installation,
        finished=row.status.is_final,
        task_id=str(row.id),
        task_status=row.status.capitalize(),
        version=row.version,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        queued_at=_text(row.created_at),
        started_at=_text(row.started_at),
        finished_at=_text(row.finished_at),
        executor=row.executor,
        progress=row.progress,
        response_status=row.response_status,
        response_url=(
            f"{public_url}/tasks/{row.id}/response" if has_response and public_url else None
        ),
        message=message,
        observed_generation=seen.generation,
        conditions=_conditions(seen, findings, now),
    ).to_json()


def refused_status(
    seen: ObservedTask, *, installation: str, reason: str, message: str, now: datetime
) -> Object:
    """The status of an object that cannot become a task."""
    message = _shortened(message)
    findings = [
        Finding(type="Accepted", holds=False, reason=reason, message=message),
        # It has ended, so that who waits for that does not wait for ever.
        *_endings(False, reason=reason, message=message),  # noqa: FBT003 - as tasks have it
    ]
    return AsyncTaskStatus(
        installation=installation,
        finished=True,
        message=message,
        observed_generation=seen.generation,
        conditions=_conditions(seen, findings, now),
    ).to_json()


def _endings(has_succeeded: bool | None, *, reason: str, message: str) -> list[Finding]:
    """How it ended, in our own words and in kstatus', by which Helm and others wait.

    https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
    """
    has_ended = has_succeeded is not None
    held = {
        "Succeeded": has_succeeded,
        "Finished": has_ended,
        "Ready": has_succeeded is True,
        "Reconciling": not has_ended,
        "Stalled": has_succeeded is False,
    }
    return [
        Finding(type=kind, holds=holds, reason=reason, message=message)
        for kind, holds in held.items()
    ]


def _conditions(seen: ObservedTask, findings: list[Finding], now: datetime) -> list[Condition]:
    since = {(kind, status): at for kind, (status, at) in seen.conditions.items()}
    return conditions(findings, since, generation=seen.generation, now=now)


def _has_succeeded(status: TaskStatus) -> bool | None:
    return status is TaskStatus.SUCCEEDED if status.is_final else None


def _reason(row: MirroredTask) -> str:
    if row.cancel_requested and not row.status.is_final:
        return "CancelRequested"
    return row.status.capitalize()


def _message(row: MirroredTask) -> str:
    if row.error is not None:
        return _shortened(f"{row.error.get('title', '')}: {row.error.get('detail', '')}")
    if row.message and not row.status.is_final:
        return _shortened(row.message)
    if row.response_status is not None:
        return f"The upstream answered {row.response_status}."
    if row.cancel_requested and not row.status.is_final:
        return "Its end has been asked for."
    return {
        TaskStatus.QUEUED: "It waits for an executor.",
        TaskStatus.RUNNING: "It runs.",
    }.get(row.status, f"It has {row.status}.")


def _shortened(text: str) -> str:
    if len(text.encode()) <= MESSAGE_BYTES:
        return text
    return text.encode()[: MESSAGE_BYTES - 3].decode(errors="ignore") + "…"


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else timestamp(instant)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _uuid(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:  # a person may write what they like
        return None
