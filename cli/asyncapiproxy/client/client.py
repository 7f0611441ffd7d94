"""The synchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Self

import httpx

from asyncapiproxy.client import calls
from asyncapiproxy.client.connection import address, http_options
from asyncapiproxy.client.many_calls import groups_of, submit_group
from asyncapiproxy.client.sender import Sender
from asyncapiproxy.client.submission import submission, submit
from asyncapiproxy.client.task_filter import TaskFilter
from asyncapiproxy.client.task_handle import TaskHandle
from asyncapiproxy.client.task_options import option_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from types import TracebackType

    from asyncapiproxy.client.batch_state import BatchAction, BatchCounts, BatchState
    from asyncapiproxy.client.declared_operation import DeclaredOperation
    from asyncapiproxy.client.many_calls import SubmittedCall
    from asyncapiproxy.client.task_options import Seconds
    from asyncapiproxy.client.task_state import TaskPage, TaskStatus, View


class Client:
    """Calls one proxy. Used as a context manager, or closed by `close()`; threads may share it.

    A call that is lost, and one that the proxy has no time for, is repeated for `patience_seconds`;
    a task that it submits is made once all the same. Every call raises `ClientError`.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        patience_seconds: float = 30,
        answer_seconds: float = 30,
        http: httpx.Client | None = None,
    ) -> None:
        """Take `http://host:port`, and a token or API key where the proxy wants one.

        `answer_seconds` is how long an answer may take, on top of the time for which the proxy was
        asked to wait. `http` is a client of httpx's with certificates or a transport of your own,
        which is left open. Raises UrlInvalidError, TokenUnusableError.
        """
        where = address(url, token=token)
        self.url = where.shown
        """Where the proxy is, without a password."""
        self._proxy = calls.Proxy(
            where.shown, answer_seconds=answer_seconds, patience_seconds=patience_seconds
        )
        self._is_ours = http is None
        self._sender = Sender(self._proxy, where, http or httpx.Client(**http_options(where)))

    @property
    def patience_seconds(self) -> float:
        """How long a proxy that is away or busy is waited for."""
        return self._proxy.patience_seconds

    @patience_seconds.setter
    def patience_seconds(self, seconds: float) -> None:
        self._proxy.patience_seconds = seconds

    def submit(
        self,
        operation: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        wait: Seconds | None = 10,
        key: str | None = None,
        delay: Seconds | None = None,
        deadline: Seconds | datetime | None = None,
        priority: int | None = None,
        labels: Mapping[str, str] | None = None,
        batch: str | None = None,
        callback: str | None = None,
        body: bytes | BinaryIO | None = None,
        content_type: str = "application/octet-stream",
    ) -> TaskHandle:
        """Submit a task, and return when it has finished or after `wait` seconds, as it stands.

        With 0 it returns as soon as the task is accepted, with None it waits for as long as the
        operation says. Without a key it makes one, so that what it repeats joins the task. One of
        your own joins what an earlier process has submitted by it. `body` is that of an operation
        that takes one as it comes; a file is read from where it stands, again for each repeat.

        A task that has failed meanwhile is returned, too. Raises OperationUnknownError,
        CallRefusedError, CallerRefusedError, BusyError, and ProxyUnreachableError, whose `key`
        finds out later whether there is a task.
        """
        wanted = submission(
            operation,
            arguments,
            wait=wait,
            key=key,
            delay=delay,
            deadline=deadline,
            priority=priority,
            labels=labels,
            batch=batch,
            callback=callback,
            body=body,
            content_type=content_type,
        )
        submitted = self._sender.run(submit(self._proxy, wanted))
        return TaskHandle(self._sender, submitted.state, submitted=submitted)

    def submit_many(
        self,
        operation: str,
        calls: Iterable[Mapping[str, Any]],
        *,
        key: Callable[[Mapping[str, Any]], str] | None = None,
        delay: Seconds | None = None,
        deadline: Seconds | datetime | None = None,
        priority: int | None = None,
        labels: Mapping[str, str] | None = None,
        batch: str | None = None,
        callback: str | None = None,
    ) -> Iterator[SubmittedCall]:
        """Submit a task of the operation for each of these arguments, hundreds by each request.

        What has come of each is given in their order, with its key and the id of its task or the
        problem for which there is none; nothing is waited for. `key` says by which key a call is
        submitted, so that a program that is started again makes no task twice; without it each has
        one of its own, which makes its repeats safe. The calls are taken from the iterable as they
        are sent. What is refused for now is sent again for `patience_seconds`.

        For operations by POST that have all their arguments in a JSON body. Raises CallInvalidError
        for others, and what `submit` raises.
        """
        headers = option_headers(
            delay=delay,
            deadline=deadline,
            priority=priority,
            labels=labels,
            batch=batch,
            callback=callback,
        )
        for group in groups_of(calls, key):
            steps = submit_group(self._proxy, operation, group, headers)
            yield from self._sender.run(steps)

    def get(self, task_id: str) -> TaskHandle:
        """The task of this id; raises NotFoundError."""
        return TaskHandle(self._sender, self._sender.run(calls.task(self._proxy, task_id)))

    def tasks(
        self,
        *,
        status: TaskStatus | None = None,
        operation: str | None = None,
        labels: Mapping[str, str] | None = None,
        batch: str | None = None,
        error_type: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        finished_after: datetime | None = None,
        finished_before: datetime | None = None,
        principal: str | None = None,
        tenant: str | None = None,
        page_size: int = 50,
        view: View = "summary",
    ) -> Iterator[TaskHandle]:
        """The tasks that you may read, the newest first, a page at a time as they are taken.

        In a summary a task tells neither its arguments nor its response's body until it is asked
        for: by `refresh()`, or all of them by `view="full"`.
        """
        which = TaskFilter(
            status=status,
            operation=operation,
            labels=labels or {},
            batch=batch,
            error_type=error_type,
            created_after=created_after,
            created_before=created_before,
            finished_after=finished_after,
            finished_before=finished_before,
            principal=principal,
            tenant=tenant,
        )
        token: str | None = None
        while True:
            page = self.page(which, page_size=page_size, page_token=token, view=view)
            for state in page.tasks:
                yield TaskHandle(self._sender, state)
            token = page.next_token
            if token is None:
                return

    def page(
        self,
        which: TaskFilter,
        *,
        page_size: int = 50,
        page_token: str | None = None,
        view: View = "summary",
    ) -> TaskPage:
        """One page of tasks, which goes on where the page of the token has ended."""
        query = which.query(page_size=page_size, page_token=page_token, view=view)
        return self._sender.run(calls.page(self._proxy, query))

    def batch(self, action: BatchAction, which: TaskFilter) -> BatchState:
        """Have all tasks cancelled, retried or deleted to which all of `which` applies.

        Those that were created before, and that you may do it with. The batch is carried out from
        now on; `find_batch` says how far it has come. It is not repeated: where its answer was
        lost, `batches` tells whether there is one.
        """
        return self._sender.run(calls.batch(self._proxy, action, which))

    def count_batch(self, action: BatchAction, which: TaskFilter) -> BatchCounts:
        """With how many tasks such a batch would be done now: a dry run."""
        return self._sender.run(calls.count_batch(self._proxy, action, which))

    def batches(self, *, page_size: int = 50) -> Iterator[BatchState]:
        """The batches that you have asked for, the newest first."""
        token: str | None = None
        while True:
            steps = calls.batch_page(self._proxy, page_size=page_size, page_token=token)
            page = self._sender.run(steps)
            yield from page.batches
            token = page.next_token
            if token is None:
                return

    def find_batch(self, batch_id: str) -> BatchState:
        """The batch of this id, if you have asked for it; else NotFoundError."""
        return self._sender.run(calls.find_batch(self._proxy, batch_id))

    def cancel_batch(self, batch_id: str) -> BatchState:
        """Let it change no further task; raises ConflictError where it has finished."""
        return self._sender.run(calls.cancel_batch(self._proxy, batch_id))

    def operation(self, name: str) -> DeclaredOperation:
        """The operation of this name; raises OperationUnknownError."""
        return self._sender.run(calls.operation(self._proxy, name))

    def operations(self) -> dict[str, DeclaredOperation]:
        """What the proxy serves now, by name."""
        return self._sender.run(calls.operations(self._proxy))

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: Mapping[str, str | list[str] | None] | None = None,
    ) -> httpx.Response:
        """The successful answer of a path that has no method here: `ask("GET", "/queues")`.

        Raises ProblemError. What may change something is not repeated.
        """
        return self._sender.run(calls.asked(self._proxy, method, path, json=json, query=query))

    def close(self) -> None:
        """Close the connections."""
        if self._is_ours:
            self._sender.http.close()

    def __enter__(self) -> Self:
        """Nothing is opened before the first call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()
