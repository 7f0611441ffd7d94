"""Writes the chart's values.schema.json, and the table of values in docs/chart.md from it.

`./dev chart` runs it. Settings come from the services' own classes, so that the schema knows each
by name, type and limits. JSON Schema draft-07: Helm before 3.18 knows no later one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from setting_values import settings
from value_types import (
    Json,
    disruption,
    environment,
    flag,
    free,
    listing,
    number,
    part,
    pods,
    server,
    source,
    strings,
    text,
)

from asyncexecutor.settings import ExecutorSettings
from asyncoperator.settings import OperatorSettings
from asyncproxy.settings import ProxySettings
from asynctasks.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = Path(__file__).parent / "asyncapiproxy"
SCHEMA = CHART / "values.schema.json"
TABLE = Path(__file__).parents[1] / "docs/chart.md"
BEGIN, END = "<!-- values: written by ./dev chart -->", "<!-- end of values -->"


def pool() -> Json:
    return part(
        settings=settings(
            "settings of executors ([configuration](configuration.md)), in camelCase",
            ExecutorSettings,
            without=Settings,
        ),
        **environment(),
        minReplicas=number("executors that are always there; with scaling mode `none`, all"),
        maxReplicas=number("executors at most", 1),
        concurrency=number("attempts at a time in one executor", 1, maximum=10_000),
        drainSeconds={
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": 86_400,
            "description": "how long an executor may finish what it runs when it is told to leave; "
            "if not given, the longest `timeoutSeconds` of its operations and 10",
        },
        targetDrainSeconds=number(
            "a longer queue than can be worked off in this time scales up", 1
        ),
        targetUtilizationPercent=number("how busy executors should be", 1, maximum=100),
        scaleDownWindowSeconds=number("demand must be low for so long before executors leave"),
        scaleToZeroAfterSeconds=number(
            "after so long without work the last one leaves too (minReplicas 0); 0 is never"
        ),
        maxSurge={
            "type": ["integer", "string"],
            "minimum": 1,
            "pattern": "^(0*[1-9][0-9]*)%$",
            "description": "executors that are replaced at a time where pods start anew, a number "
            "or a percentage",
        },
        podDisruptionBudget=disruption(
            "whether voluntary disruptions are limited; it delays node drains by the longest task"
        ),
        **pods(),
    )


def schema() -> Json:
    """The whole schema."""
    properties = {
        "global": free("Helm's own, for subcharts; not used"),
        "nameOverride": text("in place of the chart's name in names and labels"),
        "fullnameOverride": text("the beginning of all names, in place of release and chart"),
        "commonLabels": strings("labels of all objects"),
        "publicUrl": text(
            "where callers find the proxy (`https://…`, or a path alone where one is taken off on "
            "the way): addresses in its answers and in AsyncTask objects begin with it"
        ),
        "image": part(
            repository=text("the image of all services", minLength=1),
            tag=text("its tag; the chart's appVersion if empty"),
            digest=text("its digest, in place of a tag", pattern="^(sha256:[0-9a-f]{64})?$"),
            pullPolicy=text("when it is pulled", enum=["Always", "IfNotPresent", "Never"]),
        ),
        "imagePullSecrets": listing("Secrets to pull images with"),
        "podSecurityContext": free(
            "security context of all pods of ours; `null` takes a key out, as OpenShift needs it "
            "for `runAsUser`, `runAsGroup` and `fsGroup`"
        ),
        "containerSecurityContext": free(
            "security context of all containers; a read-only root hinders only `skaffold dev`"
        ),
        "operations": free(
            "what callers may ask for, as in the [operations file](operations-file.md); "
            "with the demo API, `create-client` if empty; `null` takes one out",
            additionalProperties={"type": ["object", "null"]},
        ),
        "limits": free(
            "what upstreams may be asked for, as `limits` of the [operations file](limits.md), by "
            "names that operations list; `null` takes one out",
            additionalProperties={"type": ["object", "null"]},
        ),
        "callbacks": part(
            allow=listing(
                "URLs that may be told of tasks' ends ([callbacks](callbacks.md)), as patterns: "
                "`https://*.example.com`; if empty, none. With any, executors of the queue "
                "`callbacks` are there",
                "string",
            ),
            networks=listing("networks of your own in which receivers may be", "string"),
            named=free(
                "those that callers may ask for by a name, as `callbacks` of the operations file; "
                "`null` takes one out",
                additionalProperties={"type": ["object", "null"]},
            ),
            keys=listing(
                "what signs them, the newest first; if empty, a key is made and kept", "string"
            ),
            existingSecret=text("a Secret of yours that holds them, separated by commas"),
            existingSecretKey=text("the key in that Secret", minLength=1),
        ),
        "access": part(
            config=free(
                "who may call, and what, as in the access file; changes are taken over without a "
                "restart. If empty, everyone may do everything"
            ),
            keys=free("API keys, as `apiKeys: {file: keys.yaml}` of it names them"),
            existingSecret=text(
                "a Secret of yours in their place, with the keys `access.yaml` and, if need be, "
                "`keys.yaml`"
            ),
            serviceAccountTokens=part(
                enabled=flag(
                    "whether proxies get what they need to check tokens of the cluster's service "
                    "accounts: `kubernetes/token` and `kubernetes/ca.crt` beside the access file"
                )
            ),
        ),
        "settings": settings(
            "settings of all services ([configuration](configuration.md)), in camelCase",
            Settings,
            without=None,
        ),
        "sealingKeys": part(
            keys=listing("Fernet keys, the newest first; if empty, one is made and kept", "string"),
            existingSecret=text("a Secret of yours that holds them, separated by commas"),
            existingSecretKey=text("the key in that Secret", minLength=1),
        ),
        "database": source("the task database", "`postgresql://user:password@host/database`"),
        "broker": source("RabbitMQ", "`amqp://user:password@host/vhost`"),
        "blobs": part(
            url=text(
                "where bodies are kept that are too large for a row: `database`, or "
                "`s3://bucket/path` and its like ([configuration](configuration.md#large-bodies)); "
                "of `file://` each pod needs the same volume, by `extraVolumes`",
                minLength=1,
            ),
            existingSecret=text(
                "a Secret of yours with credentials for it, by the names of their variables: "
                "`AWS_ACCESS_KEY_ID`, …"
            ),
        ),
        "otel": part(
            endpoint=text(
                "the OpenTelemetry collector to which all services send their [spans](traces.md): "
                "`http://collector.observability:4318`; if empty, they make none. Where "
                "`networkPolicy.egress` is enabled, that has to allow it"
            ),
            share={
                "type": ["number", "null"],
                "minimum": 0,
                "maximum": 1,
                "description": "of the traces that begin here, the share that is recorded; if not "
                "given, all. A caller that sends a trace has decided itself",
            },
        ),
        "migrations": part(
            enabled=flag("whether each pod first brings the task database to its version"),
            waitSeconds=number("how long it waits for a database that does not answer yet"),
            database=part(
                existingSecret=text(
                    "a Secret of yours with the URL of the tables' owner, if that is not the user "
                    "of services, who then get their rights by it"
                ),
                existingSecretKey=text("the key in that Secret", minLength=1),
            ),
            resources=free("requests and limits of the container that does it"),
        ),
        "proxy": part(
            replicas=number("proxies, where they are not scaled", 1),
            settings=settings(
                "settings of proxies ([configuration](configuration.md)), in camelCase",
                ProxySettings,
                without=Settings,
            ),
            **environment(),
            lingerSeconds=number("how long a proxy that leaves serves on", 0, maximum=300),
            autoscaling=part(
                enabled=flag("whether proxies are scaled by their CPU (needs a metrics server)"),
                minReplicas=number("proxies at least", 1),
                maxReplicas=number("proxies at most", 1),
                targetCPUUtilizationPercentage=number("how busy they should be", 1),
            ),
            podDisruptionBudget=disruption("whether voluntary disruptions are limited"),
            service=part(
                type=text("how it is reached", enum=["ClusterIP", "NodePort", "LoadBalancer"]),
                port=number("the Service's port", 1, maximum=65_535),
                nodePort={
                    "type": ["integer", "null"],
                    "description": "the port on every node, for a Service of type NodePort",
                },
                annotations=strings("annotations of the Service"),
            ),
            **pods(),
        ),
        "executor": pool(),
        "pools": {
            "type": "object",
            "additionalProperties": {**pool(), "type": ["object", "null"]},
            "description": "by queue, what is different for its executors: the keys of `executor`",
        },
        "scaling": part(
            mode=text(
                "who scales executors: the `operator`, `keda` (which must be installed) or `none`",
                enum=["operator", "keda", "none"],
            ),
            keda=part(
                managementUrlSecret=text("a Secret of yours with RabbitMQ's management URL"),
                managementUrlSecretKey=text("the key in that Secret", minLength=1),
                pollingInterval=number("seconds between two looks at the queue", 1),
                cooldownPeriod=number("seconds without work before the last executor leaves"),
            ),
        ),
        "operator": part(
            enabled=flag("whether there is an operator: AsyncTask objects, scaling"),
            replicas=number("operators; one of them leads", 1),
            settings=settings(
                "settings of operators ([configuration](configuration.md)), in camelCase",
                OperatorSettings,
                without=Settings,
            ),
            **environment(),
            **pods(),
        ),
        "rbac": part(
            create=flag("whether the operator gets its Role"),
            admissionPolicy=flag(
                "whether a ValidatingAdmissionPolicy, an object of the whole cluster, guards what "
                "only the operator may write in AsyncTasks"
            ),
            aggregateClusterRoles=flag(
                "whether those who may view or edit a namespace may do so with our objects"
            ),
            operationsPolicy=listing(
                "who may ask for which `operations` by an AsyncTask, by `users` and `groups` "
                "(`system:serviceaccounts:NAMESPACE`), `*` being every operation; whoever may "
                "create one, if empty. Needs `admissionPolicy`"
            ),
        ),
        "serviceAccounts": part(annotations=strings("annotations of the service accounts")),
        "ingress": part(
            enabled=flag("whether there is an Ingress"),
            className=text("its class"),
            annotations=strings("its annotations"),
            hosts=listing("its host names", "string"),
            tls=listing("its certificates"),
        ),
        "httpRoute": part(
            enabled=flag("whether there is an HTTPRoute of the Gateway API"),
            annotations=strings("its annotations"),
            parentRefs=listing("the gateways that it belongs to"),
            hostnames=listing("its host names", "string"),
        ),
        "exposed": part(
            tasks=flag("whether Ingress and HTTPRoute lead to `/tasks`, beside the operations"),
            docs=flag("whether they lead to `/docs`, and to the OpenAPI document that it shows"),
            ui=flag("whether they lead to the dashboard `/ui`, and to all that it asks for"),
            everything=flag(
                "whether they lead to all paths of the callers' port, `/ping` included"
            ),
        ),
        "networkPolicy": part(
            enabled=flag("whether only those connect to a pod who have to"),
            callers=listing(
                "who may call proxies, as `from` of a NetworkPolicy has it: pods and namespaces by "
                "label, blocks of addresses; anybody if empty"
            ),
            health=listing(
                "who may ask for health and metrics, in the same way: the namespace of your "
                "Prometheus; anybody in the cluster if empty. The kubelet always may"
            ),
            egress=part(
                enabled=flag("whether pods other than executors connect only to what they have to"),
                allow=listing("rules for servers of your own, such as the task database"),
            ),
        ),
        "monitoring": part(
            monitors=part(
                enabled=flag("whether Prometheus' operator is told of the metrics"),
                interval=text("how often they are read"),
                labels=strings("labels by which your Prometheus selects monitors"),
            ),
            rules=part(
                enabled=flag("whether there are alerts (a PrometheusRule)"),
                labels=strings("labels by which your Prometheus selects rules"),
            ),
            dashboard=part(
                enabled=flag("whether there is a Grafana dashboard (a ConfigMap)"),
                labels=strings("labels by which your Grafana selects dashboards"),
            ),
        ),
        "demoApi": part(
            enabled=flag("whether there is a small slow Customer API to try it with"),
            resources=free("requests and limits"),
        ),
        "postgresql": server("a PostgreSQL server"),
        "rabbitmq": server("a RabbitMQ server"),
        "test": part(
            operation=text("the operation that `helm test` asks for"),
            arguments=free("its arguments"),
        ),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart asyncapiproxy",
        **part(**properties),
    }


def rows(node: Json, values: Any, path: str = "") -> Iterator[str]:
    """A row of the table for each value that can be given."""
    for name, child in node["properties"].items():
        here = f"{path}.{name}".removeprefix(".")
        if here == "global":
            continue
        value = values[name]
        if child.get("properties") and name != "settings":
            yield from rows(child, value, here)
        else:
            shown = f"`{json.dumps(value)}`" if value not in ("", None, {}, []) else "-"
            yield f"| `{here}` | {shown} | {child['description']} |"


def table() -> str:
    """The table of values in Markdown."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows(schema(), values)])


def with_table(document: str) -> str:
    """The document with the table as it should be."""
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}\n\n{table()}\n\n{END}", document)


def schema_text() -> str:
    """The schema as the file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
    TABLE.write_text(with_table(TABLE.read_text()))
