"""Which traces are recorded, under which name, and how they end."""

import asyncio
import threading

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from asynctasks.traces import opentelemetry_traces
from asynctasks.traces.opentelemetry_traces import OpenTelemetryTraces, TraceIds, _resource
from asynctestkit.recorded_spans import RecordedSpans, place

CALLS = 400


def test_a_share_is_recorded_and_each_trace_says_whether_it_is():
    sampler = ParentBasedTraceIdRatio(0.25)
    spans = RecordedSpans(sampler)
    sampled: set[str] = set()
    for _ in range(CALLS):
        with spans.traces.serving(None, method="GET", route="/", path="/", scheme="http") as span:
            assert span.context is not None
            if span.context.is_sampled:
                sampled.add(span.context.traceparent[3:35])
    assert CALLS / 8 < len(sampled) < CALLS / 2
    assert sampled == {place(span)[0] for span in spans.ended}
    # By its id, so that others who sample by ids record the same traces.
    for trace_id in sampled:
        decided = sampler.should_sample(Context(), int(trace_id, 16), "")
        assert decided.decision.is_sampled()


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "ours"),
        ({"OTEL_SERVICE_NAME": "theirs"}, "theirs"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs,a=b"}, "theirs"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b"}, "ours"),
    ],
)
def test_the_service_has_our_name_unless_it_was_given_one(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str
):
    for variable in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert _resource("ours").attributes["service.name"] == name


async def test_a_collector_that_hangs_holds_up_the_end_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(opentelemetry_traces, "CLOSE_SECONDS", 0.01)
    hangs, has_begun = threading.Event(), threading.Event()
    ids = TraceIds()
    provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)

    def shut_down() -> None:
        has_begun.set()
        hangs.wait()

    monkeypatch.setattr(provider, "shutdown", shut_down)
    async with asyncio.timeout(10):
        await OpenTelemetryTraces(provider, ids).close()
    assert has_begun.is_set()
    hangs.set()
