"""The CustomResourceDefinitions and the models that read and write their objects say the same."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from asyncoperator.mirror.asynctask import (
    DEFAULTED,
    AsyncTaskSpec,
    AsyncTaskStatus,
    refused_status,
    task_status,
)
from asyncoperator.scaling.executorpool import ExecutorPoolSpec, ExecutorPoolStatus
from asynctasks.callbacks.allow import MAX_URL_CHARACTERS
from asynctasks.operations.operation import NAME, QUEUE
from asynctasks.operations.task_options import LABEL_NAME, LABEL_VALUE, MAX_LABELS, MAX_SECONDS
from asynctasks.task import TaskStatus
from asynctestkit.mirrored import NOW, row, seen

CRDS = Path(__file__).parents[2] / "charts/asyncapiproxy/crds"

Schema = dict[str, Any]


@cache
def crd_schema(plural: str) -> Schema:
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def facts(schema: Schema, definitions: Schema, path: str = "") -> dict[str, Any]:
    """By path the type of each field, the words it may be, and its default; which are required."""
    schema = _followed(schema, definitions)
    found: dict[str, Any] = {f"{path}:type": schema.get("type")}
    if "enum" in schema:
        found[f"{path}:enum"] = sorted(schema["enum"])
    if schema.get("default") not in (None, [], {}) and schema.get("type") != "object":
        found[f"{path}:default"] = schema["default"]
    if schema.get("properties"):
        found[f"{path}:required"] = sorted(schema.get("required", []))
    for name, one in schema.get("properties", {}).items():
        found |= facts(one, definitions, f"{path}.{name}")
    if "items" in schema:
        found |= facts(schema["items"], definitions, f"{path}[]")
    return found


def _followed(schema: Schema, definitions: Schema) -> Schema:
    if "$ref" in schema:
        return _followed(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:  # a value or None: the API server leaves the field out
        (one,) = [each for each in schema["anyOf"] if each != {"type": "null"}]
        return _followed(one, definitions)
    return schema


@pytest.mark.parametrize(
    ("plural", "part", "model", "words"),
    [
        ("asynctasks", "spec", AsyncTaskSpec, ()),
        ("asynctasks", "status", AsyncTaskStatus, (".taskStatus",)),
        ("executorpools", "spec", ExecutorPoolSpec, ()),
        ("executorpools", "status", ExecutorPoolStatus, ()),
    ],
)
def test_fields_types_words_and_defaults_are_the_same(
    plural: str, part: str, model: type[BaseModel], words: tuple[str, ...]
):
    """`words` are enumerations that the model has as text and another test checks."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    written = model.model_json_schema(by_alias=True, mode="serialization")
    assert set(schema["properties"]) ^ set(written["properties"]) <= {"responseUrl", "responseURL"}
    schema["properties"] = written["properties"] if part == "status" else schema["properties"]
    ours = facts(schema, schema.get("$defs", {}))
    truth = facts(crd_schema(plural)[part], {})
    for path in words:
        assert truth.pop(f"{path}:enum")
    truth.pop(".conditions:default", None)
    assert ours == truth


def test_the_words_for_a_status_are_those_of_tasks():
    assert crd_schema("asynctasks")["status"]["properties"]["taskStatus"]["enum"] == [
        status.capitalize() for status in TaskStatus
    ]


def test_each_condition_that_an_object_begins_with_is_one_that_an_operator_writes():
    """Else it would stay as it began, since nobody but the API server owns it."""
    begins = crd_schema("asynctasks")["status"]["properties"]["conditions"]["default"]
    for written in (
        task_status(row(), seen(), installation="shop", now=NOW, public_url=""),
        refused_status(seen(), installation="shop", reason="No", message="no", now=NOW),
    ):
        assert {one["type"] for one in begins} == {one["type"] for one in written["conditions"]}
    assert {one["lastTransitionTime"] for one in begins} == {DEFAULTED}


def test_names_are_those_that_an_operations_file_may_have():
    spec = crd_schema("asynctasks")["spec"]["properties"]
    assert spec["operation"]["pattern"] == f"^{NAME.pattern}$"
    assert spec["queue"]["pattern"] == f"^{QUEUE.pattern}$"


def test_labels_and_seconds_are_those_that_any_task_may_have():
    """So that `kubectl apply` says at once what the operator would refuse."""
    spec = crd_schema("asynctasks")["spec"]
    labels = spec["properties"]["labels"]
    (names,) = labels["x-kubernetes-validations"]
    assert names["rule"] == f"self.all(name, name.matches('^{LABEL_NAME.pattern}$'))"
    assert labels["additionalProperties"]["pattern"] == f"^{LABEL_VALUE.pattern}$"
    assert labels["maxProperties"] == MAX_LABELS
    seconds = [spec["properties"][name] for name in ("deadlineSeconds", "delaySeconds")]
    assert [(one["minimum"], one["maximum"]) for one in seconds] == [
        (1, MAX_SECONDS),
        (0, MAX_SECONDS),
    ]


def test_a_callback_may_be_as_long_as_any_url():
    callback = crd_schema("asynctasks")["spec"]["properties"]["callback"]
    assert callback["maxLength"] == MAX_URL_CHARACTERS


@pytest.mark.parametrize("plural", ["asynctasks", "executorpools"])
def test_every_text_list_and_map_is_bounded(plural: str):
    """Else the API server refuses rules for costing too much, and etcd gets what anyone writes."""

    def unbounded(schema: Schema, path: str) -> list[str]:
        bounds = {"string": "maxLength", "array": "maxItems"}.get(schema["type"])
        is_free = bounds is not None and bounds not in schema and not {"enum", "format"} & {*schema}
        is_free = is_free or ("additionalProperties" in schema and "maxProperties" not in schema)
        found = [path] if is_free else []
        for name, one in schema.get("properties", {}).items():
            found += unbounded(one, f"{path}.{name}")
        return found + (unbounded(schema["items"], f"{path}[]") if "items" in schema else [])

    parts = crd_schema(plural)
    assert unbounded(parts["spec"], "spec") + unbounded(parts["status"], "status") == []


@pytest.mark.parametrize("plural", ["asynctasks", "executorpools"])
def test_every_field_has_a_description(plural: str):
    """Which is what `kubectl explain` shows."""

    def bare(schema: Schema, path: str) -> list[str]:
        found = [] if schema.get("description") else [path]
        for name, one in schema.get("properties", {}).items():
            found += bare(one, f"{path}.{name}")
        return found + (bare(schema["items"], f"{path}[]") if "items" in schema else [])

    parts = crd_schema(plural)
    assert bare(parts["spec"], "spec") + bare(parts["status"], "status") == []
