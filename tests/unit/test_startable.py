"""What of a queue's work limits and pauses let run, and what keeps the others back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from asyncoperator.scaling.startable import Startables
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.gates import Gates
from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_state import BreakerKind, BreakerState, LimitState, Standing
from asynctasks.limits.pauses import Pause, Pauses
from asynctasks.operations.operation import Operation
from asynctasks.statements.demand import Demand, OperationDemand
from asynctestkit.inside import by_name, operation

CRM = Limit(name="crm", concurrency=10)
SLOW = Limit.model_validate({"name": "slow", "ratePerSecond": 2})
SINCE = datetime(2030, 1, 1, tzinfo=UTC)


def bounded(name: str, *limits: Limit, queue: str = "clients") -> Operation:
    named = {limit.name: limit for limit in limits}
    return operation(name, queue=queue, limits=list(named)).bounded_by(named)


def demand(**operations: OperationDemand) -> Demand:
    of_all = list(operations.values())
    return Demand(
        queued=sum(one.queued for one in of_all),
        held=sum(one.held for one in of_all),
        running=sum(one.running for one in of_all),
        operations=operations,
    )


async def startables(
    demands: Mapping[str, Demand],
    *operations: Operation,
    pauses: Pauses | None = None,
    breaker: BreakerState | None = None,
) -> Startables:
    declared = {limit.name: limit for each in operations for limit in each.declared_limits}
    states = {
        name: LimitState(limit=limit, declared=limit, breaker=breaker or BreakerState())
        for name, limit in declared.items()
    }

    async def read() -> Standing:
        return Standing(states, pauses or Pauses())

    gates = Gates(read)
    await gates.refresh()
    return Startables(by_name(operations), gates, demands)


def paused(kind: PausedKind, name: str) -> Pauses:
    pause = Pause(kind=kind, name=name, paused_at=SINCE, paused_by="ann")
    return Pauses({(kind, name): pause})


async def test_without_limits_all_that_waits_needs_executors():
    work = demand(free=OperationDemand(held=5, published=6, polls=7, running=8, jobs=9))
    found = (await startables({"clients": work}, bounded("free"))).of("clients", seconds=10)
    assert (found.tasks, found.reason) == (18, None)


async def test_what_no_file_has_any_more_is_left_to_whoever_runs_it():
    work = demand(gone=OperationDemand(held=5, published=6))
    assert (await startables({"clients": work})).of("clients", seconds=10).tasks == 11


@pytest.mark.parametrize(
    ("work", "tasks"),
    [
        ({"held": 100}, 10),
        ({"held": 3}, 3),
        ({"held": 100, "running": 7}, 3),
        ({"held": 100, "published": 4, "running": 6}, 4),
        ({"held": 100, "jobs": 10}, 0),
        ({"held": 100, "polls": 10}, 10),
        ({"held": 100, "running": 15}, 0),
    ],
)
async def test_of_what_is_held_only_what_the_limit_has_room_for(work: Any, tasks: int):
    asked = await startables({"clients": demand(a=OperationDemand(**work))}, bounded("a", CRM))
    assert asked.of("clients", seconds=10).tasks == tasks


async def test_those_who_share_a_limit_share_its_room_in_whatever_queue_they_are():
    work = {
        "clients": demand(a=OperationDemand(held=8, running=1), b=OperationDemand(held=8)),
        "orders": demand(c=OperationDemand(running=4)),
    }
    operations = (bounded("a", CRM), bounded("b", CRM), bounded("c", CRM, queue="orders"))
    found = (await startables(work, *operations)).of("clients", seconds=10)
    assert (found.tasks, found.reason) == (5, "LimitReached")


async def test_a_rate_lets_start_what_comes_to_its_turn_within_the_time():
    asked = await startables({"clients": demand(a=OperationDemand(held=100))}, bounded("a", SLOW))
    assert asked.of("clients", seconds=10).tasks == 20


async def test_the_tightest_of_several_limits_decides():
    work = {"clients": demand(a=OperationDemand(held=100))}
    asked = await startables(work, bounded("a", CRM, SLOW))
    assert asked.of("clients", seconds=2).tasks == 4
    assert asked.of("clients", seconds=20).tasks == 10


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PausedKind.QUEUE, "clients"),
        (PausedKind.OPERATION, "a"),
        (PausedKind.LIMIT, "crm"),
    ],
)
async def test_of_what_is_paused_only_the_jobs_of_upstreams_are_asked_for(
    kind: PausedKind, name: str
):
    work = {"clients": demand(a=OperationDemand(held=5, published=6, polls=7))}
    asked = await startables(work, bounded("a", CRM), pauses=paused(kind, name))
    found = asked.of("clients", seconds=10)
    assert (found.tasks, found.reason) == (7, "Paused")
    assert found.detail == f"{kind} {name} is paused since 2030-01-01T00:00:00Z"


async def test_a_queue_is_told_to_be_paused_though_nothing_waits_in_it():
    pauses = paused(PausedKind.QUEUE, "clients")
    asked = await startables({"clients": demand()}, bounded("a"), pauses=pauses)
    assert asked.of("clients", seconds=10).reason == "Paused"


@pytest.mark.parametrize(
    ("breaker", "tasks", "reason"),
    [
        (BreakerState(kind=BreakerKind.OPEN, open_for_seconds=60), 0, "UpstreamDown"),
        (BreakerState(kind=BreakerKind.OPEN, open_for_seconds=-1), 1, "LimitReached"),
        (BreakerState(kind=BreakerKind.RECOVERING, successes=3), 4, "LimitReached"),
    ],
)
async def test_for_an_upstream_that_is_down_nobody_is_needed_but_for_its_probes(
    breaker: BreakerState, tasks: int, reason: str
):
    work = {"clients": demand(a=OperationDemand(held=50), free=OperationDemand(held=2))}
    operations = bounded("a", CRM), bounded("free")
    found = (await startables(work, *operations, breaker=breaker)).of("clients", seconds=10)
    assert (found.tasks, found.reason) == (tasks + 2, reason)
