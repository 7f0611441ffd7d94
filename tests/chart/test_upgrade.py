"""What an upgrade keeps of what there is."""

import base64
from typing import Any

import pytest
from cryptography.fernet import Fernet

from asynctestkit.helm import CHART, NAMESPACE, OLDEST_KUBERNETES, Json, helm, of_kind, one, render

DEMO: Json = {"demoApi": {"enabled": True}}
UNSCALED: Json = {**DEMO, "scaling": {"mode": "none"}}
EXECUTOR = "demo-asyncapiproxy-executor-clients"


def live(rendered: Json, *, replicas: int) -> Json:
    """What the cluster has of a Deployment, scaled to so many."""
    metadata = {**rendered["metadata"], "namespace": NAMESPACE}
    return {**rendered, "metadata": metadata, "spec": {**rendered["spec"], "replicas": replicas}}


@pytest.mark.parametrize("mode", ["operator", "keda"])
def test_executors_stay_as_many_as_they_are_when_scaling_is_switched_on(mode: str):
    there = of_kind(render(UNSCALED), "Deployment")[EXECUTOR]
    assert there["spec"]["replicas"] == 1
    values = {**DEMO, "scaling": {"mode": mode}}
    for replicas in (3, 0, 7):  # the second time, scaling has done its work in between
        objects = render(values, live=[live(there, replicas=replicas)])
        there = of_kind(objects, "Deployment")[EXECUTOR]
        assert there["spec"]["replicas"] == replicas


def test_proxies_stay_as_many_as_they_are_when_scaling_is_switched_on():
    there = one(render({**DEMO, "proxy": {"replicas": 5}}), "Deployment", "proxy")
    assert there["spec"]["replicas"] == 5
    values = {**DEMO, "proxy": {"autoscaling": {"enabled": True}}}
    objects = render(values, live=[live(there, replicas=5)])
    assert one(objects, "Deployment", "proxy")["spec"]["replicas"] == 5


def test_the_chart_says_no_number_where_it_never_has():
    """A rollback would bring an old number back, and so would who renders without a cluster."""
    there = of_kind(render(DEMO), "Deployment")[EXECUTOR]
    objects = render(DEMO, live=[live(there, replicas=4)])
    assert "replicas" not in of_kind(objects, "Deployment")[EXECUTOR]["spec"]


def test_what_was_made_once_is_kept():
    made = {
        "postgresql-password": "p",
        "postgresql-service-password": "s2",
        "rabbitmq-password": "r",
        "sealing-keys": "s",
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "demo-asyncapiproxy-credentials", "namespace": NAMESPACE},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in made.items()},
    }
    data: Any = one(render(DEMO, live=[secret]), "Secret", "credentials")["data"]
    kept = {key: base64.b64decode(data[key]).decode() for key in data}
    assert made.items() <= kept.items()
    assert ":p@" in kept["migration-database-url"]
    assert ":s2@" in kept["database-url"]
    fresh: Any = one(render(DEMO, live=[]), "Secret", "credentials")["data"]
    Fernet(base64.b64decode(fresh["sealing-keys"]))


def test_the_default_of_a_scaling_mode_is_left_to_whom_it_concerns():
    """Else the chart would own the field, and `kubectl patch … Off` would end in a conflict."""

    def mode(values: Json) -> Any:
        (pool,) = of_kind(render(values), "ExecutorPool").values()
        return pool["spec"]["scaling"].get("mode")

    assert mode(DEMO) is None
    assert mode(UNSCALED) == "Off"


def test_an_operation_is_taken_out_by_null():
    """As `--set` does over values that are used again, whose maps Helm merges."""
    values = {
        "operations": {
            name: {"route": f"POST /{name}", "queue": name, "handler": "a:b"} for name in "ab"
        },
        "pools": {"b": {"minReplicas": 2}},
    }
    removed = ("--set", "operations.b=null,pools.b=null")
    text = helm(
        *("template", "demo", str(CHART), "--kube-version", OLDEST_KUBERNETES, *removed),
        values=values,
    )
    assert "route: POST /a" in text
    assert "POST /b" not in text
    assert "executor-b" not in text
