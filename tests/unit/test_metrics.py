"""The metrics and their document agree."""

from pathlib import Path
from typing import Any

import pytest

import asyncexecutor.metrics
import asyncproxy.access.metrics
import asyncproxy.metrics
import asynctasks.operations.operations_watch

DOCUMENT = Path(__file__).parents[2] / "docs/metrics.md"
SERVICES = {
    "Proxy": asyncproxy.metrics,
    "Executor": asyncexecutor.metrics,
    "Operations file": asynctasks.operations.operations_watch,
    "Access file": asyncproxy.access.metrics,
}


def section(title: str) -> list[list[str]]:
    """The cells of the rows of a section's tables."""
    (text,) = [one for one in DOCUMENT.read_text().split("\n## ") if one.startswith(title)]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


@pytest.mark.parametrize(("title", "module"), SERVICES.items())
def test_every_metric_is_documented_with_its_kind_and_labels(title: str, module: Any):
    documented = {
        cells[0].strip("`"): (cells[1], cells[2].replace("`", "").split(", ") if cells[2] else [])
        for cells in section(title)
        if cells[0].startswith("`asyncapiproxy_")
    }
    declared = {}
    for metric in module.METRICS:
        (family,) = metric.describe()
        suffix = "_total" if family.type == "counter" else ""
        declared[family.name + suffix] = (family.type, list(metric._labelnames))
    assert declared == documented


def test_every_outcome_is_documented():
    of_calls = [cells[0] for cells in section("Proxy") if len(cells) == 2 and cells[0] != "outcome"]
    assert of_calls == list(asyncproxy.metrics.OUTCOMES)
    (attempts,) = [
        cells for cells in section("Executor") if cells[0] == "`asyncapiproxy_attempts_total`"
    ]
    for outcome in asyncexecutor.metrics.OUTCOMES:
        assert f"`{outcome}`" in attempts[3]


def test_labels_are_bounded():
    labels = {
        label
        for module in SERVICES.values()
        for metric in module.METRICS
        for label in metric._labelnames
    }
    assert labels <= {
        "operation",
        "outcome",
        "action",
        "queue",
        "limit",
        "kind",
        "name",
        "duty",
        "reason",
        "issuer",
    }
