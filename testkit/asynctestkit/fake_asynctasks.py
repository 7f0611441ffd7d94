"""A mirror over an API server that keeps AsyncTasks in memory."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from asyncoperator.cluster.kube_errors import KubeError, KubeExistsError, KubeGoneError
from asyncoperator.cluster.neighbours import Neighbours
from asyncoperator.mirror.loop import MirrorLoop
from asyncoperator.mirror.object_cache import ObjectCache
from asyncoperator.mirror.submitter import Submitter
from asyncoperator.mirror.write_budget import WriteBudget
from asyncoperator.settings import OperatorSettings
from asynctasks.operations.operations_file import parse_operations
from asynctasks.statements.mirroring import Mirroring
from asynctestkit.processes import FAST_OPERATIONS


class FakeAsyncTasks:
    """Keeps objects as the API server does, and fails as it is told to."""

    namespace = "default"

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.faults: list[KubeError] = []
        self.writes = 0
        self.write_seconds = 0.0
        self.events: list[str] = []
        self.leases = {"asyncapiproxy"}
        self.serves = True
        self._changes = 0

    async def _write(self) -> None:
        self.writes += 1
        await asyncio.sleep(self.write_seconds)
        if self.faults:
            raise self.faults.pop(0)
        self._changes += 1

    async def pages(self, _plural: str) -> AsyncGenerator[list[dict[str, Any]]]:
        for one in list(self.objects.values()):
            yield [one]

    async def get(self, _plural: str, name: str) -> dict[str, Any] | None:
        return self.objects.get(name)

    async def create(self, _plural: str, body: dict[str, Any]) -> dict[str, Any]:
        await self._write()
        name = body["metadata"]["name"]
        if name in self.objects:
            raise KubeExistsError
        metadata = {
            **body["metadata"],
            "uid": f"uid-{self._changes}",
            "resourceVersion": str(self._changes),
            "creationTimestamp": "2026-01-31T12:00:00Z",
        }
        self.objects[name] = {**body, "metadata": metadata}
        return self.objects[name]

    async def apply_status(
        self, _plural: str, name: str, status: dict[str, Any], *, uid: str | None = None
    ) -> dict[str, Any]:
        await self._write()
        known = self.objects.get(name)
        if known is None or known["metadata"]["uid"] != uid:
            raise KubeGoneError
        metadata = {**known["metadata"], "resourceVersion": str(self._changes)}
        self.objects[name] = {**known, "metadata": metadata, "status": status}
        return self.objects[name]

    async def delete(self, _plural: str, name: str, **_: Any) -> None:
        await self._write()
        self.objects.pop(name, None)

    async def post_event(self, _involved: dict[str, Any], *, reason: str, **_: Any) -> None:
        await self._write()
        self.events.append(reason)

    async def serves_ours(self) -> bool:
        return self.serves

    async def installations(self) -> set[str]:
        return self.leases

    async def namespace_is_there(self) -> bool:
        return True

    async def owner_is_there(self, _reference: dict[str, Any]) -> bool:
        return True

    def status_of(self, task_id: UUID) -> str | None:
        found = self.objects.get(f"t-{task_id}", {})
        return found.get("status", {}).get("taskStatus")


def mirror_loop(parts: Any, kube: FakeAsyncTasks, **settings: Any) -> MirrorLoop:
    """That of the installation `asyncapiproxy`; it shows each task at once."""
    given: dict[str, Any] = {
        "database_url": "sqlite:///unused.db",
        "broker_url": "memory://",
        "mirror_min_age_seconds": 0,
    }
    operations = parse_operations(FAST_OPERATIONS, name="operations.yaml")
    fake: Any = kube
    return MirrorLoop(
        kube=fake,
        mirroring=Mirroring(parts.database),
        submitter=Submitter(parts.store, operations, fake, Neighbours(fake, "asyncapiproxy")),
        objects=ObjectCache(),
        budget=WriteBudget(per_second=20, burst=40),
        settings=OperatorSettings(**{**given, **settings}),
    )


def person(name: str, **spec: Any) -> dict[str, Any]:
    """The AsyncTask of a person that asks for a task."""
    arguments = {"email": f"{name}@example.com", "name": "Ann"}
    spec = {"operation": "create-client", "arguments": arguments, **spec}
    return {"metadata": {"name": name}, "spec": spec}
