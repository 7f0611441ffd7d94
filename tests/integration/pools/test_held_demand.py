"""Tasks that no executor can have yet: what they ask of a pool, and what it says of them."""

import pytest

from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.instants import utc_now
from asynctasks.limit_rows import PausedKind
from asynctasks.statements.limit_states import LimitStates
from asynctestkit.pool_scene import OpenScene


async def test_tasks_without_messages_are_said(scene: OpenScene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("asyncoperator.scaling.loop.MISSING_SECONDS", 0.0)
    it = scene(replicas=1)
    async with InMemoryBroker() as it.broker:
        it.new_leader()
        await it.submit(6)
        await it.tick(2)
        active = it.kube.condition("ScalingActive")
    assert (active["status"], active["reason"]) == ("True", "MessagesMissing")
    assert active["message"].startswith("6 queued tasks have no message")


async def test_held_tasks_miss_no_message(scene: OpenScene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("asyncoperator.scaling.loop.MISSING_SECONDS", 0.0)
    it = scene(replicas=1)
    async with InMemoryBroker() as it.broker:
        it.new_leader()
        await it.hold(6)
        await it.tick(2)
    assert it.kube.condition("ScalingActive")["reason"] == "DemandKnown"
    assert it.kube.status["queued"] == 6


async def test_for_what_a_limit_holds_there_are_no_executors(scene: OpenScene):
    it = scene(replicas=1, maxReplicas=50)
    it.limit(concurrency=5)
    await it.hold(100)
    await it.tick()
    assert it.kube.replicas == 3
    assert it.kube.events == [
        "ScaledUp From 1 to 3: 5 queued, 0 running, 95 held: 3 executors needed."
    ]
    assert it.kube.status["queued"] == 100
    limited = it.kube.condition("Limited")
    assert (limited["status"], limited["reason"]) == ("True", "LimitReached")
    assert limited["message"] == (
        "limit crm has no room for create-client; 95 of 100 queued tasks are held."
    )


async def test_what_runs_takes_the_room_of_what_is_held(scene: OpenScene):
    it = scene(replicas=3, maxReplicas=50)
    it.limit(concurrency=5)
    for number, task in enumerate(await it.submit(5)):
        await it.run_on(f"executor-{number % 3 + 1}", task)
    await it.hold(100)
    await it.tick(2)
    assert it.kube.replicas == 3
    assert it.kube.condition("Limited")["message"] == (
        "limit crm: 5 of 5 run; 100 of 100 queued tasks are held."
    )


async def test_while_the_upstream_rests_its_tasks_need_no_executor(scene: OpenScene):
    it = scene(replicas=3, maxReplicas=50)
    it.limit(breaker={"failures": 1, "openSeconds": [60, 60]})
    await it.hold(100)
    declared = it.operations["create-client"].declared_limits
    await LimitStates(it.parts.database).note_failure(declared, started_at=utc_now())
    await it.tick(3)
    assert it.kube.replicas == 1
    limited = it.kube.condition("Limited")
    assert (limited["status"], limited["reason"]) == ("True", "UpstreamDown")
    assert limited["message"].startswith("limit crm rests until ")


async def test_a_pool_that_says_so_pauses_its_queue_and_lets_it_go_on(scene: OpenScene):
    it, queue = scene(replicas=3), (PausedKind.QUEUE, "clients")
    states, spec = LimitStates(it.parts.database), it.kube.pools[0]["spec"]

    async def paused_by() -> str | None:
        await it.tick(2)
        pause = (await states.read([])).pauses.of(*queue)
        limited = it.kube.condition("Limited")
        assert (limited["reason"] == "Paused") is (pause is not None)
        return pause and pause.paused_by

    await it.submit(100)
    spec["paused"] = True
    assert await paused_by() == "ExecutorPool clients"
    await it.tick(3)
    assert it.kube.replicas == 1  # nothing of it starts
    await states.resume(*queue)
    assert await paused_by() == "ExecutorPool clients"
    del spec["paused"]
    assert await paused_by() is None
    await states.pause(*queue, by="ann")
    assert await paused_by() == "ann"
    spec["paused"] = False
    assert await paused_by() is None


async def test_the_pause_of_a_pool_that_is_gone_ends_whoever_leads_then(scene: OpenScene):
    it = scene(replicas=1)
    states = LimitStates(it.parts.database)
    it.kube.pools[0]["spec"]["paused"] = True
    await it.tick()
    await states.pause(PausedKind.QUEUE, "orders", by="ann")
    it.kube.pools.clear()
    it.new_leader()
    await it.tick()
    assert [pause.name for pause in (await states.read([])).pauses.by_name.values()] == ["orders"]
