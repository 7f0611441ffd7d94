"""Texts of the values arrive as they were given, and as texts."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import yaml

from asynctestkit.helm import (
    CHART,
    OLDEST_KUBERNETES,
    HelmError,
    Json,
    environment,
    helm,
    one,
    pods,
    render,
)

DEMO: Json = {"demoApi": {"enabled": True}}
CONTROLS = ["\u0085", "\u2028", "\u2029", "\ufeff", "\x7f"]
ODD_TEXTS = [
    *(
        "a & b < c > d",
        'say "hi"',
        '"',
        '"quoted"',
        "C:\\new\\table",
        "\\",
        "\\u2028",
        "one\ntwo\n",
        "\ttab",
    ),
    *("# none", "a: b", "- a", "{{ braces }}", "%s", "'", "é", *CONTROLS),
    *("", " ", "no", "1e3", "0x1f", "12:30", "null", "~", "007"),
]


def executor_environment(values: Json) -> Json:
    executor = pods(render(values))["Deployment/demo-asyncapiproxy-executor-clients"]
    return environment(executor["containers"][0])


def test_a_variable_has_the_text_that_was_given():
    given = {f"TEXT_{number}": text for number, text in enumerate(ODD_TEXTS)}
    arrived = executor_environment({**DEMO, "executor": {"env": given}})
    assert {name: arrived[name] for name in given} == given


def test_a_variable_with_a_number_or_a_boolean_has_the_text_of_it():
    given = {"MILLION": 1_000_000, "PART": 0.1, "ON": True, "LONG": 123_456_789_012}
    arrived = executor_environment({**DEMO, "executor": {"env": given}})
    assert {name: arrived[name] for name in given} == {
        "MILLION": "1000000",
        "PART": "0.1",
        "ON": "true",
        "LONG": "123456789012",
    }


def test_a_setting_has_the_text_that_was_given():
    arrived = executor_environment({**DEMO, "settings": {"brokerPrefix": "1e3"}})
    assert arrived["ASYNCAPIPROXY_BROKER_PREFIX"] == "1e3"


def test_operations_have_the_texts_that_were_given():
    given = [text for text in ODD_TEXTS if text not in CONTROLS]
    operation = {"route": "POST /a", "handler": "a:b", "x": given, "description": "\n".join(given)}
    objects = render({**DEMO, "operations": {"odd": operation}})
    text = one(objects, "ConfigMap", "operations")["data"]["operations.yaml"]
    assert yaml.safe_load(text)["operations"]["odd"] == operation


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_operations_with_texts_that_helm_cannot_write_are_refused(control: str):
    operation = {"route": "POST /a", "handler": "a:b", "description": f"a{control}b"}
    with pytest.raises(HelmError, match="no text in them can have a control character"):
        render({**DEMO, "operations": {"odd": operation}})


@pytest.mark.parametrize("name", ["123", "true", "5"])
def test_names_that_look_like_something_else_stay_texts(name: str):
    """Kubernetes refuses a number or a boolean where it expects a name or a label."""
    values = {
        **DEMO,
        "fullnameOverride": name,
        "nameOverride": name,
        "commonLabels": {"team": name},
        "ingress": {"enabled": True, "className": name, "hosts": [name]},
        "database": {"existingSecret": name, "existingSecretKey": name},
        "executor": {"env": {name: name}, "priorityClassName": name},
        "monitoring": {"monitors": {"enabled": True}, "rules": {"enabled": True}},
        "postgresql": {"enabled": False},
        "rabbitmq": {"persistence": {"storageClassName": name, "size": name}},
        "scaling": {
            "mode": "keda",
            "keda": {"managementUrlSecret": name, "managementUrlSecretKey": name},
        },
    }
    text = helm(
        *("template", name, str(CHART), "--namespace", name, "--kube-version", OLDEST_KUBERNETES),
        values=values,
    )
    objects = [each for each in yaml.safe_load_all(text) if each]
    assert len(objects) > 15
    assert {place for each in objects for place in not_texts(each)} == set()


TEXTS = {"name", "key", "namespace", "ingressClassName", "priorityClassName", "storageClassName"}


def not_texts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where something else stands that has to be a text: keys, names, labels, variables."""
    if isinstance(node, list):
        for child in cast("list[Any]", node):
            yield from not_texts(child, path)
    elif isinstance(node, dict):
        are_texts = path[-1:] in {("labels",), ("annotations",), ("matchLabels",), ("requests",)}
        for key, child in cast("dict[Any, Any]", node).items():
            here = (*path, str(key))
            is_text = are_texts or key in TEXTS or path[-1:] == ("env",)
            if not isinstance(key, str) or (is_text and not isinstance(child, str | dict | list)):
                yield here
            yield from not_texts(child, here)
