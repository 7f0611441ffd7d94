"""Calls a proxy's HTTP API for the commands that need no service here."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import quote

import httpx
import orjson

from asyncapiproxy.client.declared_operation import DeclaredOperation, Document, declared_operations
from asynctasks.errors import AsyncApiProxyError
from asynctasks.json_values import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    from asyncapiproxy.task.typed_body import TypedBody

ANSWER_SECONDS = 30.0
"""How long an answer may take, on top of the time that the proxy was asked to wait."""
LONGEST_WINDOW_SECONDS = 300.0
"""The longest wait window that an operation may declare."""
DEFAULT_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


class ProxyUnreachableError(AsyncApiProxyError):
    """No proxy answers at the URL."""


class TokenUnusableError(AsyncApiProxyError):
    """--token, or ASYNCAPIPROXY_TOKEN, is no token: it is empty, or has other than ASCII in it."""


class NoProxyError(AsyncApiProxyError):
    """What answers at the URL is no AsyncApiProxy."""


class UnknownOperationError(AsyncApiProxyError):
    """The proxy has no such operation."""


class ProblemError(AsyncApiProxyError):
    """The proxy answered with a problem (RFC 9457)."""

    def __init__(self, problem: Document, text: str) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or ""))
        self.problem = problem
        self.text = text
        """The document as it came."""


@dataclass(frozen=True, slots=True)
class SeenTask:
    """A task document as the proxy gave it."""

    document: Document
    text: str
    etag: str | None = None

    @property
    def id(self) -> str:
        """The task's id."""
        return self.document["id"]

    @property
    def is_done(self) -> bool:
        """Whether it will not change by itself any more."""
        return self.document["done"]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a task brought."""

    task: SeenTask | None
    """None: it has not changed."""
    pause_seconds: float
    """How long to leave it before the next look."""


@dataclass(frozen=True, slots=True)
class SeenPage:
    """A page of tasks as the proxy gave it."""

    tasks: list[Document]
    next_token: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A document as the proxy gave it."""

    document: Document
    text: str


class ProxyClient:
    """Asks one proxy, at a base URL. Used as a context manager.

    Every call raises ProxyUnreachableError, NoProxyError or ProblemError.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Take `http://host:port`; the scheme may be left out.

        The token is shown with each call, in place of a user in the URL.
        """
        try:
            parsed = httpx.URL(url if "://" in url else f"http://{url}")
        except httpx.InvalidURL as error:
            raise ProxyUnreachableError(f"--url: {url!r} is no URL: {error}") from error
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ProxyUnreachableError(f"--url: {url!r}: expected http://host:port")
        # Shown in errors: a password in the URL is not.
        self.url = str(parsed.copy_with(userinfo=b""))
        if token is not None:
            parsed = parsed.copy_with(userinfo=b"")
        self._http = httpx.Client(
            base_url=parsed,
            headers={} if token is None else {"Authorization": f"Bearer {_checked(token)}"},
            timeout=ANSWER_SECONDS,
            transport=transport,
        )

    def __enter__(self) -> Self:
        """Nothing is opened before the first call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._http.close()

    def whoami(self) -> Seen:
        """As whom the proxy knows us."""
        return self._read(self._call("GET", "/whoami"))

    def queues(self) -> Seen:
        """How the queues stand."""
        return self._read(self._call("GET", "/queues"))

    def limits(self) -> Seen:
        """How the limits stand."""
        return self._read(self._call("GET", "/limits"))

    def limit(self, name: str) -> Seen:
        """How one stands."""
        return self._read(self._call("GET", _path("limits", name)))

    def change_limit(self, name: str, change: Document) -> Seen:
        """Set what the limit bounds; None takes the file's again."""
        return self._read(self._call("PATCH", _path("limits", name), json=change))

    def operate(self, place: str, name: str, action: str) -> Seen:
        """Pause or resume one of the queues, operations or limits; how it stands from now on."""
        return self._read(self._call("POST", f"{_path(place, name)}/{action}"))

    def operation(self, name: str) -> DeclaredOperation:
        """The operation of this name; raises UnknownOperationError, which lists all there are."""
        operations = declared_operations(self._document(self._call("GET", "/openapi.json")))
        if name not in operations:
            known = "\n".join(f"  {op.name}  {op.summary}" for op in operations.values())
            raise UnknownOperationError(
                f"{self.url} has no operation {name!r}. It has:\n{known or '  none'}"
            )
        return operations[name]

    def submit(
        self,
        operation: DeclaredOperation,
        arguments: Document,
        *,
        wait_seconds: float | None = None,
        key: str | None = None,
        body: TypedBody | None = None,
    ) -> SeenTask:
        """Submit a task and return it as it stands when the wait window has ended.

        With `wait_seconds=None` the window is the operation's own; with 0 there is none.
        """
        request = operation.request(arguments)
        headers: list[tuple[str, str | bytes]] = [*request.headers]
        content: bytes | BinaryIO | None = None
        if body is not None:
            content = body.content
            headers.append(("Content-Type", body.content_type))
        elif request.body is not None:
            content = write_json(request.body)
            headers.append(("Content-Type", "application/json"))
        if wait_seconds is not None:
            headers.append(("Prefer", _prefer(wait_seconds)))
        if key is not None:
            headers.append(("Idempotency-Key", key))
        window = LONGEST_WINDOW_SECONDS if wait_seconds is None else wait_seconds
        response = self._call(
            operation.method,
            request.url,
            content=content,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_SECONDS, read=window + ANSWER_SECONDS),
        )
        task_id = response.headers.get("task-id")
        if task_id is None:
            # Only an answer without a task is about the call itself.
            self._raise_problem(response)
            raise self._no_proxy(f"its answer ({response.status_code}) names no task")
        return self.task(task_id)

    def task(self, task_id: str) -> SeenTask:
        """The task as it stands."""
        seen = self.look(task_id).task
        assert seen is not None, "304 without If-None-Match"
        return seen

    def look(self, task_id: str, *, after: SeenTask | None = None, wait_seconds: float = 0) -> Look:
        """The task if it is another than `after`, for which the proxy may wait so long."""
        headers: dict[str, str] = {}
        if after is not None and after.etag is not None:
            headers["If-None-Match"] = after.etag
            if wait_seconds >= 1:
                headers["Prefer"] = _prefer(wait_seconds)
        response = self._call(
            "GET",
            _path("tasks", task_id),
            headers=headers,
            timeout=httpx.Timeout(ANSWER_SECONDS, read=wait_seconds + ANSWER_SECONDS),
        )
        # A proxy that waited for a change may be asked again at once.
        has_waited = "wait" in response.headers.get("preference-applied", "")
        pause_seconds = 0.0 if has_waited else _pause_seconds(response)
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return Look(None, pause_seconds)
        return Look(self._seen(response), pause_seconds)

    @contextmanager
    def response(self, task_id: str) -> Generator[httpx.Response]:
        """A finished task's answer, whose body is to be read while the block runs."""
        request = self._http.build_request("GET", f"{_path('tasks', task_id)}/response")
        response = self._sent(lambda: self._http.send(request, stream=True))
        try:
            if "task-id" not in response.headers:  # it is about the call itself
                response.read()
                self._raise_problem(response)
                raise self._no_proxy("its answer names no task")
            yield response
        finally:
            response.close()

    def tasks(self, **query: Any) -> SeenPage:
        """A page of tasks, the newest first; a query's None is left out."""
        given = {name: value for name, value in query.items() if value is not None}
        response = self._call("GET", "/tasks", params=given)
        document = self._document(response)
        if "tasks" not in document:
            raise self._no_proxy("its answer is no page of tasks")
        return SeenPage(document["tasks"], document.get("nextPageToken"), response.text)

    def cancel(self, task_id: str) -> SeenTask:
        """Ask for the task's end; while it runs its executor has yet to stop it."""
        return self._seen(self._call("POST", f"{_path('tasks', task_id)}/cancel"))

    def retry(self, task_id: str) -> SeenTask:
        """Queue a failed, cancelled or expired task anew."""
        return self._seen(self._call("POST", f"{_path('tasks', task_id)}/retry"))

    def _read(self, response: httpx.Response) -> Seen:
        return Seen(self._document(response), response.text)

    def _seen(self, response: httpx.Response) -> SeenTask:
        document = self._document(response)
        if not {"id", "status", "done"} <= document.keys():
            raise self._no_proxy("its answer is no task")
        return SeenTask(document, response.text, response.headers.get("etag"))

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self._sent(lambda: self._http.request(method, path, **request))

    def _sent(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            return send()
        except httpx.TimeoutException as error:
            raise ProxyUnreachableError(f"{self.url} did not answer in time.") from error
        except httpx.TransportError as error:
            raise ProxyUnreachableError(
                f"No proxy answers at {self.url}: {error}\n"
                "Start one with `asyncapiproxy up`, or name another by --url or ASYNCAPIPROXY_URL."
            ) from error

    def _document(self, response: httpx.Response) -> Document:
        """The JSON object of a successful answer."""
        self._raise_problem(response)
        document = _json_object(response)
        if document is None:
            raise self._no_proxy("its answer is no JSON object")
        return document

    def _raise_problem(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        if "problem+json" in response.headers.get("content-type", ""):
            problem = _json_object(response)
            if problem is not None:
                raise ProblemError(problem, response.text)
        raise self._no_proxy(f"it answers {response.status_code} to {response.request.url.path}")

    def _no_proxy(self, reason: str) -> NoProxyError:
        return NoProxyError(f"{self.url} does not look like an AsyncApiProxy: {reason}.")


def _checked(token: str) -> str:
    if not token.isascii() or not token.isprintable() or not token.strip():
        raise TokenUnusableError
    return token.strip()


def _path(place: str, name: str) -> str:
    return f"/{place}/{quote(name, safe='')}"


def _prefer(wait_seconds: float) -> str:
    return f"wait={wait_seconds:.0f}" if wait_seconds >= 1 else "respond-async"


def _pause_seconds(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    asked = float(given) if given.isascii() and given.isdigit() else DEFAULT_PAUSE_SECONDS
    return min(asked, LONGEST_PAUSE_SECONDS)


def _json_object(response: httpx.Response) -> Document | None:
    try:
        value: Any = read_json(response.content)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] - JSON's keys are strings
