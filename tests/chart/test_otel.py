"""To which collector the chart has services send their spans."""

import pytest

from asynctestkit.helm import Json, containers, environment, pods, render

DEMO: Json = {"demoApi": {"enabled": True}}
SERVICES = {
    f"Deployment/demo-asyncapiproxy-{name}" for name in ("proxy", "executor-clients", "operator")
}


def of_otel(values: Json) -> dict[str, dict[str, str]]:
    """By Deployment what its containers' environments say to OpenTelemetry."""
    found: dict[str, dict[str, str]] = {}
    for name, pod in pods(render({**DEMO, **values})).items():
        for container in containers(pod):
            given = environment({"env": [], **container})
            told = {key: value for key, value in given.items() if key.startswith("OTEL_")}
            if told:
                found[name] = told
    return found


def test_without_an_endpoint_nobody_makes_spans():
    assert of_otel({}) == {}
    assert of_otel({"otel": {"share": 0.5}}) == {}


def test_all_services_send_their_spans_to_the_endpoint_and_say_where_they_run():
    found = of_otel({"otel": {"endpoint": "http://collector:4318"}})
    assert set(found) == SERVICES
    for told in found.values():
        assert told.pop("OTEL_RESOURCE_ATTRIBUTES").endswith(
            ",k8s.pod.name=$(ASYNCAPIPROXY_POD_NAME)"
        )
        assert told == {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(("share", "told"), [(0.01, "0.01"), (1, "1"), (0, "0")])
def test_a_share_of_the_traces_is_recorded(share: float, told: str):
    found = of_otel({"otel": {"endpoint": "http://collector:4318", "share": share}})
    assert set(found) == SERVICES
    for given in found.values():
        assert given["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
        assert given["OTEL_TRACES_SAMPLER_ARG"] == told
