"""The mirror's loop against a Kubernetes that throttles, refuses, hangs up and forgets."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from asyncoperator.cluster.kube_errors import (
    KubeRefusedError,
    KubeThrottledError,
    KubeUnavailableError,
)
from asyncoperator.mirror.asynctask import parse
from asyncoperator.mirror.loop import MirrorLoop
from asyncoperator.mirror.submitter import task_id_of
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.mirroring import Mirroring
from asynctasks.task import TaskStatus
from asynctestkit.eventually import eventually
from asynctestkit.fake_asynctasks import FakeAsyncTasks, person

SUBMITTED_SECONDS = 5
CANCEL_SECONDS = 2
MakeTask = Callable[..., NewTask]


async def test_a_task_is_shown_followed_and_told_of(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await parts.add(new_task())
    await loop.tick()
    assert kube.status_of(task_id) == "Queued"
    writes = kube.writes
    await loop.tick()
    assert kube.writes == writes
    await parts.store.cancel(task_id)
    await loop.tick()
    assert (kube.status_of(task_id), kube.events) == ("Cancelled", ["Cancelled"])


async def test_throttled_it_waits_and_loses_nothing(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await parts.add(new_task())
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
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    """As after a crash between the two writes."""
    task_id = await parts.add(new_task())
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
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop = make_loop()
    first, second = await parts.add(new_task()), await parts.add(new_task())
    kube.faults = [KubeRefusedError(422, "no")]
    await loop.tick()
    await loop.tick()
    assert sorted([kube.status_of(first) or "", kube.status_of(second) or ""]) == ["", "Queued"]
    assert kube.writes == 3


async def test_an_object_of_another_by_the_name_is_left_alone(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await parts.add(new_task())
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
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    missing, wrong, forgotten = [await parts.add(new_task()) for _ in range(3)]
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
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    task_id = await parts.add(new_task(published=True, publish_in_seconds=60))
    await make_loop().tick()
    await Mirroring(parts.database).unmark([task_id])
    claims = parts.claims("one")
    done = Outcome(TaskStatus.SUCCEEDED, response=Response(200, "", b""))
    await claims.finish(await claims.claim(task_id), done)
    await make_loop().tick()
    assert kube.status_of(task_id) == "Succeeded"


async def test_an_object_that_changed_after_its_task_had_ended_is_told_of_as_it_is(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop]
):
    """Helm waits for as long as the status is of an earlier generation."""
    loop = make_loop()
    await kube.create("asynctasks", person("mine"))
    await loop.tick()
    await loop.tick()
    before = kube.objects["mine"]
    assert before["status"]["observedGeneration"] == 1
    kube.objects["mine"] = before | {"metadata": before["metadata"] | {"generation": 2}}
    loop.see(parse(kube.objects["mine"]))
    await loop.tick()
    assert kube.objects["mine"]["status"] == before["status"] | {
        "observedGeneration": 2,
        "conditions": [one | {"observedGeneration": 2} for one in before["status"]["conditions"]],
    }


async def test_many_objects_are_submitted_before_any_is_written(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop]
):
    loop = make_loop(mirror_min_age_seconds=3_600)
    many = [parse(await kube.create("asynctasks", person(f"p{n}"))) for n in range(300)]
    for one in many:
        loop.see(one)
    before, began = kube.writes, time.monotonic()
    while await loop.tick():
        pass
    assert time.monotonic() - began < SUBMITTED_SECONDS
    tasks = await Mirroring(parts.database).live_of_objects(after="", limit=500)
    assert len(tasks) == 300
    assert kube.writes - before < 100


async def test_a_cancel_is_not_held_up_by_a_burst(
    parts: Any,
    kube: FakeAsyncTasks,
    make_loop: Callable[..., MirrorLoop],
    new_task: MakeTask,
):
    loop, task_id = make_loop(), await parts.add(new_task())
    await loop.tick()
    burst = [parse(await kube.create("asynctasks", person(f"p{number}"))) for number in range(500)]
    mine = kube.objects[f"t-{task_id}"]
    kube.write_seconds = 0.1
    running = asyncio.create_task(loop.loop.run())
    for one in burst:
        loop.see(one)

    def has_begun() -> None:
        assert any("status" in kube.objects[one.name] for one in burst)

    await eventually(has_begun)
    began = time.monotonic()
    loop.see(replace(parse(mine), cancel_requested=True))

    async def cancelled() -> None:
        assert (await parts.store.find(task_id)).status is TaskStatus.CANCELLED

    await eventually(cancelled)
    assert time.monotonic() - began < CANCEL_SECONDS
    running.cancel()
    await asyncio.wait([running])


async def test_one_object_that_cannot_be_stored_is_refused_and_the_rest_goes_on(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop]
):
    loop = make_loop()
    large = person("large")
    large["spec"]["arguments"]["n"] = 1 << 64
    lost = await kube.create("asynctasks", person("lost")) | {"status": {"taskStatus": "Lost"}}
    kube.objects["lost"] = lost
    await kube.create("asynctasks", large)
    good = parse(await kube.create("asynctasks", person("good")))
    await loop.tick()
    refused = kube.objects["large"]["status"]["conditions"][0]
    assert (refused["type"], refused["status"]) == ("Accepted", "False")
    assert kube.objects["lost"] == lost
    task = await parts.store.find(task_id_of(good.uid, good.created_at))
    assert task.status is TaskStatus.QUEUED


async def test_the_api_server_away_is_waited_for(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await parts.add(new_task())
    kube.faults = [KubeUnavailableError("away")]
    running = asyncio.create_task(loop.loop.run())

    def shown() -> None:
        assert not running.done()
        assert kube.status_of(task_id) == "Queued"

    await eventually(shown)
    running.cancel()
    await asyncio.wait([running])
