"""What the chart makes where callbacks are on, and that it makes nothing of it else."""

from base64 import b64decode
from typing import Any

import pytest

from asynctasks.callbacks.signing import SigningKeys
from asynctestkit.helm import HelmError, Json, containers, environment, of_kind, pods, render

ON: Json = {"demoApi": {"enabled": True}, "callbacks": {"allow": ["https://*.example.com"]}}
POOL = "Deployment/demo-asyncapiproxy-executor-callbacks"
PROXY = "Deployment/demo-asyncapiproxy-proxy"


def given(values: Json) -> dict[str, dict[str, Any]]:
    """The variables of callbacks by workload, of all that has any."""
    found: dict[str, dict[str, Any]] = {}
    for name, pod in pods(render(values)).items():
        for container in containers(pod):
            for variable, value in environment({"env": [], **container}).items():
                if "CALLBACK" in variable:
                    found.setdefault(name, {})[variable.removeprefix("ASYNCAPIPROXY_")] = value
    return found


def secret_values(objects: list[Json]) -> dict[str, str]:
    """What the chart's own Secret holds."""
    (secret,) = of_kind(objects, "Secret").values()
    return {name: b64decode(value).decode() for name, value in secret["data"].items()}


def test_without_a_url_that_may_be_called_there_is_nothing_of_callbacks():
    off: Json = {"demoApi": {"enabled": True}}
    assert given(off) == {}
    assert POOL not in pods(render(off))
    assert "callback-keys" not in secret_values(render(off))


def test_all_services_know_which_urls_and_only_who_has_to_has_the_keys():
    found = given(
        {**ON, "callbacks": {**ON["callbacks"], "networks": ["10.1.0.0/16", "10.2.0.0/16"]}}
    )
    assert {each["CALLBACK_ALLOW"] for each in found.values()} == {"https://*.example.com"}
    assert len(found) == 4  # proxy, operator, and two pools of executors
    assert {name for name, each in found.items() if "CALLBACK_KEYS" in each} == {POOL, PROXY}
    assert [
        each["CALLBACK_NETWORKS"] for each in found.values() if "CALLBACK_NETWORKS" in each
    ] == ["10.1.0.0/16,10.2.0.0/16"]


def test_a_key_is_made_that_signs():
    key = secret_values(render(ON))["callback-keys"]
    assert len(SigningKeys.of([key]).private_keys) == 1


def test_keys_may_be_given():
    keys = [secret_values(render(ON))["callback-keys"] for _ in range(2)]
    values = {**ON, "callbacks": {**ON["callbacks"], "keys": keys}}
    assert secret_values(render(values))["callback-keys"] == ",".join(keys)
    values["callbacks"]["existingSecret"] = "ours"
    with pytest.raises(HelmError, match="give either keys or existingSecret"):
        render(values)


def test_names_stand_in_the_operations_file():
    operations = {"a": {"route": "POST /a", "upstream": {"url": "https://a.example.com"}}}
    named = {"erp": {"url": "https://erp.example.com/x"}, "old": None}
    values = {**ON, "operations": operations, "callbacks": {**ON["callbacks"], "named": named}}
    (file,) = (
        each["data"]["operations.yaml"]
        for each in render(values)
        if each["kind"] == "ConfigMap" and "operations.yaml" in each["data"]
    )
    assert "erp:" in file
    assert "old" not in file


def test_who_calls_back_connects_to_what_is_public_alone():
    values = {**ON, "networkPolicy": {"enabled": True, "egress": {"enabled": True}}}
    values["callbacks"] = {**ON["callbacks"], "networks": ["10.1.0.0/16"]}
    (policy,) = (
        each
        for each in render(values)
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"].endswith("-callbacks")
    )
    assert policy["spec"]["podSelector"]["matchLabels"]["asyncapiproxy.dev/queue"] == "callbacks"
    blocks = [
        to["ipBlock"]
        for rule in policy["spec"]["egress"]
        for to in rule.get("to", ())
        if "ipBlock" in to
    ]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "2000::/3", "10.1.0.0/16"]
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(blocks[0]["except"])
