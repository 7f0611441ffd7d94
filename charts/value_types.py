"""The kinds of values that the chart takes, as JSON Schema, each with its description."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def text(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more}


def number(description: str, minimum: int = 0, **more: Any) -> Json:
    return {"type": "integer", "minimum": minimum, "description": description, **more}


def flag(description: str) -> Json:
    return {"type": "boolean", "description": description}


def listing(description: str, kind: str = "object") -> Json:
    return {"type": "array", "items": {"type": kind}, "description": description}


def free(description: str, **more: Any) -> Json:
    """Kubernetes' own object, which only Kubernetes checks."""
    return {"type": "object", "description": description, **more}


def strings(description: str) -> Json:
    return free(description, additionalProperties={"type": "string"})


def part(description: str = "", /, **properties: Json) -> Json:
    """An object that refuses keys it does not know."""
    described = {"description": description} if description else {}
    return {
        "type": "object",
        **described,
        "additionalProperties": False,
        "properties": properties,
    }


def environment() -> Json:
    scalar = {"type": ["string", "number", "boolean"]}
    return {
        "env": free("environment variables by name", additionalProperties=scalar),
        "extraEnv": listing("further environment variables as Kubernetes has them (`valueFrom`)"),
        "extraEnvFrom": listing("Secrets and ConfigMaps whose keys become environment variables"),
    }


def pods() -> Json:
    return {
        "resources": free("requests and limits"),
        "podAnnotations": strings("annotations of the pods"),
        "podLabels": strings("labels of the pods"),
        "nodeSelector": strings("labels that the pods' nodes must have"),
        "tolerations": listing("taints that the pods tolerate"),
        "affinity": free("affinity of the pods"),
        "topologySpreadConstraints": listing("how the pods spread over nodes and zones"),
        "priorityClassName": text("priority class of the pods"),
        "extraVolumes": listing("further volumes"),
        "extraVolumeMounts": listing("where the further volumes are mounted"),
    }


def disruption(description: str) -> Json:
    return part(
        enabled=flag(description),
        maxUnavailable={
            "type": ["integer", "string"],
            "description": "pods that may be taken away at a time, a number or a percentage",
        },
    )


def source(what: str, example: str) -> Json:
    return part(
        url=text(f"{what}: {example}"),
        existingSecret=text("a Secret of yours that holds it, in place of `url`"),
        existingSecretKey=text("the key in that Secret", minLength=1),
    )


def server(what: str) -> Json:
    return part(
        enabled=flag(f"whether the chart brings {what}, for a first try"),
        image=text("its image, by tag or by digest (`name@sha256:…`)", minLength=1),
        podSecurityContext=free("security context of its pod"),
        password=text("its password; if empty, one is made and kept"),
        persistence=part(
            size=text("size of its volume"),
            storageClassName={
                "type": ["string", "null"],
                "description": "storage class of its volume; the cluster's default if not given",
            },
            keepOnUninstall=flag("whether `helm uninstall` leaves its data"),
        ),
        resources=free("requests and limits"),
    )
