"""Who owns the objects that the operator makes, so that Kubernetes takes them when it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncoperator.cluster.kube_errors import KubeGoneError
from asynctasks.errors import SettingsError

if TYPE_CHECKING:
    from asyncoperator.cluster.custom_object import Object
    from asyncoperator.cluster.kube import Kube
    from asyncoperator.settings import OperatorSettings


async def owner_reference(kube: Kube, settings: OperatorSettings) -> Object | None:
    """The operator's Deployment: the named one, else its pod's; None outside a cluster.

    Raises SettingsError where the named one is not there.
    """
    name = settings.operator_deployment
    if name is None:
        name = await _deployment_of(kube, settings.pod_name)
    if name is None:
        return None
    try:
        deployment = await kube.get_deployment(name)
    except KubeGoneError as error:
        raise SettingsError(
            f"ASYNCAPIPROXY_OPERATOR_DEPLOYMENT: {error} (in the namespace {kube.namespace})"
        ) from error
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": name,
        "uid": deployment["metadata"]["uid"],
    }


async def _deployment_of(kube: Kube, pod: str | None) -> str | None:
    if pod is None:
        return None
    try:
        replica_set = _controller(await kube.get_pod(pod), kind="ReplicaSet")
        if replica_set is None:
            return None
        return _controller(await kube.get_replica_set(replica_set), kind="Deployment")
    except KubeGoneError:
        return None  # it runs elsewhere, and the pod's name is only its own name


def _controller(thing: Object, *, kind: str) -> str | None:
    owners = thing["metadata"].get("ownerReferences", [])
    return next((each["name"] for each in owners if each["kind"] == kind), None)
