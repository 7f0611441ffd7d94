"""The calls that every client can make: what is asked, when it is asked again, what it means."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlencode

from asyncapiproxy.client.answers import (
    batch_counts_of,
    batch_of,
    batch_page_of,
    deliveries_of,
    delivery_of,
    document_of,
    page_of,
    raise_problem,
    task_of,
)
from asyncapiproxy.client.declared_operation import DeclaredOperation, declared_operations
from asyncapiproxy.client.errors import (
    CallInvalidError,
    ConflictError,
    NotFoundError,
    OperationUnknownError,
    ProxyUnreachableError,
)
from asyncapiproxy.client.repeating import Patience, is_passing, retry_after_seconds
from asyncapiproxy.client.request_body import RequestBody
from asyncapiproxy.client.steps import Call, Pause, sent
from asynctasks.json_values import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from asyncapiproxy.client.batch_state import BatchAction, BatchCounts, BatchPage, BatchState
    from asyncapiproxy.client.delivery import Delivery
    from asyncapiproxy.client.steps import Steps
    from asyncapiproxy.client.task_filter import TaskFilter
    from asyncapiproxy.client.task_state import TaskPage, TaskState

Operations = dict[str, DeclaredOperation]
Query: TypeAlias = "Mapping[str, str | list[str] | None]"
"""The parameters of a path by name; None for what is not given."""


@dataclass(slots=True)
class Proxy:
    """The proxy that a client calls, and how patient the client is with it."""

    url: str
    """For messages: without a password."""
    answer_seconds: float
    """How long an answer may take, on top of the time that the proxy was asked to wait."""
    patience_seconds: float
    """How long a proxy that is away or busy is waited for."""
    operations: Operations | None = None
    """What it serves, once that was asked for."""
    monotonic: Callable[[], float] = field(default=time.monotonic)
    jitter: Callable[[], float] = field(default=random.random)

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        wait_seconds: float = 0,
        body: RequestBody | None = None,
    ) -> Call:
        """A call which the proxy is asked to hold for so long."""
        return Call(
            method=method,
            path=path,
            answer_seconds=wait_seconds + self.answer_seconds,
            headers=tuple((name, value.encode()) for name, value in (headers or {}).items()),
            body=body,
        )


def answered(
    proxy: Proxy,
    make: Callable[[], Call],
    *,
    patience_seconds: float | None = None,
    is_repeatable: bool = True,
) -> Steps[httpx.Response]:
    """The answer to the call, which is made anew for each repeat while the proxy is away or busy.

    Raises ProxyUnreachableError when the patience is over. An answer by which the proxy is busy is
    given as it is then.
    """
    patience = Patience(proxy.patience_seconds if patience_seconds is None else patience_seconds)
    began: float | None = None
    tries = 0
    while True:
        lost: ProxyUnreachableError | None = None
        response: httpx.Response | None = None
        tries += 1
        asked_at = proxy.monotonic()
        try:
            response = yield from sent(make())
        except ProxyUnreachableError as error:
            lost = error
        # A proxy that dies while it holds a call was there until then.
        began = (asked_at if lost is None else proxy.monotonic()) if began is None else began
        pause = patience.pause_seconds(
            tries=tries,
            waited=proxy.monotonic() - began,
            jitter=proxy.jitter(),
            asked=None if response is None else retry_after_seconds(response),
        )
        if response is not None and (
            pause is None or not is_repeatable or not is_passing(response)
        ):
            return response
        if lost is not None and (pause is None or (lost.was_sent and not is_repeatable)):
            raise lost
        assert pause is not None
        yield Pause(pause)


def asked(
    proxy: Proxy,
    method: str,
    path: str,
    *,
    json: Any = None,
    query: Query | None = None,
    is_repeatable: bool | None = None,
) -> Steps[httpx.Response]:
    """The successful answer of any path of the proxy; raises ProblemError, CallInvalidError."""
    if not path.startswith("/"):
        raise CallInvalidError(f"{path!r} is no path: expected one such as /queues.")
    given = {name: value for name, value in (query or {}).items() if value is not None}
    address = f"{path}?{urlencode(given, doseq=True)}" if given else path
    body = None if json is None else RequestBody(write_json(json), "application/json")
    safe = method in {"GET", "HEAD", "PUT"} if is_repeatable is None else is_repeatable
    call = proxy.call(method, address, body=body)
    response = yield from answered(proxy, lambda: call, is_repeatable=safe)
    raise_problem(response)
    return response


def operations(proxy: Proxy) -> Steps[Operations]:
    """What the proxy serves now."""
    response = yield from asked(proxy, "GET", "/openapi.json")
    proxy.operations = declared_operations(document_of(response))
    return proxy.operations


def operation(proxy: Proxy, name: str) -> Steps[DeclaredOperation]:
    """The operation of this name; raises OperationUnknownError.

    What the proxy serves is asked for once, and again for a name that was not there.
    """
    known = proxy.operations or {}
    if name not in known:
        known = yield from operations(proxy)
    if name not in known:
        raise OperationUnknownError(name, url=proxy.url, known=known)
    return known[name]


def task(proxy: Proxy, task_id: str) -> Steps[TaskState]:
    """The task as it stands."""
    response = yield from asked(proxy, "GET", task_path(task_id))
    return task_of(response)


def refreshed(proxy: Proxy, state: TaskState, *, wait_seconds: float) -> Steps[TaskState]:
    """The task once it is another than this, or as it stands after so long."""
    headers = {"Prefer": prefer(wait_seconds)} if wait_seconds >= 1 else {}
    if state.etag is not None:
        headers["If-None-Match"] = state.etag
    began = proxy.monotonic()
    path = task_path(state.id)
    held = proxy.call("GET", path, headers=headers, wait_seconds=wait_seconds)
    response = yield from answered(proxy, lambda: held)
    if response.status_code != HTTPStatus.NOT_MODIFIED:
        return task_of(response)
    left = wait_seconds - (proxy.monotonic() - began)
    if left > 0 and "wait" not in response.headers.get("preference-applied", ""):
        # A proxy that has not waited is not to be asked again at once.
        yield Pause(min(left, retry_after_seconds(response) or 1.0))
    return state


def page(proxy: Proxy, query: Query) -> Steps[TaskPage]:
    """One page of tasks."""
    response = yield from asked(proxy, "GET", "/tasks", query=query)
    return page_of(response)


def cancel(proxy: Proxy, task_id: str) -> Steps[TaskState]:
    """Ask for the task's end; the task as it stands then.

    Where an answer was lost, a repeat may find it ended already: then that is what was asked for.
    """
    response, was_lost = yield from _changed(proxy, "POST", task_path(task_id, "cancel"))
    try:
        return task_of(response)
    except ConflictError:
        found = yield from task(proxy, task_id)
        if was_lost and found.status == "cancelled":
            return found
        raise


def retry(proxy: Proxy, task_id: str) -> Steps[TaskState]:
    """Queue a failed, cancelled or expired task anew; the task as it stands then.

    Where an answer was lost, a repeat may find it queued already, or even succeeded.
    """
    path = task_path(task_id, "retry")
    response, was_lost = yield from _changed(proxy, "POST", path)
    try:
        return task_of(response)
    except ConflictError:
        if not was_lost:
            raise
    return (yield from task(proxy, task_id))


def forget(proxy: Proxy, task_id: str) -> Steps[None]:
    """Forget a finished task, and its idempotency key with it."""
    response, was_lost = yield from _changed(proxy, "DELETE", task_path(task_id))
    try:
        raise_problem(response)
    except NotFoundError:
        if not was_lost:
            raise


def batch(proxy: Proxy, action: BatchAction, which: TaskFilter) -> Steps[BatchState]:
    """Have it done with all of these tasks."""
    response = yield from _ordered(proxy, action, which, is_dry=False)
    return batch_of(response)


def count_batch(proxy: Proxy, action: BatchAction, which: TaskFilter) -> Steps[BatchCounts]:
    """With how many tasks it would be done."""
    response = yield from _ordered(proxy, action, which, is_dry=True)
    return batch_counts_of(response)


def _ordered(
    proxy: Proxy, action: BatchAction, which: TaskFilter, *, is_dry: bool
) -> Steps[httpx.Response]:
    words = {name: word for name, word in which.words().items() if word is not None}
    order = {"action": action, "filter": words, "dryRun": is_dry}
    return (yield from asked(proxy, "POST", "/tasks:batch", json=order, is_repeatable=is_dry))


def find_batch(proxy: Proxy, batch_id: str) -> Steps[BatchState]:
    """The batch as it stands."""
    response = yield from asked(proxy, "GET", _batch_path(batch_id))
    return batch_of(response)


def cancel_batch(proxy: Proxy, batch_id: str) -> Steps[BatchState]:
    """Let the batch change no further task; how it stands then."""
    response, was_lost = yield from _changed(proxy, "POST", f"{_batch_path(batch_id)}/cancel")
    try:
        return batch_of(response)
    except ConflictError:
        found = yield from find_batch(proxy, batch_id)
        if was_lost and found.status == "cancelled":
            return found
        raise


def batch_page(proxy: Proxy, *, page_size: int, page_token: str | None) -> Steps[BatchPage]:
    """One page of batches."""
    query = {"page_size": str(page_size), "page_token": page_token}
    response = yield from asked(proxy, "GET", "/batches", query=query)
    return batch_page_of(response)


def _batch_path(batch_id: str) -> str:
    return f"/batches/{quote(batch_id, safe='')}"


def deliveries(proxy: Proxy, task_id: str) -> Steps[tuple[Delivery, ...]]:
    """All that tell of the task's ends, the first one first."""
    response = yield from asked(proxy, "GET", task_path(task_id, "deliveries"))
    return deliveries_of(response)


def redeliver(proxy: Proxy, task_id: str, number: int) -> Steps[Delivery]:
    """Tell once more what the task's delivery of this number has told; the new delivery.

    A repeat may tell it twice. To its receiver that is one delivery which came again.
    """
    place = f"deliveries/{quote(str(number), safe='')}/redeliver"
    response = yield from asked(proxy, "POST", task_path(task_id, place), is_repeatable=True)
    return delivery_of(response)


def task_path(task_id: str, place: str = "") -> str:
    """Where a task is, or what belongs to it; raises CallInvalidError where it is no id at all."""
    if not task_id or not isinstance(task_id, str):  # pyright: ignore[reportUnnecessaryIsInstance] - whatever a program gives
        raise CallInvalidError(f"The id is {task_id!r}: expected that of a task.")
    path = f"/tasks/{quote(task_id, safe='')}"
    return f"{path}/{place}" if place else path


def prefer(seconds: float) -> str:
    """What to send for a wait of so long; whole seconds alone can be said (RFC 7240 §4.3)."""
    return f"wait={int(seconds)}" if seconds >= 1 else "respond-async"


def _changed(proxy: Proxy, method: str, path: str) -> Steps[tuple[httpx.Response, bool]]:
    """The answer to a change, and whether one before it was lost, which may have done it."""
    tries = 0

    def make() -> Call:
        nonlocal tries
        tries += 1
        return proxy.call(method, path)

    response = yield from answered(proxy, make)
    return response, tries > 1
