"""Who may do what, as far as the chart says it: callers, the services' database role, kubectl."""

import base64
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from asynctestkit.helm import NAMESPACE, HelmError, Json, environment, of_kind, one, pods, render

DEMO: Json = {"demoApi": {"enabled": True}}
CONFIG: Json = {
    "authentication": {"apiKeys": {"file": "keys.yaml"}},
    "rules": [{"may": ["submit", "read"]}],
}
FILE = "ASYNCAPIPROXY_ACCESS_FILE"


def container(objects: list[Json], component: str) -> Json:
    return one(objects, "Deployment", component)["spec"]["template"]["spec"]["containers"][0]


def sources(objects: list[Json], component: str) -> list[Json]:
    volumes = one(objects, "Deployment", component)["spec"]["template"]["spec"]["volumes"]
    (operations,) = (each for each in volumes if each["name"] == "operations")
    return operations["projected"]["sources"]


def test_without_an_access_file_none_is_named():
    objects = render(DEMO)
    assert FILE not in environment(container(objects, "proxy"))
    assert len(sources(objects, "proxy")) == 1


@pytest.mark.parametrize(
    ("access", "secret"),
    [
        ({"config": CONFIG, "keys": {"shop": {"sha256": "a"}}}, "demo-asyncapiproxy-access"),
        ({"existingSecret": "ours"}, "ours"),
    ],
)
def test_only_proxies_have_the_access_file(access: Json, secret: str):
    objects = render({**DEMO, "access": access})
    proxy = container(objects, "proxy")
    (mounted,) = (each for each in proxy["volumeMounts"] if each["name"] == "operations")
    assert environment(proxy)[FILE] == f"{mounted['mountPath']}/access.yaml"
    assert {"secret": {"name": secret}} in sources(objects, "proxy")
    for component in ("executor", "operator"):
        assert FILE not in environment(container(objects, component))
        assert secret not in json.dumps(sources(objects, component))


def test_the_access_file_and_its_keys_are_what_the_values_say():
    keys: Json = {"shop": {"sha256": "a", "tenant": "shop"}}
    objects = render({**DEMO, "access": {"config": CONFIG, "keys": keys}})
    data = of_kind(objects, "Secret")["demo-asyncapiproxy-access"]["stringData"]
    assert yaml.safe_load(data["access.yaml"]) == CONFIG
    assert yaml.safe_load(data["keys.yaml"]) == keys


def test_no_proxy_starts_anew_for_a_changed_access_file():
    """It takes it over as it runs."""

    def template(may: str) -> Any:
        config = {**CONFIG, "rules": [{"may": [may]}]}
        objects = render({**DEMO, "access": {"config": config}})
        return one(objects, "Deployment", "proxy")["spec"]["template"]

    assert template("read") == template("submit")


@pytest.mark.parametrize(
    "access", [{"config": CONFIG, "existingSecret": "ours"}, {"keys": {"shop": {"sha256": "a"}}}]
)
def test_an_access_file_of_two_places_or_of_keys_alone_is_refused(access: Json):
    with pytest.raises(HelmError, match=r"access"):
        render({**DEMO, "access": access})


def test_proxies_get_what_the_clusters_keys_are_asked_with_only_where_it_is_wanted():
    access: Json = {"config": CONFIG, "serviceAccountTokens": {"enabled": True}}
    objects = render({**DEMO, "access": access})
    found = sources(objects, "proxy")
    (token,) = (each["serviceAccountToken"] for each in found if "serviceAccountToken" in each)
    # For the API server itself: the default audience.
    assert token == {"path": "kubernetes/token", "expirationSeconds": 3600}
    assert {each["configMap"]["name"] for each in found if "configMap" in each} == {
        "demo-asyncapiproxy-operations",
        "kube-root-ca.crt",
    }
    assert "serviceAccountToken" not in json.dumps(sources(objects, "executor"))


def test_proxies_reach_the_api_server_only_where_they_ask_it_for_keys():
    def ports(enabled: bool) -> list[int]:
        access: Json = {"config": CONFIG, "serviceAccountTokens": {"enabled": enabled}}
        policy: Json = {"egress": {"enabled": True}}
        objects = render({**DEMO, "access": access, "networkPolicy": policy})
        egress = one(objects, "NetworkPolicy", "proxy")["spec"]["egress"]
        return [port["port"] for rule in egress if "to" not in rule for port in rule["ports"]]

    assert ports(enabled=True) == [53, 53, 443, 6443]
    assert ports(enabled=False) == [53, 53]


def secrets(objects: list[Json]) -> dict[str, str]:
    data = one(objects, "Secret", "credentials")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def references(objects: list[Json], component: str) -> tuple[Json, Json]:
    """By variable the Secret's key, of the migration and of the service."""
    pod = one(objects, "Deployment", component)["spec"]["template"]["spec"]
    found: list[Json] = []
    for each in (pod["initContainers"][0], pod["containers"][0]):
        variables = environment(each).items()
        found.append(
            {name: value["secretKeyRef"] for name, value in variables if "secretKeyRef" in value}
        )
    return found[0], found[1]


@pytest.mark.parametrize("component", ["proxy", "executor", "operator"])
def test_services_reach_the_bundled_database_by_a_user_that_owns_nothing(component: str):
    objects = render(DEMO)
    held = secrets(objects)
    migration, service = references(objects, component)
    assert migration["ASYNCAPIPROXY_DATABASE_URL"]["key"] == "migration-database-url"
    assert migration["ASYNCAPIPROXY_SERVICE_DATABASE_URL"]["key"] == "database-url"
    assert service["ASYNCAPIPROXY_DATABASE_URL"]["key"] == "database-url"
    assert "ASYNCAPIPROXY_SERVICE_DATABASE_URL" not in service
    owner, user = (urlsplit(held[key]) for key in ("migration-database-url", "database-url"))
    assert (owner.username, user.username) == ("asyncapiproxy", "asyncapiproxy_service")
    assert owner.password == held["postgresql-password"]
    assert user.password == held["postgresql-service-password"] != owner.password


def test_without_migrations_services_use_the_one_user_that_there_is():
    held = secrets(render({**DEMO, "migrations": {"enabled": False}}))
    assert urlsplit(held["database-url"]).username == "asyncapiproxy"
    assert "migration-database-url" not in held


def test_a_database_of_ones_own_may_have_an_owner_beside_the_services_user():
    values: Json = {
        **DEMO,
        "postgresql": {"enabled": False},
        "database": {"existingSecret": "services"},
    }
    migration, _ = references(render(values), "proxy")
    assert migration == {"ASYNCAPIPROXY_DATABASE_URL": {"name": "services", "key": "database-url"}}
    owner = {"database": {"existingSecret": "owner", "existingSecretKey": "url"}}
    migration, service = references(render({**values, "migrations": owner}), "proxy")
    assert migration == {
        "ASYNCAPIPROXY_DATABASE_URL": {"name": "owner", "key": "url"},
        "ASYNCAPIPROXY_SERVICE_DATABASE_URL": {"name": "services", "key": "database-url"},
    }
    assert service["ASYNCAPIPROXY_DATABASE_URL"] == {"name": "services", "key": "database-url"}


def test_only_who_seals_and_unseals_has_the_keys_for_it():
    objects = render(DEMO)
    has_keys = {
        name
        for name, pod in pods(objects).items()
        if "ASYNCAPIPROXY_SEALING_KEYS" in json.dumps(pod)
    }
    assert has_keys == {
        "Deployment/demo-asyncapiproxy-proxy",
        "Deployment/demo-asyncapiproxy-executor-clients",
    }


def test_who_may_ask_for_which_operation_by_kubectl_is_a_rule_of_the_policy():
    allowed = [
        {"operations": ["create-client"], "groups": ["system:serviceaccounts:shop"]},
        {"operations": ["*"], "users": ["ann"], "groups": ["ops"]},
    ]
    objects = render({**DEMO, "rbac": {"operationsPolicy": allowed}})
    (policy,) = of_kind(objects, "ValidatingAdmissionPolicy").values()
    (rule,) = (each for each in policy["spec"]["validations"] if "messageExpression" in each)
    in_groups = "request.userInfo.groups.exists(group, group in %s)"
    assert re.sub(r"\s+", " ", rule["expression"]).endswith(
        '|| (object.spec.operation in ["create-client"] && '
        f"({in_groups % json.dumps(['system:serviceaccounts:shop'])})) || (true && "
        f'(request.userInfo.username in ["ann"] || {in_groups % json.dumps(["ops"])}))'
    )
    (plain,) = of_kind(render(DEMO), "ValidatingAdmissionPolicy").values()
    assert not [each for each in plain["spec"]["validations"] if "messageExpression" in each]
    for item in ({"operations": ["a"]}, {"users": ["ann"]}):
        with pytest.raises(HelmError, match="operationsPolicy"):
            render({**DEMO, "rbac": {"operationsPolicy": [item]}})


def test_who_may_view_or_edit_a_namespace_may_do_so_with_our_objects():
    roles = of_kind(render({**DEMO, "rbac": {"aggregateClusterRoles": True}}), "ClusterRole")
    rules = {
        role["metadata"]["name"].rpartition("-")[2]: {
            (resource, verb)
            for rule in role["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        for role in roles.values()
    }
    assert rules.keys() == {"view", "edit"}
    assert {verb for _, verb in rules["view"]} == {"get", "list", "watch"}
    assert ("asynctasks/status", "get") in rules["view"]
    assert ("asynctasks", "create") in rules["edit"]
    # The operator's alone.
    assert not [resource for resource, _ in rules["edit"] if "/" in resource]
    for name, role in roles.items():
        assert name.startswith(f"{NAMESPACE}-")
        label = f"rbac.authorization.k8s.io/aggregate-to-{name.rpartition('-')[2]}"
        assert role["metadata"]["labels"][label] == "true"
