"""Spans by OpenTelemetry's SDK: nothing else knows it.

Names and attributes are those of the semantic conventions for HTTP and messaging
(https://opentelemetry.io/docs/specs/semconv/). No span has arguments, headers, a URL's query or the
words of an error, which may quote them.

What is sampled out hardly costs anything: it is one decision for each task, where its trace begins,
and no object of the SDK's. That decision is handed on, so that nobody makes another.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
    set_tracer_provider,
)

from asynctasks.traces.trace_context import TraceContext
from asynctasks.traces.traces import NO_SPAN, Span, Traces

if TYPE_CHECKING:
    from contextvars import Token
    from uuid import UUID

    from opentelemetry.trace import Span as SdkSpan
    from opentelemetry.util.types import AttributeValue
    from yarl import URL

    Attributes = dict[str, AttributeValue]

SYSTEM = "asyncapiproxy"
"""Of the messaging: a task is a row, and a message on a broker is only a hint at it."""
CLOSE_SECONDS = 3.0
"""How long a collector that does not answer may hold up the end of the process."""
_NO_PARENT = Context()
_WELL_ENDED = frozenset({"succeeded", "given back", "cancelled", "goes on"})


def exported_traces(*, service: str, is_to_console: bool) -> Traces:
    """Spans that are sent to a collector, or shown, in the background; for all of the process."""
    ids = TraceIds()
    provider = TracerProvider(
        resource=_resource(service),
        id_generator=ids,
        # Or a collector that does not answer would hold up the end of the process.
        shutdown_on_exit=False,
    )
    exporter = ConsoleSpanExporter(out=sys.stderr) if is_to_console else OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    set_tracer_provider(provider)  # for what handlers trace themselves
    return OpenTelemetryTraces(provider, ids)


def _resource(service: str) -> Resource:
    resource = Resource.create({"service.version": version("asyncapiproxy")})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        return resource.merge(Resource({"service.name": service}))
    return resource


class TraceIds(RandomIdGenerator):
    """Random ids, of which the next trace's may have been chosen: it decides about sampling."""

    def __init__(self) -> None:
        self._chosen = threading.local()

    def choose(self, trace_id: int) -> None:
        """Have this thread's next trace have this id."""
        self._chosen.trace_id = trace_id

    def generate_trace_id(self) -> int:
        """See `IdGenerator`."""
        trace_id: int | None = self._chosen.__dict__.pop("trace_id", None)
        return super().generate_trace_id() if trace_id is None else trace_id


class OpenTelemetryTraces(Traces):
    """Makes the spans that the provider's sampler asks for."""

    are_on = True

    def __init__(self, provider: TracerProvider, ids: TraceIds) -> None:
        """The provider's ids have to be `ids`."""
        self._provider = provider
        self._ids = ids
        self._tracer = provider.get_tracer("asyncapiproxy")
        self._sampler = provider.sampler
        self._follows_parent = isinstance(provider.sampler, ParentBased)

    def serving(
        self, parent: TraceContext | None, *, method: str, route: str, path: str, scheme: str
    ) -> Span:
        """See `Traces`."""
        if self._is_out(parent):
            return NO_SPAN
        attributes: Attributes = {
            "http.request.method": method,
            "http.route": route,
            "url.path": path,
            "url.scheme": scheme,
        }
        return self._started(parent, f"{method} {route}", SpanKind.SERVER, attributes)

    def sending(
        self, parent: TraceContext | None, *, task_id: UUID, operation: str, queue: str
    ) -> Span:
        """See `Traces`."""
        if self._is_out(parent):
            return NO_SPAN
        attributes = _of_message("send", task_id=task_id, operation=operation, queue=queue)
        return self._started(parent, f"send {queue}", SpanKind.PRODUCER, attributes)

    def attempting(
        self,
        parent: TraceContext | None,
        *,
        task_id: UUID,
        operation: str,
        queue: str,
        attempt: int,
        is_poll: bool,
    ) -> Span:
        """See `Traces`."""
        if self._is_out(parent):
            return NO_SPAN
        attributes: Attributes = {"asyncapiproxy.attempt": attempt}
        links = [] if parent is None else [Link(_span_context(parent))]
        if is_poll:
            attributes |= _of_task(task_id, operation)
            name, kind = f"poll {operation}", SpanKind.INTERNAL
        else:
            attributes |= _of_message("process", task_id=task_id, operation=operation, queue=queue)
            name, kind = f"process {queue}", SpanKind.CONSUMER
        return self._started(parent, name, kind, attributes, links=links, is_current=True)

    def calling(self, parent: TraceContext | None, *, method: str, url: URL) -> Span:
        """See `Traces`."""
        if self._is_out(parent):
            return NO_SPAN
        attributes: Attributes = {
            "http.request.method": method,
            "server.address": url.host or "",
            "server.port": url.port or 0,
            "url.full": str(url.with_user(None).with_query(None).with_fragment(None)),
        }
        return self._started(parent, method, SpanKind.CLIENT, attributes)

    async def close(self) -> None:
        """See `Traces`. In a thread that keeps no process from ending."""
        loop, is_done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(is_done.set)

        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        with suppress(TimeoutError):
            await asyncio.wait_for(is_done.wait(), CLOSE_SECONDS)

    def _is_out(self, parent: TraceContext | None) -> bool:
        return parent is not None and not parent.is_sampled and self._follows_parent

    def _started(
        self,
        parent: TraceContext | None,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        links: list[Link] | None = None,
        is_current: bool = False,
    ) -> Span:
        if parent is None:
            above = _NO_PARENT
            trace_id = self._ids.generate_trace_id()
            decided = self._sampler.should_sample(above, trace_id, name, kind, attributes)
            if not decided.decision.is_sampled():
                return _SampledOut(trace_id, self._ids.generate_span_id())
            self._ids.choose(trace_id)
        else:
            above = set_span_in_context(NonRecordingSpan(_span_context(parent)), _NO_PARENT)
        span = self._tracer.start_span(name, above, kind, attributes, links)
        return _RecordedSpan(span, kind, is_current=is_current)


class _SampledOut(Span):
    """The beginning of a trace that is not recorded, which those who come after have to know."""

    def __init__(self, trace_id: int, span_id: int) -> None:
        flags = TraceFlags.RANDOM_TRACE_ID
        self.context = TraceContext(f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}")


class _RecordedSpan(Span):
    def __init__(self, span: SdkSpan, kind: SpanKind, *, is_current: bool) -> None:
        self._span = span
        # What a server answers below 500 is its caller's error (semantic conventions for HTTP).
        self._first_error = (
            HTTPStatus.INTERNAL_SERVER_ERROR if kind is SpanKind.SERVER else HTTPStatus.BAD_REQUEST
        )
        self._is_current = is_current
        self._token: Token[Context] | None = None
        at = span.get_span_context()
        self.context = TraceContext(
            f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}",
            at.trace_state.to_header() or None,
        )

    def __enter__(self) -> Self:
        if self._is_current:  # for what a handler traces itself
            self._token = attach(set_span_in_context(self._span))
        return self

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - a context manager is given no others
        if self._token is not None:
            detach(self._token)
        if raised is not None:
            self._fail(raised.__name__)
        self._span.end()

    def answered(self, status: int, *, task_id: str | None = None) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if task_id is not None:
            self._span.set_attribute("asyncapiproxy.task.id", task_id)
        if status >= self._first_error:
            self._fail(str(status))

    def ended(self, outcome: str, *, error: str | None) -> None:
        self._span.set_attribute("asyncapiproxy.outcome", outcome)
        if outcome not in _WELL_ENDED:
            self._fail(error or outcome)

    def _fail(self, error: str) -> None:
        self._span.set_attribute("error.type", error)
        self._span.set_status(Status(StatusCode.ERROR))


def _of_task(task_id: UUID, operation: str) -> Attributes:
    return {"asyncapiproxy.task.id": str(task_id), "asyncapiproxy.operation": operation}


def _of_message(verb: str, *, task_id: UUID, operation: str, queue: str) -> Attributes:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": verb,
        "messaging.operation.type": verb,
        "messaging.destination.name": queue,
        "messaging.message.id": str(task_id),
        **_of_task(task_id, operation),
    }


def _span_context(trace: TraceContext) -> SpanContext:
    _, trace_id, span_id, flags = trace.traceparent.split("-")
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16)),
        trace_state=TraceState.from_header([trace.tracestate] if trace.tracestate else []),
    )
