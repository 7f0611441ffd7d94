"""The schema of the chart's values, and what is said of them."""

import json
import re
import runpy
import sys
import textwrap
from typing import Any

import jsonschema_rs
import pytest
import yaml

from asynctestkit.helm import CHART, ROOT, HelmError, render

METRIC = re.compile(r"\basyncapiproxy_[a-z_]+")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.fixture(scope="module")
def written() -> Any:
    """What `./dev chart` would write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "charts"), *sys.path])
        return runpy.run_path(str(ROOT / "charts/values_schema.py"))


def test_the_schema_is_what_the_services_settings_say(written: Any):
    assert (CHART / "values.schema.json").read_text() == written["schema_text"](), "run ./dev chart"


def test_the_documented_values_are_those_that_there_are(written: Any):
    document = (ROOT / "docs/chart.md").read_text()
    assert document == written["with_table"](document), "run ./dev chart"


def test_the_schema_accepts_the_values_of_the_chart():
    jsonschema_rs.validator_for(SCHEMA).validate(
        yaml.safe_load((CHART / "values.yaml").read_text())
    )


def test_every_value_is_in_the_chart_with_its_default():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert missing(SCHEMA, values) == ["global"]


def missing(schema: Any, values: Any, path: str = "") -> list[str]:
    found: list[str] = []
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}".removeprefix(".")
        if name not in values:
            found.append(here)
        elif name != "settings":
            found += missing(child, values[name], here)
    return found


def objects_of(schema: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all objects that refuse keys they do not know."""
    found = [path] if schema.get("additionalProperties") is False else []
    for name, child in schema.get("properties", {}).items():
        found += objects_of(child, (*path, name))
    return found


@pytest.mark.parametrize("path", objects_of(SCHEMA), ids=".".join)
def test_a_misspelt_key_is_refused_by_its_name(path: tuple[str, ...]):
    values: Any = {"enabeld": 1}
    for name in reversed(path):
        values = {name: values}
    with pytest.raises(HelmError, match="enabeld"):
        render({"demoApi": {"enabled": True}, **values})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"proxy": {"replicas": "three"}}, "/proxy/replicas"),
        ({"proxy": {"replicas": 0}}, "/proxy/replicas"),
        ({"scaling": {"mode": "hpa"}}, "/scaling/mode"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"pools": {"clients": {"maxReplica": 3}}}, "maxReplica"),
        ({"settings": {"logLevel": "loud"}}, "/settings/logLevel"),
        ({"proxy": {"settings": {"maxWaitSeconds": 601}}}, "/proxy/settings/maxWaitSeconds"),
        ({"settings": {"databaseUrl": "postgresql://a/b"}}, "databaseUrl"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(values: Any, named: str):
    with pytest.raises(HelmError, match=named):
        render({"demoApi": {"enabled": True}, **values})


ALERTS = ("alerts.yaml", "operator-alerts.yaml")


@pytest.mark.parametrize("file", [*ALERTS, "dashboard.json"])
def test_every_metric_that_is_asked_for_is_one_that_we_export(file: str):
    """tests/unit and tests/cluster hold docs/metrics.md against what services really export."""
    exported = set(
        re.findall(
            r"^\| `(asyncapiproxy_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
        )
    )
    histograms = {f"{name}_bucket" for name in exported}
    asked = set(METRIC.findall((CHART / "files" / file).read_text()))
    assert asked
    assert asked <= exported | histograms


def test_every_alert_says_what_to_do():
    texts = [(CHART / "files" / file).read_text() for file in ALERTS]
    alerts = [alert for text in texts for alert in yaml.safe_load(text)]
    for alert in alerts:
        assert alert["annotations"].keys() == {"summary", "description"}
        assert alert["labels"]["severity"] in {"warning", "critical"}
    documented = (ROOT / "docs/operate.md").read_text()
    assert [alert["alert"] for alert in alerts if alert["alert"] not in documented] == []


def test_rules_and_dashboard_are_of_the_releases_namespace():
    values = {
        "demoApi": {"enabled": True},
        "monitoring": {"rules": {"enabled": True}, "dashboard": {"enabled": True}},
    }
    objects = render(values)
    (rule,) = (each for each in objects if each["kind"] == "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    for alert in group["rules"]:
        assert 'namespace="shop"' in alert["expr"]
        assert "$namespace" not in alert["expr"]
    (dashboard,) = (
        json.loads(each["data"]["asyncapiproxy.json"])
        for each in objects
        if each["metadata"]["name"].endswith("-dashboard")
    )
    assert len(dashboard["panels"]) >= 12


def test_the_dashboard_takes_rates_over_intervals_that_hold_two_readings():
    """$__interval may be shorter than the time between two readings, and then shows nothing."""
    text = (CHART / "files/dashboard.json").read_text()
    spans = re.findall(r"_total\{[^}]*\}\[([^\]]*)\]", text)
    assert len(spans) > 5
    assert set(spans) == {"$__rate_interval"}


DOCUMENTS = ("docs/install.md", "docs/add-an-operation.md", "charts/asyncapiproxy/README.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_values_that_are_shown_can_be_installed(document: str):
    shown = re.findall(
        r"^ *```yaml\n(.*?)```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE
    )
    assert shown
    for text in shown:
        values = yaml.safe_load(textwrap.dedent(text))
        queues = {
            f"op-{queue}": {"route": f"POST /{queue}", "queue": queue, "handler": "a:b"}
            for queue in values.get("pools", {})
        }
        render({"operations": queues or {"op": {"route": "POST /op", "handler": "a:b"}}, **values})
