"""Spans that stay in the test's own process."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import get_current_span

from asynctasks.traces.opentelemetry_traces import OpenTelemetryTraces, TraceIds


class RecordedSpans:
    """What `traces` has told."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        """Without a sampler all are told whose parents do not say otherwise."""
        self._exporter = InMemorySpanExporter()
        ids = TraceIds()
        provider = TracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = OpenTelemetryTraces(provider, ids)

    @property
    def ended(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Those that have ended, the first first."""
        found = [span for span in self.ended if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)


def tell_span(arguments: dict[str, Any]) -> str:
    """A handler that answers with the id of the span that it runs in."""
    return f"{get_current_span().get_span_context().span_id:016x}"


def place(span: ReadableSpan) -> tuple[str, str]:
    """The ids of its trace and of itself, as a traceparent has them."""
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"
