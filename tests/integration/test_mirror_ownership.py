"""Which deletions and requests end a task, and whose objects the mirror touches."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from asyncoperator.mirror.asynctask import mirrored_object, parse, task_status
from asyncoperator.mirror.loop import MirrorLoop
from asyncoperator.mirror.submitter import task_id_of
from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.task import TaskStatus
from asynctestkit.eventually import eventually
from asynctestkit.fake_asynctasks import FakeAsyncTasks, person
from asynctestkit.mirrored import row, seen

MakeTask = Callable[..., NewTask]


async def becomes_cancelled(parts: Any, loop: MirrorLoop, task_id: UUID) -> None:
    async def cancelled() -> None:
        await loop.tick()
        assert (await parts.store.find(task_id)).status is TaskStatus.CANCELLED

    await eventually(cancelled)


async def lives(parts: Any, loop: MirrorLoop, task_id: UUID) -> None:
    """Beyond the time after which a deletion counts."""

    async def judged() -> None:
        await loop.tick()
        assert not loop._gone

    await eventually(judged)
    assert (await parts.store.find(task_id)).status is TaskStatus.QUEUED


async def test_only_a_live_deletion_cancels(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await parts.add(new_task())
    await loop.tick()
    loop.see(parse(kube.objects.pop(f"t-{task_id}"), is_gone=True))
    await becomes_cancelled(parts, loop, task_id)


async def test_a_persons_object_that_goes_before_it_showed_its_task_ends_it(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop]
):
    loop = make_loop()
    spec = {"operation": "create-client", "arguments": {"email": "a@example.com", "name": "A"}}
    mine = parse(await kube.create("asynctasks", {"metadata": {"name": "mine"}, "spec": spec}))
    loop.see(mine)
    await loop._submit()
    kube.objects.clear()
    loop.see(replace(mine, is_going=True))
    await becomes_cancelled(parts, loop, task_id_of(mine.uid, mine.created_at))


async def test_the_end_of_the_definition_cancels_nothing(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await parts.add(new_task())
    mine = parse(await kube.create("asynctasks", person("mine")))
    loop.see(mine)
    await loop.tick()
    kube.serves = False
    for one in kube.objects.values():
        loop.see(parse(one, is_gone=True))
    kube.objects.clear()
    await lives(parts, loop, task_id)
    # The definition is back, and what it had is not; another operator leads.
    kube.serves = True
    again = make_loop()
    await again.tick()
    of_mine = task_id_of(mine.uid, mine.created_at)
    for one in (task_id, of_mine):
        assert (await parts.store.find(one)).status is TaskStatus.QUEUED
        assert kube.status_of(one) == "Queued"


async def test_a_definition_that_is_back_before_the_doubt_is_over_cancels_nothing(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    """As after `kubectl replace --force`."""
    loop, task_id = make_loop(), await parts.add(new_task())
    await loop.tick()
    kube.serves = False
    running = asyncio.create_task(loop.loop.run())
    await asyncio.wait([running], timeout=0.2)  # well before its next tick
    loop.see(parse(kube.objects.pop(f"t-{task_id}"), is_gone=True))

    def judged() -> None:
        assert not loop._gone

    await eventually(judged, timeout_seconds=0.5)
    running.cancel()
    await asyncio.wait([running])
    kube.serves = True
    await lives(parts, loop, task_id)


async def test_objects_of_another_installation_are_none_of_ours(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    """Of its tasks our database knows nothing, so they look forgotten."""
    foreign = mirrored_object(row(7), installation="bakery", owner=None)
    name = foreign["metadata"]["name"]
    uid = (await kube.create("asynctasks", foreign))["metadata"]["uid"]
    shown = task_status(
        row(7), replace(seen(7), uid=uid), installation="bakery", now=utc_now(), public_url=""
    )
    theirs = await kube.apply_status("asynctasks", name, shown, uid=uid)
    asking = await kube.create("asynctasks", person("asking", installation="bakery"))
    loop = make_loop()
    await loop.tick()
    for one in (theirs, asking):
        loop.see(parse(one))
    await loop.tick()
    assert kube.objects == {name: theirs, "asking": asking}


@pytest.mark.parametrize("is_listed", [True, False], ids=["listed", "watched"])
async def test_an_object_that_was_given_no_task_ends_none(
    parts: Any,
    kube: FakeAsyncTasks,
    make_loop: Callable[..., MirrorLoop],
    new_task: MakeTask,
    is_listed: bool,
):
    """Somebody foresees the object that the mirror is about to make, and wants the task's end."""
    loop = make_loop()
    if not is_listed:
        await loop.tick()
    task_id = await parts.add(new_task())
    forged = mirrored_object(
        row(id=task_id, asynctask=None), installation="asyncapiproxy", owner=None
    )
    forged["spec"]["cancelRequested"] = True
    made = parse(await kube.create("asynctasks", forged))
    loop.see(made)

    async def shown() -> None:
        await loop.tick()
        assert kube.status_of(task_id) == "Queued"

    await eventually(shown)
    assert kube.objects[f"t-{task_id}"]["metadata"]["uid"] != made.uid
    loop.see(replace(made, is_going=True))
    await lives(parts, loop, task_id)


async def test_a_persons_object_on_the_mirrors_name_is_not_written_to(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    task_id = await parts.add(new_task())
    mine = person(f"t-{task_id}", installation="asyncapiproxy")
    made = parse(await kube.create("asynctasks", mine))
    loop = make_loop()
    await loop.tick()
    await loop.tick()
    of_mine = task_id_of(made.uid, made.created_at)
    assert kube.objects[made.name]["status"]["taskId"] == str(of_mine)


async def test_a_status_that_names_another_objects_task_ends_none(
    parts: Any, kube: FakeAsyncTasks, make_loop: Callable[..., MirrorLoop], new_task: MakeTask
):
    loop, task_id = make_loop(), await parts.add(new_task())
    await kube.create("asynctasks", person("mine"))
    await loop.tick()
    await loop.tick()
    mine = kube.objects["mine"]
    claiming = {
        "spec": mine["spec"] | {"cancelRequested": True},
        "status": mine["status"] | {"taskId": str(task_id)},
    }
    loop.see(parse(mine | claiming))
    await lives(parts, loop, task_id)
