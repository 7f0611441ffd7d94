"""The chart as it is packaged and shown: README, values for CI, notes."""

import re
from typing import Any

import pytest
import yaml

from asynctestkit.helm import CHART, ROOT, HelmError, Json, helm, of_kind, render

DEMO: Json = {"demoApi": {"enabled": True}}
IN_CI = sorted((CHART / "ci").glob("*-values.yaml"))


def test_every_link_of_the_readme_is_in_the_package():
    links = re.findall(r"\]\(([^)#]+)", (CHART / "README.md").read_text())
    assert links
    for link in links:
        there = (CHART / link).resolve()
        assert there.exists(), link
        assert there.is_relative_to(CHART), link


def test_the_chart_says_what_catalogues_show():
    """Helm's own linter, whose advice counts too."""
    assert "[" not in helm("lint", str(CHART), "--strict", values=DEMO).partition("\n")[2]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["maintainers"]


@pytest.mark.parametrize("file", IN_CI, ids=lambda file: file.name)
def test_each_of_the_values_for_ci_can_be_installed_alone(file: Any):
    """As `ct install` does: with no Secret and no other values."""
    objects = render(yaml.safe_load(file.read_text()))
    made = of_kind(objects, "Secret")
    needed = {
        reference["secretKeyRef"]["name"]
        for each in of_kind(objects, "Deployment").values()
        for container in each["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env", [])
        if "secretKeyRef" in (reference := variable.get("valueFrom", {}))
    }
    assert needed
    assert needed <= made.keys()


def test_the_notes_use_a_port_that_the_local_cluster_leaves_free():
    taken = re.findall(r"hostPort: (\d+)", (ROOT / "charts/kind.yaml").read_text())
    notes = helm("install", "demo", str(CHART), "--dry-run=client", values=DEMO)
    ((port, _),) = re.findall(r"port-forward \S+ (\d+):(\d+)", notes)
    assert port not in taken
    assert set(re.findall(r"localhost:(\d+)", notes)) == {port}


def test_the_defaults_alone_say_in_a_sentence_what_is_missing():
    with pytest.raises(HelmError) as refused:
        render({})
    (sentence,) = (line for line in str(refused.value).splitlines() if "Nothing to serve" in line)
    assert "--set demoApi.enabled=true" in sentence
