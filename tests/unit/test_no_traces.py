"""Where nobody is told of spans none is made, and what is wrongly asked for stops the start."""

from uuid import UUID

import pytest
from yarl import URL

from asynctasks.errors import SettingsError
from asynctasks.traces.environment import ENDPOINTS, PROTOCOLS, SAMPLERS, _exporter, open_traces
from asynctasks.traces.traces import NO_SPAN, NO_TRACES, Span, Traces

TASK = UUID(int=1)
COLLECTOR = "http://127.0.0.1:4318"


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", *ENDPOINTS, *PROTOCOLS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "ours"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " ", "OTEL_TRACES_SAMPLER": "nonsense"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": COLLECTOR}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "console"),
    ],
)
def test_spans_are_made_only_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], exporter: str | None
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _exporter() == exporter
    if exporter is None:
        assert open_traces(service="ours") is NO_TRACES


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: expected otlp, console or none, not zipkin",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, not grpc",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: expected http/protobuf, not http/json",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "ours:secret@collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: expected http://… or https://…",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "some"},
            f"OTEL_TRACES_SAMPLER: expected one of {', '.join(SAMPLERS)}, not some",
        ),
        *(
            (
                {
                    "OTEL_TRACES_EXPORTER": "otlp",
                    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                    "OTEL_TRACES_SAMPLER_ARG": share,
                },
                f"OTEL_TRACES_SAMPLER_ARG: expected the share of traces, 0 to 1, not {share!r}",
            )
            for share in ("", "1%", "1.1", "-1", "nan")
        ),
    ],
)
def test_a_wrong_value_stops_the_start_and_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], fault: str
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        open_traces(service="ours")
    assert str(raised.value) == fault


def spans(traces: Traces) -> list[Span]:
    return [
        traces.serving(None, method="GET", route="/", path="/", scheme="http"),
        traces.sending(None, task_id=TASK, operation="a", queue="q"),
        traces.attempting(None, task_id=TASK, operation="a", queue="q", attempt=1, is_poll=False),
        traces.calling(None, method="GET", url=URL("http://u/")),
    ]


async def test_no_span_is_one_for_all_and_changes_nothing():
    assert all(span is NO_SPAN for span in spans(NO_TRACES))
    with NO_SPAN as span:
        span.answered(200, task_id="1")
        span.ended("failed", error="e")
    assert span.context is None
    assert vars(span) == {}
    with pytest.raises(KeyError), NO_SPAN:
        raise KeyError
    await NO_TRACES.close()
