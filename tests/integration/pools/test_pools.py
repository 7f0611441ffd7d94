"""Scaling a Deployment (in memory) by the demand of a real task table: up, down, and in between."""

from sqlalchemy import text

from asyncoperator.metrics import DEMAND_UNKNOWN, EXECUTORS, OLDEST_QUEUED, QUEUED, RUNNING
from asynctasks.database import Database
from asynctasks.statements.roster import Heartbeat
from asynctestkit.fake_kube import COST
from asynctestkit.pool_scene import OpenScene
from asynctestkit.ports import free_port


async def test_a_burst_is_met_in_one_tick_and_told(scene: OpenScene):
    it = scene(replicas=1, maxReplicas=8)
    await it.submit(40)
    await it.tick()
    assert it.kube.replicas == 8
    assert it.kube.events == [
        "ScaledUp From 1 to 8: 40 queued, 0 running: 20 executors needed, 8 allowed."
    ]
    assert it.kube.condition("ScalingLimited")["reason"] == "TooManyReplicas"
    status = it.kube.status
    assert (status["queued"], status["running"], status["desiredReplicas"]) == (40, 0, 8)
    assert status["lastScaleReason"].startswith("From 1 to 8")


async def test_down_goes_only_what_has_drained_and_is_not_ready(scene: OpenScene):
    it = scene(replicas=4)
    (task,) = await it.submit(1)
    await it.beat()
    await it.run_on("executor-3", task)
    await it.tick()  # tells three of the four to drain, but one is needed beside the busy
    assert it.kube.replicas == 4
    await it.tick()
    assert it.kube.replicas == 1
    assert set(it.kube.removed) == {"executor-1", "executor-2", "executor-4"}
    assert it.kube.pods_by_name.keys() == {"executor-3"}


async def test_what_is_busy_is_not_taken_while_it_runs(scene: OpenScene):
    it = scene(replicas=3)
    tasks = await it.submit(3)
    await it.beat()
    for number, task in enumerate(tasks, start=1):
        await it.run_on(f"executor-{number}", task)
    await it.tick(5)
    assert (it.kube.replicas, it.kube.removed) == (3, [])
    assert not any(it.draining.values())


async def test_a_task_between_drain_and_scale_brings_the_drained_back(scene: OpenScene):
    it = scene(replicas=3, maxReplicas=3)
    await it.tick()  # tells two to drain
    await it.beat()
    assert sum(it.draining.values()) == 2
    await it.submit(6)
    await it.tick()
    await it.beat()
    assert (it.kube.replicas, it.kube.removed) == (3, [])
    assert not any(it.draining.values())


async def test_an_executor_that_got_a_task_before_it_drained_is_waited_for(scene: OpenScene):
    it = scene(replicas=2)
    await it.tick()  # tells one to drain
    (chosen,) = [one.name for one in await it.roster.of_queue("clients") if one.draining]
    (task,) = await it.submit(1)
    await it.run_on(chosen, task)
    await it.tick(4)
    assert it.kube.removed == []
    it.running.clear()
    async with it.parts.database.write() as connection:
        await connection.execute(text("DELETE FROM tasks"))
    await it.tick(2)
    assert it.kube.removed == [chosen]


async def test_an_executor_that_dies_while_it_drains_takes_no_other_with_it(scene: OpenScene):
    it = scene(replicas=2)
    await it.tick()  # tells one to drain
    (chosen,) = [one.name for one in await it.roster.of_queue("clients") if one.draining]
    del it.kube.pods_by_name[chosen]
    it.kube.act()  # the ReplicaSet replaces it
    await it.tick(3)
    assert it.kube.replicas == 1
    assert len(it.kube.pods_by_name) == 1
    assert all(not it.running.get(name) for name in it.kube.removed)


async def test_a_drained_one_is_not_removed_before_kubernetes_knows_that_it_is_not_ready(
    scene: OpenScene,
):
    """Kubernetes would not choose it before others that are not ready."""
    it = scene(replicas=2)
    await it.tick()
    await it.beat()
    (chosen,) = [name for name, draining in it.draining.items() if draining]
    it.kube.pods_by_name[chosen].ready = True
    await it.loop.tick()
    assert it.kube.replicas == 2
    it.kube.pods_by_name[chosen].ready = False
    await it.loop.tick()
    assert it.kube.removed == [chosen]


async def test_a_container_that_was_started_again_is_judged_by_its_new_executor(scene: OpenScene):
    it = scene(replicas=2)
    await it.tick()
    await it.beat()
    (chosen,) = [name for name, draining in it.draining.items() if draining]
    heartbeat = Heartbeat(
        name="another process",
        queue="clients",
        pod=chosen,
        concurrency=2,
        running=1,
        consuming=True,
        idle_seconds=None,
    )
    await it.roster.beat(heartbeat)
    await it.loop.tick()
    assert it.kube.removed == []


async def test_a_conflict_is_tried_again_at_the_next_tick(scene: OpenScene):
    it = scene(replicas=2)
    it.kube.conflicts = 1
    await it.tick(2)
    assert it.kube.replicas == 2
    await it.tick()
    assert it.kube.replicas == 1
    assert [event.partition(":")[0] for event in it.kube.events] == ["ScaledDown From 2 to 1"]


async def test_a_new_leader_goes_on_with_what_drains(scene: OpenScene):
    it = scene(replicas=3)
    await it.tick()
    await it.beat()
    it.new_leader()
    await it.tick()
    assert it.kube.replicas == 1
    assert len(it.kube.removed) == 2


async def test_while_controllers_lag_nothing_is_counted_twice(scene: OpenScene):
    """The removed are there yet, drained, when the next ticks look."""
    it = scene(replicas=3, minReplicas=1)
    it.kube.acts = False
    await it.tick(2)
    assert it.kube.replicas == 1
    await it.tick(3)
    assert sum(it.draining.values()) == 2
    it.kube.observed = it.kube.generation
    await it.tick(3)
    assert it.kube.replicas == 1
    assert sum(it.draining.values()) == 2
    it.kube.act()
    assert set(it.kube.removed) == {n for n, drains in it.draining.items() if drains}


async def test_while_controllers_lag_no_more_is_removed(scene: OpenScene):
    """Taken off again, the drained would stand for others, which have not drained."""
    it = scene(replicas=5)
    tasks = await it.submit(6)
    await it.beat()
    for number, task in enumerate(tasks):
        await it.run_on(f"executor-{number % 3 + 1}", task)
    it.kube.acts = False
    await it.tick(2)
    assert it.kube.replicas == 3
    await it.tick()
    assert it.kube.condition("Ready")["message"] == "3 of 3 executors are ready."
    it.kube.observed = it.kube.generation
    it.running.clear()
    async with it.parts.database.write() as connection:
        await connection.execute(text("DELETE FROM tasks"))
    await it.tick(3)
    assert it.kube.replicas == 3
    it.kube.act()
    assert set(it.kube.removed) == {"executor-4", "executor-5"}


async def test_nothing_is_removed_while_a_rollout_is_in_progress(scene: OpenScene):
    it = scene(replicas=3)
    it.kube.updated = 1
    await it.tick(4)
    assert (it.kube.replicas, it.draining) == (3, {})
    it.kube.updated = None
    await it.tick(2)
    assert it.kube.replicas == 1


async def test_nothing_is_removed_while_a_pod_starts(scene: OpenScene):
    """Kubernetes would take the one that starts."""
    it = scene(replicas=3)
    await it.tick()
    await it.beat()
    starting = next(name for name in it.kube.pods_by_name if name not in it.draining)
    it.kube.pods_by_name[starting].phase = "Pending"
    await it.tick(3)
    assert it.kube.removed == []
    it.kube.pods_by_name[starting].phase = "Running"
    await it.tick()
    assert len(it.kube.removed) == 2
    assert starting not in it.kube.removed


async def test_a_pod_that_never_starts_may_go(scene: OpenScene):
    it = scene(replicas=2)
    await it.roster.beat(
        Heartbeat(
            name="executor-1",
            queue="clients",
            pod="executor-1",
            concurrency=2,
            running=0,
            consuming=True,
            idle_seconds=1.0,
        )
    )
    stuck = it.kube.pods_by_name["executor-2"]
    stuck.ready, stuck.phase, stuck.age_seconds = False, "Pending", 300
    await it.loop.tick()
    assert it.kube.removed == ["executor-2"]


async def test_pods_that_could_not_be_made_leave_the_scale_first(scene: OpenScene):
    """A quota allows three; when the burst is over, those three are not all sent away."""
    it = scene(replicas=3, minReplicas=2)
    it.kube.quota = 3
    await it.submit(40)
    await it.tick(2)
    assert (it.kube.replicas, len(it.kube.pods_by_name)) == (10, 3)
    ready = it.kube.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "FailedCreate")
    assert ready["message"].startswith("3 of 10 executors are ready. pods")
    assert "exceeded quota" in ready["message"]
    async with it.parts.database.write() as connection:
        await connection.execute(text("DELETE FROM tasks"))
    for _ in range(4):
        await it.tick()
        assert sum(it.draining.values()) <= 1
    assert (it.kube.replicas, len(it.kube.removed)) == (2, 1)
    assert it.kube.condition("Ready")["status"] == "True"


async def test_those_that_drain_come_back_where_new_ones_cannot_be_made(scene: OpenScene):
    it = scene(replicas=3, maxReplicas=3)
    it.kube.quota = 3
    await it.tick()
    await it.beat()
    assert sum(it.draining.values()) == 2
    it.kube.replicas = 5  # by a person
    await it.submit(6)
    await it.tick()
    await it.beat()
    assert not any(it.draining.values())


async def test_the_executors_of_a_queue_are_measured(scene: OpenScene):
    it = scene(replicas=3, maxReplicas=6)
    it.kube.quota = 3
    await it.submit(40)
    await it.tick(2)
    kinds = ("current", "desired", "ready", "needed")
    assert [EXECUTORS.labels("clients", kind)._value.get() for kind in kinds] == [6, 6, 3, 20]
    assert OLDEST_QUEUED.labels("clients")._value.get() > 0


async def test_a_drained_one_that_comes_back_costs_what_others_do(scene: OpenScene):
    it = scene(replicas=2, maxReplicas=2)
    it.kube.conflicts = 1
    await it.tick(2)
    assert [pod.annotations for pod in it.kube.pods_by_name.values() if pod.annotations] == [
        {COST: "-100"}
    ]
    await it.submit(4)
    await it.tick()
    assert not any(pod.annotations for pod in it.kube.pods_by_name.values())


async def test_without_the_database_everything_stays_and_is_said(scene: OpenScene):
    it = scene(replicas=5)
    away = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    try:
        it.new_leader(away)
        await it.loop.tick()
        await it.loop.tick()
    finally:
        await away.close()
    assert it.kube.replicas == 5
    active = it.kube.condition("ScalingActive")
    assert (active["status"], active["reason"]) == ("False", "DemandUnknown")


async def test_without_the_broker_it_scales_all_the_same(scene: OpenScene):
    it = scene(replicas=1)
    await it.submit(6)
    await it.tick()
    assert it.kube.replicas == 3
    assert it.kube.condition("ScalingActive")["status"] == "True"


async def test_a_pool_without_a_deployment_says_so(scene: OpenScene):
    it = scene(replicas=1)
    it.kube.has_deployment = False
    await it.loop.tick()
    ready = it.kube.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "DeploymentMissing")
    assert ready["message"] == "There is no Deployment executor."


async def test_off_shows_the_queue_and_brings_back_what_drains(scene: OpenScene):
    it = scene(replicas=3)
    await it.tick()
    await it.beat()
    it.kube.pools[0]["spec"]["scaling"]["mode"] = "Off"
    await it.submit(50)
    await it.tick()
    await it.beat()
    assert (it.kube.replicas, it.kube.events) == (3, [])
    assert not any(it.draining.values())
    assert it.kube.condition("ScalingActive")["reason"] == "Off"
    assert it.kube.status["queued"] == 50


async def test_a_pool_that_is_deleted_leaves_no_executor_draining_and_no_figures(scene: OpenScene):
    it = scene(replicas=3)
    await it.tick()
    await it.beat()
    assert figures("clients")
    it.kube.pools.clear()
    await it.tick()
    await it.beat()
    assert not any(it.draining.values())
    assert it.kube.replicas == 3
    assert not figures("clients")


def figures(queue: str) -> list[str]:
    """What the operator would tell Prometheus of that queue's present."""
    gauges = (DEMAND_UNKNOWN, EXECUTORS, OLDEST_QUEUED, QUEUED, RUNNING)
    families = [family for gauge in gauges for family in gauge.collect()]
    samples = [sample for family in families for sample in family.samples]
    return [sample.name for sample in samples if sample.labels["queue"] == queue]


async def test_the_status_is_written_when_a_decision_changes_and_not_at_every_tick(
    scene: OpenScene,
):
    it = scene(replicas=1)
    await it.tick(5)
    assert len(it.kube.statuses) == 1
    await it.submit(6)
    await it.tick(5)
    assert len(it.kube.statuses) <= 3


async def test_none_becomes_one_at_the_first_task(scene: OpenScene):
    it = scene(replicas=0, scaleToZeroAfterSeconds=300)
    await it.tick(2)
    assert it.kube.replicas == 0
    await it.submit(1)
    await it.tick()
    assert it.kube.replicas == 1


async def test_a_pool_of_another_installation_is_left_alone(scene: OpenScene):
    it = scene(replicas=1)
    it.kube.pools[0]["spec"]["installation"] = "bakery"
    await it.loop.tick()
    assert it.kube.statuses == []


async def test_a_pool_that_may_be_anothers_is_told_so_once(scene: OpenScene):
    it = scene(replicas=1)
    it.kube.neighbours = {"bakery"}
    for _ in range(2):
        await it.loop.tick()
        it.kube.pools[0]["status"] = it.kube.status
    assert len(it.kube.statuses) == 1
    assert it.kube.condition("ScalingActive")["reason"] == "InstallationAmbiguous"
