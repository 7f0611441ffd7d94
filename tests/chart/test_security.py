"""What pods may do, and what of it the values can change."""

from typing import Any

from asynctestkit.helm import Json, containers, of_kind, pods, render

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
