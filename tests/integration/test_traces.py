"""One trace tells a task's story: the call, each attempt and poll, what was called, callbacks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import text

from asynctasks.callbacks.signing import new_signing_key
from asynctasks.metrics import exposition
from asynctasks.operations.delivery_operation import DELIVERY
from asynctasks.traces.traces import NO_TRACES
from asynctestkit.calls import finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, inside, one_of_each, operation, serving_app, status
from asynctestkit.recorded_spans import RecordedSpans, parent_of, place

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
SECRET = "hunter2"
HELD, FAILS, STARTS = 1, 2, 3
POLL = {
    "url": {"header": ["Location"]},
    "until": {"pointer": "/status", "succeeded": ["done"]},
    "everySeconds": [0.05, 0.1],
}


class Story:
    """An upstream whose first call never ends, whose second fails, whose third starts a job.

    It is the receiver of callbacks, too.
    """

    def __init__(self) -> None:
        self.url = ""
        self.calls = 0
        self.polls = 0
        self.told: list[tuple[str, str, str]] = []
        """Path, traceparent and tracestate of each call."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        self.told.append((request.path, headers["traceparent"], headers["tracestate"]))
        if request.path == f"/{SECRET}/hook":
            return web.Response(status=204)
        if request.path == "/jobs/1":
            self.polls += 1
            return web.json_response({"status": "busy" if self.polls == 1 else "done"})
        self.calls += 1
        if self.calls == HELD:
            await asyncio.Event().wait()
        if self.calls == FAILS:
            return web.json_response({}, status=503)
        return web.json_response({}, status=202, headers={"Location": f"/jobs/1?sig={SECRET}"})


@pytest.fixture
async def story() -> AsyncIterator[Story]:
    served = Story()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    async with serving_app(app, handler_cancellation=True) as served.url:
        yield served


@pytest.fixture
async def opened(sqlite_url: str) -> AsyncIterator[Any]:
    """What opens an installation that records its spans."""
    async with AsyncExitStack() as stack:

        async def opened(*operations: Any, sampler: Any = None, **given: Any) -> Any:
            settings = {
                "database_url": sqlite_url,
                "broker_url": "memory://",
                "relay_interval_seconds": 0.05,
                **given,
            }
            installation = await stack.enter_async_context(inside(*operations, **settings))
            spans = RecordedSpans(sampler)
            installation.traces = spans.traces
            return installation, spans

        yield opened


async def _lose_first_attempt(proxy: Any, story: Story) -> None:
    """As if its executor were gone; it may renew its lease just then, so until another begins."""

    async def is_called_again() -> None:
        async with proxy.connections.database.write() as connection:
            await connection.execute(
                text(
                    "UPDATE tasks SET lease_until = '2020-01-01'"
                    " WHERE status = 'running' AND attempt = 1 AND delivery_of IS NULL"
                )
            )
        assert story.calls > HELD

    await eventually(is_called_again)


async def test_one_trace_from_the_caller_to_the_upstream_and_the_callback(
    opened: Any, story: Story
):
    declared = operation(
        upstream={"url": f"{story.url}/clients?key={SECRET}", "poll": POLL},
        callbacks={"url": f"{story.url}/{SECRET}/hook"},
    )
    installation, spans = await opened(
        declared,
        DELIVERY,
        callback_networks="127.0.0.0/8",
        callback_keys=new_signing_key(),
        callback_allow=story.url,
    )
    proxy = await installation.proxy()
    await installation.executor()
    await installation.executor(queue="callbacks")
    client = await installation.client(proxy)
    body = {"name": SECRET, "password": SECRET}
    accepted = await client.post("/create-client", json=body, headers={**ASYNC, **TRACED})
    task_id = accepted.json()["id"]
    await eventually(lambda: _is(story.calls, HELD))
    await _lose_first_attempt(proxy, story)
    task = await finished_task(client, task_id)
    await eventually(lambda: _is(len(spans.ended), 14))

    assert (task["status"], task["traceId"]) == ("succeeded", TRACE)
    assert {place(span)[0] for span in spans.ended} == {TRACE}
    (server,) = spans.named("POST /create-client")
    assert (server.kind, parent_of(server)) == (SpanKind.SERVER, SPAN)
    (producer,) = spans.named("send clients")
    assert (producer.kind, parent_of(producer)) == (SpanKind.PRODUCER, place(server)[1])

    attempts = spans.named("process clients")
    polls = spans.named("poll create-client")
    deliveries = spans.named("process callbacks")
    assert [_outcome(span) for span in attempts] == [
        ("lost", "lost"),
        ("retried", "retried"),
        ("goes on", None),
    ]
    assert [_outcome(span) for span in polls] == [("goes on", None), ("succeeded", None)]
    assert [_outcome(span) for span in deliveries] == [("succeeded", None)]
    assert {span.kind for span in attempts + deliveries} == {SpanKind.CONSUMER}
    assert {span.kind for span in polls} == {SpanKind.INTERNAL}
    worked = attempts + polls + deliveries
    for span in worked:
        assert parent_of(span) == place(producer)[1]
        (link,) = span.links
        assert (link.context.trace_id, link.context.span_id) == (
            producer.context.trace_id,
            producer.context.span_id,
        )

    calls = sorted((span for span in spans.ended if span.kind is SpanKind.CLIENT), key=_at)
    assert [span.name for span in calls] == ["POST", "POST", "POST", "GET", "GET", "POST"]
    by_start = sorted(worked, key=_at)
    assert [parent_of(span) for span in calls] == [place(span)[1] for span in by_start]
    assert story.told == [
        (path, f"00-{TRACE}-{place(span)[1]}-01", "vendor=1")
        for path, span in zip(
            ["/clients"] * 3 + ["/jobs/1"] * 2 + [f"/{SECRET}/hook"], calls, strict=True
        )
    ]
    assert [_status(span) for span in calls] == [None, 503, 202, 200, 200, 204]
    assert [_facts(span)["url.full"] for span in calls] == [
        *[f"{story.url}/clients"] * 3,
        *[f"{story.url}/jobs/1"] * 2,
        story.url,
    ]
    told = "".join(span.to_json() for span in spans.ended)
    assert SECRET not in told
    assert story.url in told


async def _is(found: Any, expected: Any) -> None:
    await asyncio.sleep(0)
    assert found == expected


def _at(span: ReadableSpan) -> int:
    return span.start_time or 0


def _facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def _status(span: ReadableSpan) -> Any:
    return _facts(span).get("http.response.status_code")


def _outcome(span: ReadableSpan) -> tuple[Any, Any]:
    """How it ended, and its error, which is there just where the span has failed."""
    error = _facts(span).get("error.type")
    assert (span.status.status_code is StatusCode.ERROR) is (error is not None)
    assert span.status.description is None
    return _facts(span)["asyncapiproxy.outcome"], error


async def test_spans_have_the_attributes_of_the_conventions(opened: Any):
    installation, spans = await opened(operation())
    client = await one_of_each(installation)
    answer = await client.post("/create-client?x=1", json={"name": SECRET})
    assert answer.status_code == 422
    answer = await client.post("/create-client", json={"name": SECRET})
    await eventually(lambda: _is(len(spans.ended), 5))
    refused, server = spans.named("POST /create-client")
    task = {
        "asyncapiproxy.task.id": answer.headers["task-id"],
        "asyncapiproxy.operation": "create-client",
    }
    message = {
        "messaging.system": "asyncapiproxy",
        "messaging.destination.name": "clients",
        "messaging.message.id": answer.headers["task-id"],
        **task,
    }
    http = {
        "http.request.method": "POST",
        "http.route": "/create-client",
        "url.path": "/create-client",
        "url.scheme": "http",
    }
    assert _facts(refused) == {**http, "http.response.status_code": 422}
    assert refused.status.status_code is StatusCode.UNSET
    assert _facts(server) == {
        **http,
        "http.response.status_code": 201,
        "asyncapiproxy.task.id": answer.headers["task-id"],
    }
    assert _facts(spans.named("send clients")[0]) == {
        **message,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    assert _facts(spans.named("process clients")[0]) == {
        **message,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "asyncapiproxy.attempt": 1,
        "asyncapiproxy.outcome": "succeeded",
    }
    host, port = installation.upstream.url.removeprefix("http://").split(":")
    assert _facts(spans.named("POST")[0]) == {
        "http.request.method": "POST",
        "server.address": host,
        "server.port": int(port),
        "url.full": f"{installation.upstream.url}/clients",
        "http.response.status_code": 201,
    }


async def test_a_callers_error_is_none_of_the_server_and_is_one_of_the_client(opened: Any):
    installation, spans = await opened(operation(retry={"maxAttempts": 1}))
    client = await one_of_each(installation)
    installation.upstream.will(status(404), status(503))
    for code in (404, 502):
        assert (await client.post("/create-client", json={})).status_code == code
    await eventually(lambda: _is(len(spans.ended), 8))
    found = {name: spans.named(name) for name in ("POST /create-client", "POST")}
    errors = {
        name: [_facts(span).get("error.type") for span in those] for name, those in found.items()
    }
    assert errors == {"POST /create-client": [None, "502"], "POST": ["404", "503"]}
    assert [_outcome(span) for span in spans.named("process clients")] == [
        ("failed", "failed"),
        ("failed", "upstream-failed"),
    ]


async def test_what_a_handler_traces_itself_is_a_part_of_its_attempt(opened: Any):
    handler: dict[str, Any] = {"upstream": None, "handler": "asynctestkit.recorded_spans:tell_span"}
    installation, spans = await opened(operation(**handler))
    client = await one_of_each(installation)
    answer = await client.post("/create-client", json={}, headers=TRACED)
    await eventually(lambda: _is(len(spans.ended), 3))
    assert answer.json() == place(spans.named("process clients")[0])[1]


async def test_histograms_have_sampled_traces_as_exemplars_and_no_others(opened: Any):
    installation, spans = await opened(operation("of-exemplars"))
    client = await one_of_each(installation)
    unsampled = {"traceparent": f"00-{'1' * 32}-{SPAN}-00"}
    for headers in (unsampled, TRACED):
        answer = await client.post("/of-exemplars", json={}, headers=headers)
        assert answer.status_code == 201
    await eventually(lambda: _is(len(spans.ended), 4))
    text, _ = exposition("application/openmetrics-text; version=1.0.0")
    exemplars = {
        line.split("_seconds")[0]: line.split("# ")[1]
        for line in text.decode().splitlines()
        if 'operation="of-exemplars"' in line and "# " in line
    }
    (sent,), (attempt,) = spans.named("send clients"), spans.named("process clients")
    for name, span in (("wait", sent), ("attempt", attempt)):
        wanted = f'{{span_id="{place(span)[1]}",trace_id="{TRACE}"}}'
        assert exemplars[f"asyncapiproxy_{name}"].startswith(wanted)
    assert "1" * 32 not in text.decode()


async def _told(installation: Inside, headers: dict[str, str]) -> tuple[str, str]:
    """The traceparent that the upstream got, and the task's trace."""
    told: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        told.append(request.headers["traceparent"])
        return web.json_response({})

    installation.upstream.will(answer)
    client = await one_of_each(installation)
    answered = await client.post("/create-client", json={}, headers=headers)
    task = await finished_task(client, answered.headers["task-id"])
    return told[0], task["traceId"]


async def test_a_trace_that_nobody_samples_is_told_on_and_makes_no_spans(opened: Any):
    installation, spans = await opened(operation(), sampler=ParentBased(ALWAYS_OFF))
    told, trace_id = await _told(installation, {})
    assert told[3:35] == trace_id
    assert told.endswith("-02")
    assert spans.ended == ()


async def test_a_caller_who_does_not_sample_is_heard(opened: Any):
    installation, spans = await opened(operation(), sampler=ParentBased(ALWAYS_ON))
    unsampled = f"00-{TRACE}-{SPAN}-00"
    assert await _told(installation, {"traceparent": unsampled}) == (unsampled, TRACE)
    assert spans.ended == ()


async def test_a_sampler_that_does_not_ask_parents_is_heard_instead(opened: Any):
    installation, spans = await opened(operation(), sampler=ALWAYS_ON)
    told, trace_id = await _told(installation, {"traceparent": f"00-{TRACE}-{SPAN}-00"})
    await eventually(lambda: _is(len(spans.ended), 4))
    assert trace_id == TRACE
    assert told == f"00-{TRACE}-{place(spans.named('POST')[0])[1]}-01"


async def test_a_wrong_traceparent_begins_a_new_trace(opened: Any):
    installation, spans = await opened(operation())
    _, trace_id = await _told(installation, {"traceparent": f"00-{TRACE}-{SPAN}-01-x"})
    (server,) = spans.named("POST /create-client")
    assert (server.parent, place(server)[0]) == (None, trace_id)
    assert trace_id != TRACE


async def test_what_began_before_there_were_traces_begins_one_with_its_attempt(opened: Any):
    installation, spans = await opened(operation())
    installation.traces = NO_TRACES
    client = await installation.client(await installation.proxy())
    accepted = await client.post("/create-client", json={}, headers=ASYNC)
    assert accepted.json()["traceId"] is None
    installation._shared = replace(installation._shared, traces=spans.traces)
    await installation.executor()
    await eventually(lambda: _is(len(spans.ended), 2))
    (attempt,) = spans.named("process clients")
    assert (attempt.parent, list(attempt.links)) == (None, [])
    assert parent_of(spans.named("POST")[0]) == place(attempt)[1]
