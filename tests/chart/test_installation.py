"""Whose the objects, queues and addresses of a release are."""

import pytest

from asynctestkit.helm import (
    NAMESPACE,
    Json,
    environment,
    of_kind,
    one,
    render,
)

DEMO: Json = {"demoApi": {"enabled": True}}


def test_the_operators_lease_goes_with_the_release():
    objects = render(DEMO)
    operator = one(objects, "Deployment", "operator")["spec"]["template"]["spec"]["containers"][0]
    installation = environment(operator)["ASYNCAPIPROXY_INSTALLATION"]
    ((name, lease),) = of_kind(objects, "Lease").items()
    assert name == f"{installation}-operator"
    assert lease["metadata"]["labels"]["asyncapiproxy.dev/installation"] == installation


def test_releases_have_queues_and_pools_of_their_own():
    objects = render(DEMO)
    operator = one(objects, "Deployment", "operator")["spec"]["template"]["spec"]["containers"][0]
    given = environment(operator)
    installation = given["ASYNCAPIPROXY_INSTALLATION"]
    (pool,) = of_kind(objects, "ExecutorPool").values()
    assert pool["spec"]["installation"] == installation
    prefixes = {
        environment(container)["ASYNCAPIPROXY_BROKER_PREFIX"]
        for each in ("proxy", "executor", "operator")
        for container in one(objects, "Deployment", each)["spec"]["template"]["spec"]["containers"]
    }
    (prefix,) = prefixes
    assert prefix.endswith(f".{installation}")


def test_a_policy_guards_what_only_the_operator_may_write():
    objects = render(DEMO)
    ((name, policy),) = of_kind(objects, "ValidatingAdmissionPolicy").items()
    (binding,) = of_kind(objects, "ValidatingAdmissionPolicyBinding").values()
    assert binding["spec"]["policyName"] == name
    operator = one(objects, "Deployment", "operator")["spec"]["template"]["spec"]
    installation = environment(operator["containers"][0])["ASYNCAPIPROXY_INSTALLATION"]
    assert name == f"{installation}.{NAMESPACE}"
    account = f"system:serviceaccount:{NAMESPACE}:{operator['serviceAccountName']}"
    variables = {each["name"]: each["expression"] for each in policy["spec"]["variables"]}
    assert variables["isOperator"] == f'request.userInfo.username == "{account}"'
    selector = policy["spec"]["matchConstraints"]["namespaceSelector"]
    assert selector == {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}


@pytest.mark.parametrize(
    "values",
    [
        {"rbac": {"admissionPolicy": False}},
        {"operator": {"enabled": False}, "scaling": {"mode": "none"}},
    ],
)
def test_without_an_operator_or_by_choice_there_is_no_policy(values: Json):
    assert not of_kind(render({**DEMO, **values}), "ValidatingAdmissionPolicy")


def test_proxies_and_operator_know_where_callers_find_them():
    objects = render({**DEMO, "publicUrl": "https://tasks.example.com"})
    for component in ("proxy", "operator"):
        pod = one(objects, "Deployment", component)["spec"]["template"]["spec"]
        variables = environment(pod["containers"][0])
        assert variables["ASYNCAPIPROXY_PUBLIC_URL"] == "https://tasks.example.com"
