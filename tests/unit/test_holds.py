"""Which tasks are shown as held, and how long nothing of an operation starts."""

from datetime import timedelta
from typing import Any

import pytest

from asyncproxy.holds import Holds
from asyncproxy.task_view import task_json
from asynctasks.instants import utc_now
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.gates import Gates
from asynctasks.limits.hold import Hold
from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_state import BreakerKind, BreakerState, LimitState, Standing
from asynctasks.limits.pauses import Pauses
from asynctasks.task import Task, TaskStatus, new_task_id
from asynctestkit.inside import by_name, operation

CRM, OCR = (Limit(name=name, concurrency=2) for name in ("crm", "ocr"))
OPERATIONS = by_name([operation("create", limits=["crm", "ocr"]), operation("free")])
FULL = Hold(PausedKind.LIMIT, "crm", "limit crm: 2 of 2 run")


async def holds(*, running: int = 2, **breakers: BreakerState) -> Holds:
    states = {
        limit.name: LimitState(
            limit=limit, declared=limit, breaker=breakers.get(limit.name, BreakerState())
        )
        for limit in (CRM, OCR)
    }
    standing = Standing(states, Pauses(), running={"crm": {"": running}})

    async def read() -> Standing:
        return standing

    gates = Gates(read, clock=lambda: 0.0)
    await gates.refresh()
    return Holds(gates, OPERATIONS)


def task(**values: Any) -> Task:
    return Task.of_row(
        {
            "id": new_task_id(),
            "operation": "create",
            "queue": "clients",
            "arguments": {},
            "max_attempts": 1,
            "created_at": utc_now(),
            "fair_key": "",
            "published": False,
            "next_publish_at": utc_now() - timedelta(seconds=1),
            **values,
        }
    )


async def test_a_held_task_says_what_it_waits_for():
    shown = task_json(task(), hold_of=(await holds()).of)
    assert shown["heldBy"] == {"kind": "limit", "name": "crm"}
    assert shown["message"] == "limit crm: 2 of 2 run"


@pytest.mark.parametrize(
    "values",
    [
        {"published": True},
        {"upstream_job": {"url": "http://u/1"}},
        {"next_publish_at": utc_now() + timedelta(days=1)},
        {"next_publish_at": None},
        {"status": TaskStatus.RUNNING},
        {"status": TaskStatus.CANCELLED},
        {"operation": "free"},
        {"operation": "gone"},
    ],
)
async def test_a_task_that_is_not_held_says_nothing_of_limits(values: dict[str, Any]):
    shown = task_json(task(message="client 4", **values), hold_of=(await holds()).of)
    assert (shown["heldBy"], shown["message"]) == (None, "client 4")


async def test_a_task_that_there_is_room_for_is_not_shown_as_held():
    assert (await holds(running=1)).of(task()) is None
    assert (await holds(running=2)).of(task()) == FULL


async def test_nothing_starts_as_long_as_the_longest_of_its_limits_rests():
    resting = await holds(
        crm=BreakerState(kind=BreakerKind.OPEN, open_for_seconds=4.5),
        ocr=BreakerState(kind=BreakerKind.OPEN, open_for_seconds=30),
    )
    assert resting.rest_seconds("create") == 30
    assert resting.rest_seconds("free") == resting.rest_seconds("gone") == 0
    assert (await holds()).rest_seconds("create") == 0
