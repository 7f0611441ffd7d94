"""What we ask of the Kubernetes API, and what can go wrong there."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client import ApiClient

from asyncoperator.cluster.custom_object import API_VERSION, INSTALLATION, OPERATOR, timestamp
from asyncoperator.cluster.kube_errors import (
    KubeConflictError,
    KubeError,
    KubeExistsError,
    KubeGoneError,
    KubeRefusedError,
    KubeThrottledError,
    KubeUnavailableError,
)
from asynctasks.instants import utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from asyncoperator.cluster.custom_object import Object

FIELD_MANAGER = "asyncapiproxy-operator"
PAGE = 500
REQUEST_SECONDS = 10.0
"""No request of ours takes the API server as long: one that does has hung."""
LIST_SECONDS = 30.0
RETRY_AFTER_SECONDS = 1.0
"""Where a server that throttles does not say how long."""
MESSAGE_CHARACTERS = 1_000
"""Kubernetes refuses an Event whose message has more than 1,024 bytes, or close to it."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Kube:
    """The API server, for one namespace. Every method may raise a KubeError.

    Ours (`plural`) are the objects of the group asyncapiproxy.dev.
    """

    def __init__(self, configuration: Any, *, namespace: str) -> None:
        self._client: Any = ApiClient(configuration)
        self.namespace = namespace
        self._core = f"/api/v1/namespaces/{quote(namespace)}"
        self._apps = f"/apis/apps/v1/namespaces/{quote(namespace)}"
        self._ours = f"/apis/{API_VERSION}/namespaces/{quote(namespace)}"
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def serves_ours(self) -> bool:
        """Whether our CustomResourceDefinitions are there and are to stay.

        Of one that is being deleted the API server lists no `create` any more, and deletes its
        objects only then.
        """
        served = await self._found(f"/apis/{API_VERSION}")
        if served is None:
            return False
        staying = {each["name"] for each in served["resources"] if "create" in each["verbs"]}
        return staying >= set(KINDS)

    async def list(self, plural: str) -> list[Object]:
        """All of ours of a kind, read in pages."""
        try:
            return [one async for page in self.pages(plural) for one in page]
        except _PageExpiredError:
            # The objects changed so much while we read that the next page is of the past.
            return [one async for page in self.pages(plural) for one in page]

    def pages(self, plural: str) -> AsyncGenerator[list[Object]]:
        """The same page by page, for those that keep little of each.

        Raises KubeUnavailableError where the objects changed too much meanwhile.
        """
        return self._pages(f"{self._ours}/{plural}")

    async def get(self, plural: str, name: str) -> Object | None:
        """One of ours; None where there is none."""
        return await self._found(f"{self._ours}/{plural}/{quote(name)}")

    async def create(self, plural: str, body: Object) -> Object:
        """Raises KubeExistsError where the name is taken."""
        return await self._request("POST", f"{self._ours}/{plural}", _typed(plural, body))

    async def apply_status(
        self, plural: str, name: str, status: Object, *, uid: str | None = None
    ) -> Object:
        """Have the status be this: what we set before and is not in it goes away.

        Raises KubeGoneError where the object, or the one with that uid, is gone.
        """
        metadata: Object = {"name": name} if uid is None else {"name": name, "uid": uid}
        try:
            return await self._request(
                "PATCH",
                f"{self._ours}/{plural}/{quote(name)}/status",
                _typed(plural, {"metadata": metadata, "status": status}),
                content_type="application/apply-patch+yaml",
                query={"fieldManager": FIELD_MANAGER, "force": "true"},
            )
        except KubeConflictError as error:
            # Forced, so no other manager's field is in the way: only the uid can be.
            raise KubeGoneError(str(error)) from error

    async def delete(self, plural: str, name: str, *, uid: str) -> None:
        """Delete the one with that uid; one that is gone already is fine."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", f"{self._ours}/{plural}/{quote(name)}", options)
        except (KubeGoneError, KubeConflictError):
            return

    async def owner_is_there(self, reference: Mapping[str, Any]) -> bool:
        """Whether a Deployment that owns something exists, as the same one, and is to stay.

        Of an owner of another kind, which we may not read, True is all that can be said.
        """
        if (reference["apiVersion"], reference["kind"]) != ("apps/v1", "Deployment"):
            return True
        owner = await self._found(f"{self._apps}/deployments/{quote(reference['name'])}")
        return owner is not None and _stays(owner) and owner["metadata"]["uid"] == reference["uid"]

    async def namespace_is_there(self) -> bool:
        """Whether our namespace exists and is to stay."""
        namespace = await self._found(self._core)
        return namespace is not None and _stays(namespace)

    async def set_scale(self, deployment: str, replicas: int, *, resource_version: str) -> None:
        """Raises KubeConflictError where the Deployment changed since, and KubeGoneError."""
        body: Object = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {
                "name": deployment,
                "namespace": self.namespace,
                "resourceVersion": resource_version,
            },
            "spec": {"replicas": replicas},
        }
        path = f"{self._apps}/deployments/{quote(deployment)}/scale"
        await self._request("PUT", path, body)

    async def get_deployment(self, name: str) -> Object:
        """Raises KubeGoneError."""
        return await self._request("GET", f"{self._apps}/deployments/{quote(name)}")

    async def get_replica_set(self, name: str) -> Object:
        """Raises KubeGoneError."""
        return await self._request("GET", f"{self._apps}/replicasets/{quote(name)}")

    async def get_pod(self, name: str) -> Object:
        """Raises KubeGoneError."""
        return await self._request("GET", f"{self._core}/pods/{quote(name)}")

    async def pods(self, selector: str) -> list[Object]:
        """The pods with these labels, such as `app=shop,tier=web`."""
        query = {"labelSelector": selector}
        found = await self._request("GET", f"{self._core}/pods", query=query, seconds=LIST_SECONDS)
        return found["items"]

    async def annotate_pod(self, name: str, annotations: Mapping[str, str | None]) -> None:
        """Set annotations, or take those away that are None; raises KubeGoneError."""
        body: Object = {"metadata": {"annotations": dict(annotations)}}
        await self._request(
            "PATCH",
            f"{self._core}/pods/{quote(name)}",
            body,
            content_type="application/merge-patch+json",
        )

    async def post_event(
        self,
        involved: Object,
        *,
        reason: str,
        message: str,
        type: Literal["Normal", "Warning"] = "Normal",  # noqa: A002 - Kubernetes' own word
    ) -> None:
        """Post an Event on an object, which `kubectl describe` then shows."""
        now = timestamp(utc_now())
        metadata = involved["metadata"]
        body: Object = {
            "metadata": {"generateName": f"{metadata['name'][:200]}."},
            "involvedObject": {
                "apiVersion": involved["apiVersion"],
                "kind": involved["kind"],
                "namespace": self.namespace,
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "reason": reason,
            "message": message[:MESSAGE_CHARACTERS],
            "type": type,
            "source": {"component": OPERATOR},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._request("POST", f"{self._core}/events", body)

    async def get_lease(self, name: str) -> Object | None:
        """None where there is none."""
        return await self._found(f"{self._leases}/{quote(name)}")

    async def installations(self) -> set[str]:
        """The installations that have an operator in our namespace, or had one."""
        query = {"labelSelector": INSTALLATION}
        found = await self._request("GET", self._leases, query=query, seconds=LIST_SECONDS)
        return {each["metadata"]["labels"][INSTALLATION] for each in found["items"]}

    async def create_lease(self, body: Object) -> Object:
        """Raises KubeExistsError."""
        return await self._request("POST", self._leases, body)

    async def replace_lease(self, name: str, body: Object) -> Object:
        """Raises KubeConflictError where it is not the one that was read."""
        return await self._request("PUT", f"{self._leases}/{quote(name)}", body)

    async def _pages(self, path: str) -> AsyncGenerator[list[Object]]:
        query = {"limit": str(PAGE)}
        while True:
            page = await self._request("GET", path, query=query, seconds=LIST_SECONDS)
            yield page["items"]
            following = page["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    async def _found(self, path: str) -> Object | None:
        try:
            return await self._request("GET", path)
        except KubeGoneError:
            return None

    async def _request(
        self,
        method: Method,
        path: str,
        body: Object | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        seconds: float = REQUEST_SECONDS,
    ) -> Object:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        async with _reached(seconds):
            _, url, headers, body, _ = await self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(
                method,
                url,
                headers,
                body,
                _request_timeout=aiohttp.ClientTimeout(total=seconds),
            )
            content: bytes = await response.read()
        return _answer(response.status, content, response.headers)


class _PageExpiredError(KubeUnavailableError):
    """The list's next page is of a past that the API server has forgotten."""


@asynccontextmanager
async def _reached(seconds: float) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise KubeUnavailableError(f"The API server did not answer within {seconds:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise KubeUnavailableError(f"The API server does not answer: {error}") from error


def _answer(status: int, content: bytes, headers: Mapping[str, str]) -> Object:
    if not 200 <= status < 300:  # noqa: PLR2004 - the class of answers that are success
        raise _error(status, content, headers)
    try:
        answer: Object = json.loads(content)
    except ValueError as error:
        raise KubeUnavailableError("The API server's answer is no JSON") from error
    return answer


def _error(status: int, content: bytes, headers: Mapping[str, str]) -> KubeError:
    reason, message = _said(content)
    text = message or f"The API server answered {status}"
    match status:
        case 404:
            return KubeGoneError(text)
        case 409:
            return KubeExistsError(text) if reason == "AlreadyExists" else KubeConflictError(text)
        case 410:
            return _PageExpiredError(text)
        case 429:
            return KubeThrottledError(_retry_after(headers))
        case _ if 400 <= status < 500:  # noqa: PLR2004 - the class of answers that blame us
            return KubeRefusedError(status, text)
        case _:
            return KubeUnavailableError(f"The API server answered {status}: {text}")


def _said(content: bytes) -> tuple[str, str]:
    """The reason and the message of a `Status`; a proxy before the API server sends none."""
    try:
        said: Object = json.loads(content)
        return str(said.get("reason", "")), str(said.get("message", ""))
    except (ValueError, AttributeError):
        return "", ""


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (KeyError, ValueError):
        return RETRY_AFTER_SECONDS


KINDS = {"asynctasks": "AsyncTask", "executorpools": "ExecutorPool"}


def _typed(plural: str, body: Object) -> Object:
    return {"apiVersion": API_VERSION, "kind": KINDS[plural], **body}


def _stays(thing: Object) -> bool:
    return "deletionTimestamp" not in thing["metadata"]
