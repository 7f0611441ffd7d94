"""The mirror's loop against a Kubernetes that throttles, refuses, hangs up and forgets."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from asyncoperator.cluster.kube_errors import (
    KubeError,
    KubeExistsError,
    KubeGoneError,
    KubeRefusedError,
    KubeThrottledError,
    KubeUnavailableError,
)
from asyncoperator.mirror.asynctask import parse
from asyncoperator.mirror.loop import MirrorLoop
from asyncoperator.mirror.object_cache import ObjectCache
from asyncoperator.mirror.submitter import Submitter, task_id_of
from asyncoperator.mirror.write_budget import WriteBudget
from asyncoperator.settings import OperatorSettings
from asynctasks.operations.new_task import NewTask
from asynctasks.operations.operations_file import parse_operations
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.mirroring import Mirroring
from asynctasks.task import TaskStatus
from asynctestkit.eventually import eventually
from asynctestkit.processes import FAST_OPERATIONS

MakeTask = Callable[..., NewTask]


class FakeKube:
    """Keeps objects as the API server does, and fails as it is told to."""

    namespace = "default"

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.faults: list[KubeError] = []
        self.writes = 0
        self.events: list[str] = []
        self._changes = 0

    def _write(self) -> None:
        self.writes += 1
        if self.faults:
            raise self.faults.pop(0)
        self._changes += 1

    async def pages(self, _plural: str) -> AsyncGenerator[list[dict[str, Any]]]:
        for one in list(self.objects.values()):
            yield [one]

    async def get(self, _plural: str, name: str) -> dict[str, Any] | None:
        return self.objects.get(name)

    async def create(self, _plural: str, body: dict[str, Any]) -> dict[str, Any]:
        self._write()
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
        self._write()
        known = self.objects.get(name)
        if known is None or known["metadata"]["uid"] != uid:
            raise KubeGoneError
        metadata = {**known["metadata"], "resourceVersion": str(self._changes)}
        self.objects[name] = {**known, "metadata": metadata, "status": status}
        return self.objects[name]

    async def delete(self, _plural: str, name: str, **_: Any) -> None:
        self._write()
        self.objects.pop(name, None)

    async def post_event(self, _involved: dict[str, Any], *, reason: str, **_: Any) -> None:
        self._write()
        self.events.append(reason)

    async def namespace_is_there(self) -> bool:
        return True

    async def owner_is_there(self, _reference: dict[str, Any]) -> bool:
        return True

    def status_of(self, task_id: UUID) -> str | None:
        found = self.objects.get(f"t-{task_id}", {})
        return found.get("status", {}).get("taskStatus")


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def make_loop(parts: Any, kube: FakeKube) -> Callable[..., MirrorLoop]:
    def make(**settings: Any) -> MirrorLoop:
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
            submitter=Submitter(parts.store, operations, fake),
            objects=ObjectCache(),
            budget=WriteBudget(per_second=20, burst=40),
            settings=OperatorSettings(**{**given, **settings}),
        )

    return make


async def add(parts: Any, new: NewTask) -> UUID:
    await parts.store.add(new)
    return new.id


async def test_a_task_is_shown_followed_and_told_of(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await add(parts, new_task())
    await loop.tick()
    assert kube.status_of(task_id) == "Queued"
    writes = kube.writes
    await loop.tick()
    assert kube.writes == writes
    await parts.store.cancel(task_id)
    await loop.tick()
    assert (kube.status_of(task_id), kube.events) == ("Cancelled", ["Cancelled"])


async def test_throttled_it_waits_and_loses_nothing(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await add(parts, new_task())
    kube.faults = [KubeThrottledError(0.3)]
    await loop.tick()
    assert kube.writes == 1
    await loop.tick()
    assert kube.writes == 1, "it was to wait"

    async def shown() -> None:
        await loop.tick()
        assert kube.status_of(task_id) == "Queued"

    await eventually(shown)


async def test_an_object_without_its_status_gets_it(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    """As after a crash between the two writes."""
    task_id = await add(parts, new_task())
    loop = make_loop()
    original = kube.apply_status

    async def crash(*_: Any, **__: Any) -> dict[str, Any]:
        raise KubeUnavailableError

    kube.apply_status = crash  # pyright: ignore[reportAttributeAccessIssue]
    with suppress(KubeUnavailableError):
        await loop.tick()
    kube.apply_status = original
    assert kube.status_of(task_id) is None
    await make_loop().tick()
    assert kube.status_of(task_id) == "Queued"


async def test_one_that_is_refused_holds_up_no_other(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop = make_loop()
    first, second = await add(parts, new_task()), await add(parts, new_task())
    kube.faults = [KubeRefusedError(422, "no")]
    await loop.tick()
    await loop.tick()
    assert sorted([kube.status_of(first) or "", kube.status_of(second) or ""]) == ["", "Queued"]
    assert kube.writes == 3


async def test_an_object_of_another_by_the_name_is_left_alone(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await add(parts, new_task())
    name = f"t-{task_id}"
    theirs = {"metadata": {"name": name}, "spec": {"operation": "x", "queue": "no"}}
    await loop.tick()
    del kube.objects[name]
    await Mirroring(parts.database).unmark([task_id])
    loop._objects.forget(parse(before := await kube.create("asynctasks", theirs)))
    loop._objects._by_task.clear()
    await loop.tick()
    assert kube.objects[name] == before


async def test_a_resync_repairs_both_directions(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    missing, wrong, forgotten = [await add(parts, new_task()) for _ in range(3)]
    await make_loop().tick()
    del kube.objects[f"t-{missing}"]
    kube.objects[f"t-{wrong}"]["status"]["taskStatus"] = "Succeeded"
    await parts.store.cancel(forgotten)
    await parts.store.delete(forgotten)
    await make_loop().tick()
    assert (kube.status_of(missing), kube.status_of(wrong)) == ("Queued", "Queued")
    assert f"t-{forgotten}" not in kube.objects
    for task_id in (missing, wrong):
        assert (await parts.store.find(task_id)).status is TaskStatus.QUEUED


async def test_a_success_that_was_never_marked_is_shown_at_the_resync(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    task_id = await add(parts, new_task(published=True, publish_in_seconds=60))
    await make_loop().tick()
    await Mirroring(parts.database).unmark([task_id])
    claims = parts.claims("one")
    done = Outcome(TaskStatus.SUCCEEDED, response=Response(200, "", b""))
    await claims.finish(await claims.claim(task_id), done)
    await make_loop().tick()
    assert kube.status_of(task_id) == "Succeeded"


async def test_only_a_live_deletion_cancels(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await add(parts, new_task())
    await loop.tick()
    loop.see(parse(kube.objects.pop(f"t-{task_id}"), is_gone=True))
    await loop.tick()
    assert (await parts.store.find(task_id)).status is TaskStatus.CANCELLED


async def test_a_persons_object_that_goes_before_it_showed_its_task_ends_it(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop]
):
    loop = make_loop()
    spec = {"operation": "create-client", "arguments": {"email": "a@example.com", "name": "A"}}
    mine = parse(await kube.create("asynctasks", {"metadata": {"name": "mine"}, "spec": spec}))
    loop.see(mine)
    await loop._submit()
    kube.objects.clear()
    loop.see(replace(mine, is_going=True))
    await loop.tick()
    task = await parts.store.find(task_id_of(mine.uid, mine.created_at))
    assert task.status is TaskStatus.CANCELLED


async def test_the_api_server_away_is_waited_for(
    parts: Any, kube: FakeKube, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await add(parts, new_task())
    kube.faults = [KubeUnavailableError("away")]
    running = asyncio.create_task(loop.loop.run())

    def shown() -> None:
        assert not running.done()
        assert kube.status_of(task_id) == "Queued"

    await eventually(shown)
    running.cancel()
    await asyncio.wait([running])
