"""Where the API server is and how we sign in: as the pod's service account, or by a kubeconfig."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes.aio import client
from kubernetes.aio import config as untyped
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException

from asynctasks.errors import SettingsError

if TYPE_CHECKING:
    import ssl

config: Any = untyped
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


async def sign_in(kubeconfig: Path | None) -> tuple[Any, str]:
    """The client's configuration, and the namespace that goes with it.

    In a pod it is the service account's, unless a kubeconfig is given. Its token expires; the
    configuration reads the token's file again once a minute, before a request. Raises
    SettingsError.
    """
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            return _of_pod()
        return await _of_kubeconfig(kubeconfig)
    except (ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as error:
        # A kubeconfig that is empty or no mapping is a TypeError to the library.
        raise SettingsError(f"No way to sign in to Kubernetes: {error}") from error


def tls(configuration: Any) -> ssl.SSLContext:
    """The trust, and the client's certificate, of a configuration."""
    # Until it is asked for something, the library's HTTP client is just this.
    rest: Any = RESTClientObject(configuration)
    return rest.ssl_context


def _of_pod() -> tuple[Any, str]:
    configuration: Any = client.Configuration()
    config.load_incluster_config(configuration)
    return configuration, POD_NAMESPACE.read_text().strip()


async def _of_kubeconfig(file: Path | None) -> tuple[Any, str]:
    configuration: Any = client.Configuration()
    loader = await config.load_kube_config(
        config_file=None if file is None else str(file),
        client_configuration=configuration,
        persist_config=False,
    )
    return configuration, loader.current_context["context"].get("namespace") or "default"
