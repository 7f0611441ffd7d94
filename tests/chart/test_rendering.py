"""What the chart makes of values."""

import base64
import json
from collections import Counter
from typing import Any

import jsonschema_rs
import pytest
import yaml
from cryptography.fernet import Fernet

from asyncexecutor.settings import ExecutorSettings
from asyncoperator.settings import OperatorSettings
from asyncproxy.settings import ProxySettings
from asynctasks.json_values import as_object
from asynctasks.operations.operations_file import parse_operations
from asynctasks.settings import PREFIX
from asynctestkit.helm import (
    CHART,
    ROOT,
    HelmError,
    Json,
    containers,
    environment,
    of_kind,
    one,
    pods,
    render,
)

DEMO: Json = {"demoApi": {"enabled": True}}
EXTERNAL: Json = {
    "operations": {
        "send-invoice": {
            "route": "POST /invoices",
            "queue": "invoices",
            "upstream": {"url": "https://billing.example.com/invoices", "timeoutSeconds": 300},
        },
        "find-invoice": {
            "route": "POST /invoice-searches",
            "queue": "invoices",
            "upstream": {"url": "https://billing.example.com/searches", "timeoutSeconds": 2.5},
        },
        "make-report": {"route": "POST /reports", "handler": "reports:make"},
    },
    "database": {"existingSecret": "stores"},
    "broker": {"existingSecret": "stores", "existingSecretKey": "amqp"},
    "sealingKeys": {"existingSecret": "seals"},
    "postgresql": {"enabled": False},
    "rabbitmq": {"enabled": False},
}
EVERYTHING: Json = {
    **DEMO,
    "commonLabels": {"team": "shop"},
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "proxy": {
        "autoscaling": {"enabled": True},
        "service": {"type": "NodePort", "nodePort": 30080, "annotations": {"a": "b"}},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "high",
        "extraEnv": [{"name": "A", "value": "b"}],
        "extraEnvFrom": [{"configMapRef": {"name": "a"}}],
        "extraVolumes": [{"name": "a", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "a", "mountPath": "/a"}],
    },
    "executor": {"podDisruptionBudget": {"enabled": True}},
    "operator": {"replicas": 2},
    "publicUrl": "https://tasks.example.com",
    "rbac": {"aggregateClusterRoles": True},
    "serviceAccounts": {"annotations": {"a": "b"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "hosts": ["tasks.example.com"],
        "tls": [{"hosts": ["tasks.example.com"], "secretName": "tls"}],
    },
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "gateway"}],
        "hostnames": ["tasks.example.com"],
    },
    "networkPolicy": {"egress": {"enabled": True, "allow": [{"ports": [{"port": 5432}]}]}},
    "monitoring": {
        "monitors": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True},
    },
}
CASES = {
    "demo": DEMO,
    "external": EXTERNAL,
    "everything": EVERYTHING,
    "keda": {**DEMO, "scaling": {"mode": "keda"}},
    "no scaling": {**DEMO, "scaling": {"mode": "none"}},
    "no operator": {**DEMO, "scaling": {"mode": "none"}, "operator": {"enabled": False}},
    "no migration": {**DEMO, "migrations": {"enabled": False}},
}

any_case = pytest.mark.parametrize("values", CASES.values(), ids=CASES)


@any_case
def test_no_two_objects_have_one_name_and_each_says_what_it_belongs_to(values: Json):
    objects = render(values)
    names = Counter((each["kind"], each["metadata"]["name"]) for each in objects)
    assert [name for name, times in names.items() if times > 1] == []
    for each in objects:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "demo", each["metadata"]["name"]
        assert len(each["metadata"]["name"]) <= 63


@any_case
def test_every_pod_is_fit_for_a_restricted_namespace(values: Json):
    """And its root is read-only, which Pod Security does not ask for."""
    for name, pod in pods(render(values)).items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"], name
            assert container["resources"]["limits"]["memory"], name


@any_case
def test_only_who_asks_kubernetes_has_a_token_for_it(values: Json):
    with_token = {
        name
        for name, pod in pods(render(values)).items()
        if pod.get("automountServiceAccountToken", True)
    }
    assert with_token <= {"Deployment/demo-asyncapiproxy-operator", "Pod/demo-asyncapiproxy-test"}


@any_case
def test_selectors_find_the_pods_that_they_are_for_and_no_others(values: Json):
    objects = render(values)
    makers = [each for each in objects if each["kind"] in {"Deployment", "StatefulSet"}]
    for maker in makers:
        selected = [other for other in makers if selects(maker["spec"]["selector"], other)]
        assert selected == [maker]
    for service in of_kind(objects, "Service").values():
        (selected,) = (
            m for m in makers if selects({"matchLabels": service["spec"]["selector"]}, m)
        )
        ports = {
            port["name"]
            for container in selected["spec"]["template"]["spec"]["containers"]
            for port in container["ports"]
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for each in of_kind(objects, kind).values():
            assert any(selects(each["spec"][key], maker) for maker in makers)


def selects(selector: Json, maker: Json) -> bool:
    labels = maker["spec"]["template"]["metadata"]["labels"]
    return selector["matchLabels"].items() <= labels.items()


@any_case
def test_every_service_is_probed_and_has_what_it_mounts(values: Json):
    for name, pod in pods(render(values)).items():
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        if name.startswith("StatefulSet"):
            volumes.add("data")
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        if not name.startswith("Pod"):
            probes = {"readinessProbe", "livenessProbe"}
            if name.startswith("Deployment"):
                probes.add("startupProbe")
            assert probes <= pod["containers"][0].keys(), name


@any_case
def test_every_setting_is_one_that_its_service_knows_and_accepts(values: Json):
    classes = {
        "proxy": ProxySettings,
        "executor": ExecutorSettings,
        "operator": OperatorSettings,
    }
    for pod in pods(render(values)).values():
        container = pod["containers"][0]
        if container["name"] not in classes:
            continue
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment(container).items()
            if name.startswith(PREFIX)
        }
        model = classes[container["name"]]
        known = set(model.model_fields) | {"pod_name"}
        assert given.keys() <= known
        plain: dict[str, Any] = {n: value for n, value in given.items() if isinstance(value, str)}
        urls: dict[str, Any] = {
            "database_url": "postgresql://database/tasks",
            "broker_url": "amqp://broker/",
        }
        model(**plain | urls)


def test_a_setting_in_camel_case_becomes_its_variable_and_a_services_own_comes_first():
    values = {
        **DEMO,
        "settings": {"logLevel": "debug", "databaseConnections": 7},
        "proxy": {"settings": {"maxWaiting": 1_000_000, "adaptiveWindow": False}},
    }
    objects = render(values)
    proxy = environment(
        one(objects, "Deployment", "proxy")["spec"]["template"]["spec"]["containers"][0]
    )
    assert proxy["ASYNCAPIPROXY_LOG_LEVEL"] == "debug"
    assert proxy["ASYNCAPIPROXY_LOG_FORMAT"] == "json"
    assert proxy["ASYNCAPIPROXY_DATABASE_CONNECTIONS"] == "7"
    assert proxy["ASYNCAPIPROXY_MAX_WAITING"] == "1000000"
    assert proxy["ASYNCAPIPROXY_ADAPTIVE_WINDOW"] == "false"
    executor = pods(objects)["Deployment/demo-asyncapiproxy-executor-clients"]["containers"][0]
    assert "ASYNCAPIPROXY_MAX_WAITING" not in environment(executor)


def test_operations_arrive_as_they_were_given():
    """Numbers too: Go writes a million as 1e+06, which YAML's readers take for text."""
    operation = {
        "route": "PUT /clients/{number}",
        "arguments": {
            "type": "object",
            "properties": {
                "number": {"type": "integer", "minimum": 1, "maximum": 1_000_000_000},
                "ratio": {"type": "number", "maximum": 0.25},
                "text": {
                    "type": "string",
                    "pattern": "^\\{\\{[a-z]+}}$",
                    "examples": ["yes", "1e3"],
                },
            },
        },
        "maxQueued": 5_000_000,
        "upstream": {"method": "PUT", "url": "{CUSTOMER_API_URL}/clients/{number}"},
    }
    objects = render({**DEMO, "operations": {"rename": operation}})
    text = one(objects, "ConfigMap", "operations")["data"]["operations.yaml"]
    assert yaml.safe_load(text) == {"operations": {"rename": operation}}
    assert parse_operations(text, name="values")["rename"].max_queued == 5_000_000


def test_limits_stand_beside_the_operations_as_they_were_given():
    operations = {"a": {"route": "POST /a", "handler": "a:b", "limits": ["crm"]}}
    crm = {"concurrency": 1_000_000, "ratePerSecond": 0.5, "fairBy": "tenant", "weights": {"a": 3}}
    values = {**DEMO, "operations": operations, "limits": {"crm": crm, "gone": None}}
    text = one(render(values), "ConfigMap", "operations")["data"]["operations.yaml"]
    assert yaml.safe_load(text) == {"operations": operations, "limits": {"crm": crm}}
    (limit,) = parse_operations(text, name="values")["a"].declared_limits
    assert (limit.concurrency, limit.rate_per_second) == (1_000_000, 0.5)


def test_the_demos_operations_are_those_of_the_command():
    text = (CHART / "files/demo-operations.yaml").read_text()
    assert text == (ROOT / "cli/asyncapiproxy/operations.yaml").read_text()
    executor = pods(render(DEMO))["Deployment/demo-asyncapiproxy-executor-clients"]
    demo_url = environment(executor["containers"][0])["CUSTOMER_API_URL"]
    assert demo_url == "http://demo-asyncapiproxy-demo-api:8081"


def test_each_queue_gets_executors_that_may_finish_its_longest_attempt():
    objects = render({**EXTERNAL, "pools": {"default": {"drainSeconds": 600, "maxReplicas": 3}}})
    found = of_kind(objects, "Deployment")
    grace: dict[str, tuple[Any, Any]] = {}
    for queue in ("invoices", "default"):
        pod = found[f"demo-asyncapiproxy-executor-{queue}"]["spec"]["template"]["spec"]
        container = pod["containers"][0]
        assert container["args"] == ["executor", "--queue", queue]
        drain = environment(container)["ASYNCAPIPROXY_DRAIN_SECONDS"]
        grace[queue] = (drain, pod["terminationGracePeriodSeconds"])
    assert grace == {"invoices": ("310", 330), "default": ("600", 620)}
    scaling = of_kind(objects, "ExecutorPool")["demo-asyncapiproxy-executor-default"]["spec"]
    assert (scaling["scaling"]["minReplicas"], scaling["scaling"]["maxReplicas"]) == (1, 3)


def test_a_pool_of_a_queue_that_no_operation_has_is_refused():
    with pytest.raises(HelmError, match=r"pools\.client: .*the queues are: clients"):
        render({**DEMO, "pools": {"client": {}}})


def test_releases_whose_long_names_begin_alike_have_objects_of_their_own():
    names = {
        one(render({**DEMO, key: "n" * 40 + end}), "Deployment", "proxy")["metadata"]["name"]
        for key in ("nameOverride", "fullnameOverride")
        for end in ("a", "b")
    }
    assert len(names) == 4
    assert max(map(len, names)) <= 30 + len("-proxy")


def test_long_names_stay_apart_and_short_enough_for_host_names():
    queues = ["q" * 62 + end for end in "ab"]
    operations = {
        f"op-{number}": {"route": f"POST /{number}", "queue": queue, "handler": "a:b"}
        for number, queue in enumerate(queues)
    }
    objects = render({**EXTERNAL, "operations": operations, "fullnameOverride": "n" * 60})
    names = [name for name in of_kind(objects, "Deployment") if "executor" in name]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 52


def test_who_scales_decides_who_says_the_number_of_executors():
    def replicas(mode: str) -> Any:
        objects = render({**DEMO, "scaling": {"mode": mode}, "executor": {"minReplicas": 2}})
        deployment = of_kind(objects, "Deployment")["demo-asyncapiproxy-executor-clients"]
        pool = of_kind(objects, "ExecutorPool")["demo-asyncapiproxy-executor-clients"]["spec"]
        return (
            deployment["spec"].get("replicas"),
            pool["scaling"].get("mode", "Operator"),
            len(of_kind(objects, "ScaledObject")),
        )

    assert replicas("operator") == (None, "Operator", 0)
    assert replicas("keda") == (None, "Off", 1)
    assert replicas("none") == (2, "Off", 0)


def test_keda_is_told_the_queues_own_name_and_where_to_ask():
    objects = render({**DEMO, "scaling": {"mode": "keda"}, "settings": {"brokerPrefix": "mine"}})
    (scaled,) = of_kind(objects, "ScaledObject").values()
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["queueName"] == "mine.clients"
    (signing_in,) = of_kind(objects, "TriggerAuthentication").values()
    assert trigger["authenticationRef"]["name"] == signing_in["metadata"]["name"]
    with pytest.raises(HelmError, match=r"scaling\.keda\.managementUrlSecret"):
        render({**EXTERNAL, "scaling": {"mode": "keda"}})


def test_the_operators_scaling_needs_the_operator():
    with pytest.raises(HelmError, match=r"set scaling\.mode to none or keda"):
        render({**DEMO, "operator": {"enabled": False}})


@any_case
def test_executor_pools_are_what_their_definition_says(values: Json):
    (definition,) = yaml.safe_load_all((CHART / "crds/executorpools.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema = closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    for pool in of_kind(render(values), "ExecutorPool").values():
        jsonschema_rs.validator_for(schema).validate(pool["spec"])


def closed(schema: Any) -> Any:
    """A schema whose objects refuse what Kubernetes would silently leave out."""
    members = as_object(schema)
    if members is None:
        return schema
    node = {key: closed(value) for key, value in members.items()}
    return {**node, "additionalProperties": False} if "properties" in node else node


def test_the_operator_may_do_what_its_rules_say_and_no_more():
    role = one(render(DEMO), "Role", "operator")
    assert role["rules"] == yaml.safe_load((CHART / "files/operator-rules.yaml").read_text())
    assert of_kind(render(DEMO), "ClusterRole") == {}


def test_bundled_servers_are_reached_by_passwords_that_urls_can_hold():
    values = {
        **DEMO,
        "postgresql": {"password": "p@ss/w+rd %"},
        "rabbitmq": {"password": "a b"},
    }
    secret = decoded(one(render(values), "Secret", "credentials"))
    assert secret["migration-database-url"] == (
        "postgresql://asyncapiproxy:p%40ss%2Fw%2Brd%20%25@demo-asyncapiproxy-postgresql:5432/asyncapiproxy"
    )
    assert secret["broker-url"] == "amqp://asyncapiproxy:a%20b@demo-asyncapiproxy-rabbitmq:5672/"


def test_what_is_not_given_is_made():
    secrets = [decoded(one(render(DEMO), "Secret", "credentials")) for _ in range(2)]
    for secret in secrets:
        Fernet(secret["sealing-keys"])
        assert len(secret["postgresql-password"]) == len(secret["rabbitmq-password"]) == 32
    assert all(secrets[0][key] != secrets[1][key] for key in secrets[0])


def decoded(secret: Json) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_existing_secrets_are_used_and_none_is_made():
    objects = render(EXTERNAL)
    assert of_kind(objects, "Secret") == {}
    for name, pod in pods(objects).items():
        if "Deployment" not in name:
            continue
        variables = environment(pod["containers"][0]).values()
        references = [each["secretKeyRef"] for each in variables if "secretKeyRef" in each]
        found = {f"{each['name']}/{each['key']}" for each in references}
        # The operator unseals nothing.
        sealing = set[str]() if name.endswith("-operator") else {"seals/sealing-keys"}
        assert found == {"stores/database-url", "stores/amqp", *sealing}


def test_pods_start_anew_for_new_credentials_and_only_the_operator_for_new_operations():
    def template(component: str, values: Json) -> Any:
        return one(render(values), "Deployment", component)["spec"]["template"]

    before = {"operations": {"a": {"route": "POST /a", "handler": "a:b"}}}
    after = {"operations": {"a": {"route": "POST /b", "handler": "a:b"}}}
    for component, is_rolled in (("proxy", False), ("executor", False), ("operator", True)):
        templates = [template(component, {**DEMO, **values}) for values in (before, after)]
        assert (templates[0] != templates[1]) is is_rolled
        keys = template(component, {**DEMO, **before, "sealingKeys": {"keys": ["k"]}})
        assert keys != templates[0]


def test_a_pool_may_roll_many_executors_at_a_time():
    def surge(values: Json) -> Any:
        executor = one(render({**DEMO, **values}), "Deployment", "executor")
        return executor["spec"]["strategy"]["rollingUpdate"]["maxSurge"]

    assert surge({}) == 1
    assert surge({"executor": {"maxSurge": 5}}) == 5
    assert surge({"pools": {"clients": {"maxSurge": "50%"}}}) == "50%"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Nothing to serve"),
        ({**DEMO, "postgresql": {"enabled": False}}, "database: give url or existingSecret"),
        ({**DEMO, "broker": {"url": "amqp://mine/"}}, r"set rabbitmq\.enabled=false"),
        (
            {**EXTERNAL, "database": {"url": "postgresql://a/b", "existingSecret": "c"}},
            "database: give either url or existingSecret",
        ),
        (
            {**DEMO, "test": {"operation": "crate"}},
            "they are: create-client, create-report, get-client, scan",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_what_to_do(values: Json, message: str):
    with pytest.raises(HelmError, match=message):
        render(values)


def test_a_proxy_serves_on_for_a_while_and_then_has_time_for_what_is_open():
    values = {**DEMO, "proxy": {"lingerSeconds": 8, "settings": {"shutdownSeconds": 40}}}
    pod = one(render(values), "Deployment", "proxy")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 8 + 40 + 10


def test_helm_test_submits_what_is_asked_for():
    def test_pod(values: Json) -> Json:
        (pod,) = of_kind(render(values), "Pod").values()
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
        return environment(pod["spec"]["containers"][0])

    demo = test_pod(DEMO)
    assert demo["ROUTE"] == "POST /clients"
    assert json.loads(demo["ARGUMENTS"])["email"].startswith("slow+15@")
    chosen = {"operation": "send-invoice", "arguments": {"number": 7}}
    assert json.loads(test_pod({**EXTERNAL, "test": chosen})["ARGUMENTS"]) == {"number": 7}
    assert "ROUTE" not in test_pod(EXTERNAL)


def test_only_those_reach_the_servers_who_have_to():
    policies = of_kind(render(EVERYTHING), "NetworkPolicy")
    (rule,) = policies["demo-asyncapiproxy-postgresql"]["spec"]["ingress"]
    components = [
        each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in rule["from"]
    ]
    assert sorted(components) == ["executor", "operator", "proxy"]
    assert policies["demo-asyncapiproxy-postgresql"]["spec"]["egress"] == []
    assert "egress" not in policies["demo-asyncapiproxy-executor"]["spec"]
    assert {"ports": [{"port": 5432}]} in policies["demo-asyncapiproxy-proxy"]["spec"]["egress"]


def test_other_ways_in_lead_to_the_proxy():
    objects = render(EVERYTHING)
    service = one(objects, "Service", "proxy")["metadata"]["name"]
    for path in one(objects, "Ingress", "proxy")["spec"]["rules"][0]["http"]["paths"]:
        assert path["backend"]["service"]["name"] == service
    (rule,) = one(objects, "HTTPRoute", "proxy")["spec"]["rules"]
    assert rule["backendRefs"][0]["name"] == service
