"""What Kubernetes and Prometheus ask of a service that serves nothing else."""

import pytest
from prometheus_client import Gauge

from asynctasks.errors import SettingsError
from asynctasks.metrics import expose
from asynctasks.probe_server import serve_probes
from asynctestkit.calls import caller
from asynctestkit.ports import free_port, is_listening


async def test_a_check_is_asked_each_time_and_its_answer_is_the_probes():
    wrong: dict[str, str] = {"ready": "draining"}
    port = free_port()
    async with (
        serve_probes(port, healthy=lambda: wrong.get("healthy"), ready=lambda: wrong.get("ready")),
        caller(f"http://127.0.0.1:{port}") as client,
    ):
        answers = [await client.get(path) for path in ("/healthz", "/readyz")]
        assert [(one.status_code, one.text) for one in answers] == [(200, "ok"), (503, "draining")]
        wrong = {"healthy": "stuck"}
        answers = [await client.get(path) for path in ("/healthz", "/readyz")]
        assert [(one.status_code, one.text) for one in answers] == [(503, "stuck"), (200, "ok")]
        assert (await client.get("/tasks")).status_code == 404
    assert not is_listening(port)


async def test_metrics_are_shown_once_they_are_exposed():
    metric = Gauge("asyncapiproxy_of_this_test", "Made here.", registry=None)
    port = free_port()
    async with (
        serve_probes(port, healthy=lambda: None, ready=lambda: None),
        caller(f"http://127.0.0.1:{port}") as client,
    ):
        before = await client.get("/metrics")
        assert "process_resident_memory_bytes" in before.text
        assert "asyncapiproxy_of_this_test" not in before.text
        for _ in range(2):
            expose([metric])
        metric.set(3)
        after = await client.get("/metrics")
        assert "asyncapiproxy_of_this_test 3.0" in after.text
        assert after.headers["content-type"].startswith("text/plain; version=")
        asked = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        open_metrics = await client.get("/metrics", headers=asked)
        assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
        assert "asyncapiproxy_of_this_test 3.0" in open_metrics.text
        assert open_metrics.text.endswith("# EOF\n")


async def test_a_port_that_is_taken_is_a_wrong_setting_and_none_is_none():
    port = free_port()
    async with serve_probes(port, healthy=lambda: None, ready=lambda: None):
        with pytest.raises(SettingsError, match="ASYNCAPIPROXY_HEALTH_PORT"):
            async with serve_probes(port, healthy=lambda: None, ready=lambda: None):
                pass
    async with serve_probes(0, healthy=lambda: None, ready=lambda: None):
        pass
