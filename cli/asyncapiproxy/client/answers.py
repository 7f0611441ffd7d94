"""Reads what the proxy answers: documents, problems, and whether an answer is the upstream's."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from asyncapiproxy.client.batch_state import BatchCounts, BatchPage, BatchState
from asyncapiproxy.client.delivery import Delivery
from asyncapiproxy.client.errors import NotAProxyError, ProxyUnreachableError, problem_error
from asyncapiproxy.client.problem import OURS, Problem, problem_of
from asyncapiproxy.client.repeating import is_passing, retry_after_seconds
from asyncapiproxy.client.task_state import TaskPage, TaskState, TaskStatus
from asynctasks.json_values import as_object, read_json

if TYPE_CHECKING:
    import httpx

    from asyncapiproxy.client.task_state import Document

_OF_A_TASK = ("id", "operation", "status", "done")


def document_of(response: httpx.Response) -> Document:
    """The JSON object of a successful answer; raises ProblemError, NotAProxyError."""
    raise_problem(response)
    document = _json_object(response)
    if document is None:
        raise not_a_proxy(response, "its answer is no JSON object")
    return document


def task_of(response: httpx.Response) -> TaskState:
    """The task of an answer; raises ProblemError, NotAProxyError."""
    document = document_of(response)
    if not document.keys() >= set(_OF_A_TASK):
        raise not_a_proxy(response, "its answer is no task")
    return TaskState(document, response.text, response.headers.get("etag"))


def page_of(response: httpx.Response) -> TaskPage:
    """The page of an answer; raises ProblemError, NotAProxyError."""
    document = document_of(response)
    if "tasks" not in document:
        raise not_a_proxy(response, "its answer is no page of tasks")
    tasks = tuple(TaskState(task) for task in document["tasks"])
    return TaskPage(tasks, document.get("nextPageToken"), response.text)


def batch_of(response: httpx.Response) -> BatchState:
    """The batch of an answer; raises ProblemError, NotAProxyError."""
    return BatchState(_document_with(response, "counts"), response.text)


def batch_counts_of(response: httpx.Response) -> BatchCounts:
    """What a dry run is answered; raises ProblemError, NotAProxyError."""
    document = _document_with(response, "statuses")
    return BatchCounts(document["statuses"], document["isComplete"], response.text)


def batch_page_of(response: httpx.Response) -> BatchPage:
    """The page of an answer; raises ProblemError, NotAProxyError."""
    document = _document_with(response, "batches")
    return BatchPage(tuple(map(BatchState, document["batches"])), document.get("nextPageToken"))


def _document_with(response: httpx.Response, name: str) -> Document:
    document = document_of(response)
    if name not in document:
        raise not_a_proxy(response, f"its answer has no `{name}`")
    return document


def deliveries_of(response: httpx.Response) -> tuple[Delivery, ...]:
    """The deliveries of an answer; raises ProblemError, NotAProxyError."""
    document = document_of(response)
    if "deliveries" not in document:
        raise not_a_proxy(response, "its answer is no list of deliveries")
    return tuple(map(Delivery, document["deliveries"]))


def delivery_of(response: httpx.Response) -> Delivery:
    """The delivery of an answer; raises ProblemError, NotAProxyError."""
    document = document_of(response)
    if not document.keys() >= {"number", "status"}:
        raise not_a_proxy(response, "its answer is no delivery")
    return Delivery(document)


def raise_problem(response: httpx.Response) -> None:
    """Raise ProblemError, NotAProxyError or ProxyUnreachableError, unless it is a success."""
    if response.is_success:
        return
    problem = _problem(response)
    if problem is None:
        told = f"{response.status_code} to {response.request.url.path}"
        if is_passing(response):
            where = _origin(response)
            raise ProxyUnreachableError(f"{where} answers {told}: the proxy is away.", url=where)
        raise not_a_proxy(response, f"it answers {told}")
    raise problem_error(
        problem,
        status=response.status_code,
        retry_after_seconds=retry_after_seconds(response),
    )


def problem_of_task(response: httpx.Response) -> Problem | None:
    """Our own problem, by which a task has ended; None where the answer is the upstream's."""
    problem = _problem(response)
    task_id = response.headers.get("task-id")
    if problem is None or task_id is None or problem.task_id != task_id:
        return None
    return problem if problem.type.startswith(OURS) else None


def any_problem(response: httpx.Response) -> Problem | None:
    """The problem that an answer is, whoever tells it."""
    return _problem(response)


def says_unfinished(response: httpx.Response) -> bool:
    """Whether it is our own 202 or 303, which lead to the task: the upstream may have such, too."""
    task_id: str = response.headers.get("task-id", "")
    location: str = response.headers.get("location", "")
    address = urlsplit(location)
    if response.status_code == HTTPStatus.ACCEPTED:
        return bool(task_id) and address.path.endswith(f"/tasks/{task_id}")
    is_redirect = response.status_code == HTTPStatus.SEE_OTHER
    return is_redirect and address.path.endswith(f"/tasks/{task_id}/response")


def ended_status(response: httpx.Response) -> TaskStatus | None:
    """How a task has ended whose answer this is; None where the answer alone does not tell.

    A redirect is what some operations are for, and fails others.
    """
    problem = problem_of_task(response)
    if problem is not None:
        ended: dict[str, TaskStatus] = {"task-cancelled": "cancelled", "task-expired": "expired"}
        return ended.get(problem.name, "failed")
    if response.is_redirect:
        return None
    return "failed" if response.is_error else "succeeded"


def not_a_proxy(response: httpx.Response, reason: str) -> NotAProxyError:
    """The error of an answer that no proxy of ours would give."""
    return NotAProxyError(f"{_origin(response)} does not look like an AsyncApiProxy: {reason}.")


def _origin(response: httpx.Response) -> str:
    url = response.request.url
    return f"{url.scheme}://{url.netloc.decode()}"


def _problem(response: httpx.Response) -> Problem | None:
    if "problem+json" not in response.headers.get("content-type", ""):
        return None
    document = _json_object(response)
    return None if document is None else problem_of(document, status=response.status_code)


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        return as_object(read_json(response.content))
    except orjson.JSONDecodeError:
        return None
