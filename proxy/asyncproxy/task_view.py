"""A task as callers see it: its JSON, its headers, and its answer."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import structlog
from starlette.responses import Response

from asyncproxy.blob_response import BlobResponse
from asyncproxy.holds import not_held
from asyncproxy.problems import problem_response
from asyncproxy.task_addresses import task_address, task_links
from asynctasks.errors import TaskNotFinishedError, TaskUnreadableError
from asynctasks.instants import utc_now
from asynctasks.json_values import write_json
from asynctasks.response import TYPE_PREFIX, body_json
from asynctasks.statements.shown import View
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from asyncproxy.holds import HoldOf
    from asynctasks import response as upstream
    from asynctasks.broker.messages import Reply
    from asynctasks.statements.pages import Page
    from asynctasks.task import Task

LARGE_BYTES = 65_536
_HARMLESS = {"Content-Security-Policy": "default-src 'none'; sandbox"}
"""Upstreams' answers are served on our origin: in a browser, nothing of them may run there."""
_BODILESS = frozenset({204, 205, 304})
_CACHING = frozenset({"cache-control", "expires"})
_ADDRESSES = frozenset({"location", "content-location"})
_PACKED = re.compile(r'(?:[-;]+(?:gzip|br|deflate|zstd))+"$|"(?:[-;]+(?:gzip|br|deflate|zstd))+$')
"""What proxies that compress add to an ETag: Apache's mod_deflate `"7-gzip"`, Jetty `"7--gzip"`."""
_UNSHOWABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What making JSON of a row raises where it holds JSON of another shape or depth than we write."""

log = structlog.get_logger(__name__)


def task_json(
    task: Task, *, prefix: str = "", hold_of: HoldOf = not_held, view: View = View.FULL
) -> dict[str, Any]:
    """The task document; of the arguments only what is not `writeOnly`, if they are at hand.

    The addresses in it begin with the prefix.
    """
    hold = hold_of(task)
    return {
        "id": str(task.id),
        "operation": task.operation,
        "principal": task.principal or None,
        "tenant": task.tenant or None,
        "status": task.shown_status,
        "done": task.status.is_final,
        "priority": task.priority,
        "attempt": task.attempt,
        "countedAttempts": task.counted_attempts,
        "maxAttempts": task.max_attempts,
        "cancelRequested": task.cancel_requested,
        "createdAt": task.created_at,
        "startedAt": task.started_at,
        "finishedAt": task.finished_at,
        "deadline": task.deadline,
        "progress": task.progress,
        "message": task.message if hold is None else hold.detail,
        "heldBy": hold and {"kind": hold.kind, "name": hold.name},
        "nextAttemptAt": _next_attempt_at(task),
        "upstreamJob": _job_json(task),
        "traceId": task.trace_id,
        "labels": task.labels or {},
        "batch": task.batch,
        **({} if task.arguments is None else {"arguments": task.arguments}),
        "attempts": task.attempts or [],
        "response": _response_json(task, view),
        "error": task.error and {**task.error, "type": TYPE_PREFIX + task.error["type"]},
        "links": task_links(task.id, prefix=prefix),
    }


def task_document(
    task: Task, *, prefix: str = "", hold_of: HoldOf = not_held, view: View = View.FULL
) -> bytes:
    """The task as JSON; raises TaskUnreadableError where its row holds what makes none."""
    try:
        document = task_json(task, prefix=prefix, hold_of=hold_of, view=view)
        return write_json(document, orjson.OPT_UTC_Z)
    except _UNSHOWABLE as error:
        raise TaskUnreadableError(task.id) from error


def task_response(
    task: Task,
    *,
    retry_after_seconds: int,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    prefix: str = "",
    hold_of: HoldOf = not_held,
) -> Response:
    """The task document with its ETag, and Retry-After while it can still change."""
    own = {"ETag": etag(task), "Cache-Control": "no-store", "Task-Id": str(task.id)}
    if not task.status.is_final:
        own["Retry-After"] = str(retry_after_seconds)
    own |= headers or {}
    document = task_document(task, prefix=prefix, hold_of=hold_of)
    return Response(document, status, own, media_type="application/json")


def accepted_response(
    task: Task,
    headers: Mapping[str, str] | None = None,
    *,
    retry_after_seconds: int,
    prefix: str = "",
    hold_of: HoldOf = not_held,
) -> Response:
    """202: the work goes on, and here is where to look (RFC 9110 §15.3.3)."""
    location = {
        "Location": task_address(task.id, prefix=prefix),
        "Operation-Location": task_address(task.id, "operation", prefix=prefix),
    }
    return task_response(
        task,
        status=202,
        retry_after_seconds=retry_after_seconds,
        headers={**location, **(headers or {})},
        prefix=prefix,
        hold_of=hold_of,
    )


def unfinished_response(
    task: Task,
    headers: Mapping[str, str] | None = None,
    *,
    redirect_wait_seconds: int | None,
    retry_after_seconds: int,
    prefix: str = "",
    hold_of: HoldOf = not_held,
) -> Response:
    """202 or, with a number of seconds, 303 to an address that waits so long for the answer."""
    if redirect_wait_seconds is None:
        return accepted_response(
            task,
            headers,
            retry_after_seconds=retry_after_seconds,
            prefix=prefix,
            hold_of=hold_of,
        )
    address = f"{task_address(task.id, 'response', prefix=prefix)}?wait={redirect_wait_seconds}"
    own = {"Location": address, "Cache-Control": "no-store", "Task-Id": str(task.id)}
    document = task_document(task, prefix=prefix, hold_of=hold_of)
    return Response(document, 303, {**own, **(headers or {})}, media_type="application/json")


async def page_response(
    page: Page, *, next_page: str | None, prefix: str = "", hold_of: HoldOf = not_held
) -> Response:
    """A page of tasks; `Link: rel=next` (RFC 8288) where there may be more.

    A task that cannot be read is left out, and the log says which. Others have their turn between
    two large ones.
    """
    documents: list[orjson.Fragment] = []
    unreadable = list(page.unreadable)
    for task in page.tasks:
        try:
            document = task_document(task, prefix=prefix, hold_of=hold_of, view=page.view)
        except TaskUnreadableError:
            unreadable.append(task.id)
            continue
        documents.append(orjson.Fragment(document))
        if len(document) > LARGE_BYTES:
            await asyncio.sleep(0)
    if unreadable:
        log.warning("tasks cannot be read", task_ids=list(map(str, unreadable)))
    token = None if page.following is None else str(page.following)
    headers = {"Cache-Control": "no-store"}
    if next_page is not None:
        headers["Link"] = f'<{prefix}{next_page}>; rel="next"'
    body = orjson.dumps({"tasks": documents, "nextPageToken": token})
    return Response(body, 200, headers, media_type="application/json")


def reply_response(reply: Reply, headers: Mapping[str, str], *, prefix: str = "") -> Response:
    """The executor's reply as the answer to the call."""
    error = reply.error and reply.error.to_json()
    return _answer(reply.task_id, reply.response, error, headers, prefix)


def row_response(
    task: Task, headers: Mapping[str, str] | None = None, *, prefix: str = ""
) -> Response:
    """A finished task's answer, as the caller would have had it.

    How long it may be cached is the upstream's to say, and `Age` (RFC 9111 §5.1) how much of that
    is over. Raises TaskNotFinishedError, TaskUnreadableError.
    """
    if not task.status.is_final:
        raise TaskNotFinishedError(
            f"The task is {task.shown_status}; its response is not there yet."
        )
    try:
        response = task.response
        own = dict(headers or {})
        if response is not None and any(name.lower() in _CACHING for name, _ in response.headers):
            own.pop("Cache-Control", None)
            own["Age"] = str(_age_seconds(task))
        return _answer(task.id, response, task.error, own, prefix)
    except _UNSHOWABLE as error:
        raise TaskUnreadableError(task.id) from error


def etag(task: Task) -> str:
    """A strong validator: every change of the task bumps its version."""
    return f'"{task.version}"'


def matches(if_none_match: str, tag: str) -> bool:
    """Weak comparison (RFC 9110 §13.1.2), whatever a proxy added to our ETag."""
    tags = {_PACKED.sub('"', one.strip().removeprefix("W/")) for one in if_none_match.split(",")}
    return tag.removeprefix("W/") in tags or "*" in tags


def _answer(
    task_id: UUID,
    response: upstream.Response | None,
    error: Mapping[str, Any] | None,
    headers: Mapping[str, str],
    prefix: str,
) -> Response:
    own = {"Task-Id": str(task_id), **headers}
    if error is not None:
        self = task_address(task_id, prefix=prefix)
        return problem_response(**error, headers=own, instance=self, taskId=str(task_id))
    own |= _HARMLESS
    if response is None:
        return Response(status_code=204, headers=own)
    if response.status in _BODILESS:
        answer = Response(status_code=response.status, headers=own)
    else:
        own["Content-Type"] = response.content_type or "application/octet-stream"
        if response.blob is not None:
            answer = BlobResponse(response.blob, status=response.status, headers=own)
        else:
            answer = Response(response.body, response.status, own)
    if response.headers:
        answer.raw_headers += _raw(response.headers, prefix)
    return answer


def _raw(headers: Iterable[tuple[str, str]], prefix: str) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them: small letters, and of a value each character one byte."""
    raw: list[tuple[bytes, bytes]] = []
    for given, value in headers:
        name = given.lower()
        # A path of our own, since an upstream's address was made whole.
        is_ours = name in _ADDRESSES and value.startswith("/") and not value.startswith("//")
        raw.append((name.encode(), (prefix + value if is_ours else value).encode("latin-1")))
    return raw


def _age_seconds(task: Task) -> int:
    assert task.finished_at is not None
    return max(0, int((utc_now() - task.finished_at).total_seconds()))


def not_modified(answer: Response, if_none_match: str | None) -> Response:
    """The upstream's answer, or 304 where the caller has it already (RFC 9110 §13.1.2)."""
    tag = answer.headers.get("etag")
    if if_none_match is None or tag is None or answer.status_code != HTTPStatus.OK:
        return answer
    if not matches(if_none_match, tag):
        return answer
    same = Response(status_code=HTTPStatus.NOT_MODIFIED)
    same.raw_headers = [
        (name, value)
        for name, value in answer.raw_headers
        if name not in {b"content-type", b"content-length"}
    ]
    return same


def _next_attempt_at(task: Task) -> datetime | None:
    """When a retry's backoff or a delayed start is over."""
    return task.run_after if task.shown_status is TaskStatus.QUEUED else None


def _job_json(task: Task) -> dict[str, Any] | None:
    """The upstream's job, its address without what often holds a key."""
    if task.upstream_job is None:
        return None
    url = urlsplit(str(task.upstream_job["url"]))
    address = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="")
    return {"url": address.geturl(), "state": task.upstream_job.get("state")}


def _response_json(task: Task, view: View) -> dict[str, Any] | None:
    response = task.response
    if response is None:
        return None
    if view is View.SUMMARY:
        return {"status": response.status, "contentType": response.content_type}
    # What is large, or neither JSON nor text, is only at the task's `response` link.
    return {
        "status": response.status,
        "contentType": response.content_type,
        "headers": _headers_json(response),
        "body": None if response.blob is not None else body_json(response),
    }


def _headers_json(response: upstream.Response) -> dict[str, list[str]]:
    """By name in small letters all values of that name, in their order."""
    found: dict[str, list[str]] = {}
    for name, value in response.headers:
        found.setdefault(name.lower(), []).append(value)
    return found
