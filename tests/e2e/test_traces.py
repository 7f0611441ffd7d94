"""Real processes send one trace to a collector, over an executor that is killed and a callback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynctasks.callbacks.signing import new_signing_key
from asynctestkit.calls import caller, finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, serving_app
from asynctestkit.ports import free_port
from asynctestkit.processes import Installation, Keep
from asynctestkit.shown_commands import here, run, scripts

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
OPERATIONS = """
operations:
  report:
    route: POST /reports
    queue: clients
    upstream:
      url: "{STORY}/reports"
      poll:
        url: {header: [Location]}
        until: {pointer: /status, succeeded: [done]}
        everySeconds: [0.1, 0.2]
    retry: {maxAttempts: 3, backoffSeconds: [0.05, 0.1]}
"""
PRODUCER, CONSUMER = 4, 5


@dataclass
class Collector:
    """An OTLP receiver that is the upstream and the receiver of callbacks, too."""

    url: str = ""
    calls: int = 0
    polls: int = 0
    told: list[str] = field(default_factory=list[str])
    """The traceparents of calls of the upstream and the receiver."""
    spans: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    """By the service that has sent them."""

    async def take(self, request: web.Request) -> web.Response:
        for of_resource in ExportTraceServiceRequest.FromString(
            await request.read()
        ).resource_spans:
            (service,) = (
                attribute.value.string_value
                for attribute in of_resource.resource.attributes
                if attribute.key == "service.name"
            )
            for of_scope in of_resource.scope_spans:
                self.spans.setdefault(service, []).extend(of_scope.spans)
        return web.Response(content_type="application/x-protobuf")

    async def report(self, request: web.Request) -> web.StreamResponse:
        self.told.append(request.headers["traceparent"])
        self.calls += 1
        if self.calls == 1:
            await asyncio.Event().wait()
        if self.calls == 2:
            return web.json_response({}, status=503)
        return web.json_response({}, status=202, headers={"Location": "/jobs/1"})

    async def job(self, request: web.Request) -> web.StreamResponse:
        self.told.append(request.headers["traceparent"])
        self.polls += 1
        return web.json_response({"status": "busy" if self.polls == 1 else "done"})

    async def hook(self, request: web.Request) -> web.StreamResponse:
        self.told.append(request.headers["traceparent"])
        return web.Response(status=204)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    served = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", served.take)
    app.router.add_post("/reports", served.report)
    app.router.add_get("/jobs/1", served.job)
    app.router.add_post("/hook", served.hook)
    async with serving_app(app, handler_cancellation=True, port=free_port()) as served.url:
        yield served


@pytest.fixture
def exported(collector: Collector, tmp_path: Path) -> dict[str, str]:
    """What docs/traces.md has one export, for this collector."""
    (script,) = scripts("docs/traces.md", "On and off")
    script = here(script, {"http://localhost:4318": collector.url})
    printed = run(f"{script}\nenv", tmp_path).splitlines()
    return dict(line.split("=", 1) for line in printed if line.startswith("OTEL_"))


async def test_one_trace_over_a_kill_a_retry_a_poll_and_a_callback(
    install: Callable[..., Installation],
    keep: Keep,
    collector: Collector,
    exported: dict[str, str],
):
    installation = install(
        OPERATIONS,
        environment={"STORY": collector.url, **exported},
        lease_seconds=2,
        relay_interval_seconds=0.2,
        callback_allow=collector.url,
        callback_keys=new_signing_key(),
        callback_networks="127.0.0.0/8",
    )
    await asyncio.to_thread(installation.migrate)
    executor = installation.executor()
    services = [installation.proxy(), executor, installation.executor("told", queue="callbacks")]
    for service in services:
        keep(service).launch()
    await asyncio.gather(*(asyncio.to_thread(each.wait_until_ready) for each in services))
    headers = {**ASYNC, **TRACED, "Task-Callback": f"{collector.url}/hook"}
    async with caller(services[0].url) as client:
        accepted = await client.post("/reports", json={}, headers=headers)
        assert accepted.status_code == 202, accepted.text

        def is_called() -> None:
            assert collector.calls == 1

        await eventually(is_called)
        executor.kill()
        executor.launch()
        task = await finished_task(client, accepted.json()["id"])
        assert (task["status"], task["traceId"]) == ("succeeded", TRACE)

        def is_told() -> None:
            # Two calls after the first, two polls and the callback.
            assert len(collector.told) == 6

        await eventually(is_told)
    for service in services:
        await asyncio.to_thread(service.stop)

    assert {name: len(spans) for name, spans in collector.spans.items()} == {
        "asyncapiproxy-proxy": 2,
        # Of the killed one nothing: two attempts and two polls, each with its call; the delivery.
        "asyncapiproxy-executor": 10,
    }
    spans = [span for of_service in collector.spans.values() for span in of_service]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    (producer,) = (span for span in spans if span.kind == PRODUCER)
    (server,) = (span for span in spans if span.span_id == producer.parent_span_id)
    assert server.parent_span_id.hex() == SPAN
    consumers = [span for span in spans if span.kind == CONSUMER]
    assert len(consumers) == 3
    for consumer in consumers:
        assert consumer.parent_span_id == producer.span_id
        assert [link.span_id for link in consumer.links] == [producer.span_id]
    sent = {f"00-{TRACE}-{span.span_id.hex()}-01" for span in spans}
    assert set(collector.told[1:]) <= sent
    assert [fault for service in services for fault in service.faults] == []


async def test_a_collector_that_is_away_holds_up_no_caller_and_no_end(
    install: Callable[..., Installation], keep: Keep
):
    installation = install(
        environment={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    )
    await asyncio.to_thread(installation.migrate)
    services = [installation.proxy(), installation.executor(), installation.demo_api()]
    for service in services:
        keep(service).launch()
    await asyncio.gather(*(asyncio.to_thread(each.wait_until_ready) for each in services))
    async with caller(services[0].url) as client:
        answer = await client.post("/clients", json={"email": "ann@example.com", "name": "Ann"})
        assert answer.status_code == 201, answer.text
        assert (await client.get(f"/tasks/{answer.headers['task-id']}")).json()["traceId"]
    loop = asyncio.get_running_loop()
    for service in services[:2]:
        began = loop.time()
        await asyncio.to_thread(service.stop)
        assert loop.time() - began < 20
        assert "Traceback" not in service.log
