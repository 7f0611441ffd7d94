"""What pods may do, and what of it the values can change."""

from typing import Any

from asynctestkit.helm import Json, containers, environment, of_kind, one, pods, render

DEMO: Json = {"demoApi": {"enabled": True}}
KEEP: Json = {"persistence": {"keepOnUninstall": True}}


def test_a_platform_that_has_users_of_its_own_can_choose_them():
    """OpenShift refuses a pod that names one."""
    unset = {"podSecurityContext": dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))}
    found = pods(render({**DEMO, **unset, "postgresql": unset, "rabbitmq": unset}))
    assert len(found) == 7
    for name, pod in found.items():
        context = pod["securityContext"]
        assert context["runAsNonRoot"], name
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & context.keys(), name


def test_security_contexts_can_be_left_out_as_a_whole():
    none: Json = {"podSecurityContext": None}
    values = {**DEMO, **none, "containerSecurityContext": None}
    for pod in pods(render({**values, "postgresql": none, "rabbitmq": none})).values():
        assert "securityContext" not in pod
        assert not any("securityContext" in each for each in containers(pod))


def test_every_image_can_be_given_by_its_digest():
    digest = "sha256:" + "0" * 64
    values = {
        **DEMO,
        "image": {"repository": "registry.example.com/ours", "digest": digest},
        "postgresql": {"image": f"postgres@{digest}"},
        "rabbitmq": {"image": f"rabbitmq@{digest}"},
    }
    images = {each["image"] for pod in pods(render(values)).values() for each in containers(pod)}
    names = {"registry.example.com/ours", "postgres", "rabbitmq"}
    assert images == {f"{name}@{digest}" for name in names}


def test_data_that_are_kept_are_kept_with_the_secret_that_opens_them():
    def is_kept(**values: Any) -> bool:
        (secret,) = of_kind(render({**DEMO, **values}), "Secret").values()
        annotations = secret["metadata"].get("annotations", {})
        return annotations.get("helm.sh/resource-policy") == "keep"

    assert not is_kept()
    assert is_kept(postgresql=KEEP)
    assert is_kept(rabbitmq=KEEP)
    external = {"database": {"url": "postgresql://a/b"}, "postgresql": {"enabled": False, **KEEP}}
    assert not is_kept(**external)


def test_the_container_that_migrates_can_have_resources_of_its_own():
    values = {**DEMO, "migrations": {"resources": {"limits": {"memory": "1Gi"}}}}
    found = [
        each["resources"]["limits"]
        for pod in pods(render(values)).values()
        for each in pod.get("initContainers", [])
    ]
    assert found == [{"memory": "1Gi"}] * 3


def test_health_and_metrics_are_on_a_port_that_the_callers_service_does_not_have():
    objects = render({**DEMO, "monitoring": {"monitors": {"enabled": True}}})
    service = one(objects, "Service", "proxy")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    found = {name: pod for name, pod in pods(objects).items() if "ports" in pod["containers"][0]}
    ours = ("proxy", "executor-clients", "operator")
    for name in (f"Deployment/demo-asyncapiproxy-{each}" for each in ours):
        container = found[name]["containers"][0]
        port = next(each for each in container["ports"] if each["name"] == "health")
        assert environment(container)["ASYNCAPIPROXY_HEALTH_PORT"] == str(port["containerPort"])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == "health", name
    monitors = of_kind(objects, "PodMonitor")
    assert len(monitors) == 3
    for monitor in monitors.values():
        assert [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]] == ["health"]


def test_settings_that_are_lists_are_given_as_such():
    given = {
        "trustedProxies": ["10.0.0.0/8", "2001:db8::/32"],
        "corsOrigins": ["https://a.example"],
    }
    objects = render({**DEMO, "proxy": {"settings": given}})
    found = environment(
        one(objects, "Deployment", "proxy")["spec"]["template"]["spec"]["containers"][0]
    )
    assert found["ASYNCAPIPROXY_TRUSTED_PROXIES"] == "10.0.0.0/8,2001:db8::/32"
    assert found["ASYNCAPIPROXY_CORS_ORIGINS"] == "https://a.example"


def test_who_may_call_and_who_may_measure_can_be_said_apart():
    def ingress(component: str, **policy: Any) -> list[Json]:
        objects = render({**DEMO, "networkPolicy": policy})
        found = one(objects, "NetworkPolicy", component)
        return found["spec"]["ingress"]

    shop: Json = {"namespaceSelector": {"matchLabels": {"team": "shop"}}}
    prometheus: Json = {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}
    assert ingress("proxy") == [{"ports": [{"port": 8080}]}, {"ports": [{"port": 8082}]}]
    both: Json = {"callers": [shop], "health": [prometheus]}
    assert ingress("proxy", **both) == [
        {"ports": [{"port": 8080}], "from": [shop]},
        {"ports": [{"port": 8082}], "from": [prometheus]},
    ]
    for component in ("executor", "operator"):
        assert ingress(component, **both) == [{"ports": [{"port": 8082}], "from": [prometheus]}]
