"""Which waiting tasks nobody will run as things stand."""

from typing import Any

import pytest

from asyncproxy.metrics import STRANDED_TASKS
from asyncproxy.stranded import Reason, StrandedQueue, StrandedQueues, stranded
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.operation import Operation
from asynctasks.statements.upkeep import Backlog

OPERATIONS = {
    "create": Operation(name="create", route="POST /create", handler="a:b", queue="clients"),
    "report": Operation(name="report", route="POST /report", handler="a:b", queue="reports"),
}


CASES: list[tuple[dict[str, dict[str, int]], set[str], list[tuple[str, Reason, int]]]] = [
    ({}, set(), []),
    ({"clients": {"create": 3}}, {"clients"}, []),
    ({"clients": {"create": 3}}, {"reports"}, [("clients", Reason.NO_EXECUTORS, 3)]),
    ({"clients": {"create": 3, "gone": 2}}, {"clients"}, [("clients", Reason.NO_OPERATION, 2)]),
    (
        {"clients": {"create": 3, "gone": 2}},
        set(),
        [("clients", Reason.NO_EXECUTORS, 3), ("clients", Reason.NO_OPERATION, 2)],
    ),
    ({"clients": {"report": 4}}, {"clients"}, [("clients", Reason.NO_OPERATION, 4)]),
    (
        {"old": {"create": 1}, "clients": {"create": 1}},
        {"clients"},
        [("old", Reason.NO_OPERATION, 1)],
    ),
]


@pytest.mark.parametrize(
    ("consumed", "found"),
    [
        ({"clients"}, [(Reason.NO_OPERATION, 2), (Reason.PUT_BACK, 1)]),
        (set[str](), [(Reason.NO_EXECUTORS, 3), (Reason.NO_OPERATION, 2)]),
    ],
)
def test_tasks_that_executors_of_their_queue_have_put_back_are_stranded(
    consumed: set[str], found: list[tuple[Reason, int]]
):
    backlog = Backlog({"create": 3, "gone": 2}, 0, put_back={"create": 1, "gone": 2})
    expected = [StrandedQueue("clients", *each) for each in found]
    assert stranded({"clients": backlog}, operations=OPERATIONS, consumed=consumed) == expected


@pytest.mark.parametrize(("queued", "consumed", "found"), CASES)
def test_tasks_without_an_operation_or_executors_on_their_queue_are_stranded(
    queued: dict[str, dict[str, int]], consumed: set[str], found: list[tuple[str, Reason, int]]
):
    expected = [StrandedQueue(*each) for each in found]
    waiting = {queue: Backlog(tasks, 0) for queue, tasks in queued.items()}
    assert stranded(waiting, operations=OPERATIONS, consumed=consumed) == expected


class Roster:
    def __init__(self) -> None:
        self.asked = 0

    async def consumers(self, seen_seconds: float) -> dict[str, int]:
        self.asked += 1
        return {}


async def test_what_is_stranded_is_counted_until_it_is_no_longer_and_idle_queues_ask_nobody():
    roster: Any = Roster()
    queues = StrandedQueues(roster, LiveOperations(OPERATIONS))

    def counted() -> dict[tuple[str, ...], float]:
        (family,) = STRANDED_TASKS.collect()
        return {tuple(each.labels.values()): each.value for each in family.samples}

    await queues.look({"clients": Backlog({"create": 5}, 0)})
    assert counted() == {("clients", "no-executors"): 5}
    assert queues.found == [StrandedQueue("clients", Reason.NO_EXECUTORS, 5)]
    await queues.look({"clients": Backlog({}, 7)})
    assert (counted(), queues.found, roster.asked) == ({}, [], 1)
