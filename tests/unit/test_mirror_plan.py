"""What is written so that the objects show the tasks."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncoperator.mirror.asynctask import ObservedTask
from asyncoperator.mirror.object_cache import ObjectCache
from asyncoperator.mirror.plan import (
    CREATE_COST,
    Create,
    Delete,
    Limits,
    Plan,
    Pressure,
    Show,
    plan,
    pressure_after,
)
from asynctasks.statements.mirroring import MirroredTask
from asynctasks.task import TaskStatus
from asynctestkit.mirrored import NOW, row, seen, task_id

LIVE = [TaskStatus.QUEUED, TaskStatus.RUNNING]
FINAL = [status for status in TaskStatus if status.is_final]
LIMITS = Limits(history_limit=4, object_limit=8)


def cache(*objects: ObservedTask) -> ObjectCache:
    made = ObjectCache()
    for one in objects:
        made.see(one)
    return made


def planned(rows: list[MirroredTask], objects: ObjectCache, **values: Any) -> Plan:
    given: dict[str, Any] = {"now": NOW, "budget": 100, "limits": Limits()}
    return plan(rows, objects, **given | values)


def test_a_slow_task_gets_an_object():
    assert planned([row()], cache()) == Plan([Create(row())])


def test_a_task_that_changed_is_shown_in_its_object():
    one = seen(version=1)
    assert planned([row()], cache(one)) == Plan([Show(row(), one)])


def test_what_is_shown_is_only_marked():
    assert planned([row()], cache(seen())) == Plan([], {task_id(0): 2})


def test_a_failure_gets_an_object_and_a_success_that_had_none_does_not():
    failed, succeeded = row(0, status=TaskStatus.FAILED), row(1, status=TaskStatus.SUCCEEDED)
    assert planned([failed, succeeded], cache()) == Plan([Create(failed)], {task_id(1): 2})


def test_a_task_that_was_cancelled_by_deleting_its_object_gets_no_other():
    cancelled = row(status=TaskStatus.CANCELLED, mirrored_version=1)
    assert planned([cancelled], cache()) == Plan([], {cancelled.id: 2})


@pytest.mark.parametrize("status", LIVE)
def test_nor_does_it_before_the_cancel_has_ended_it(status: TaskStatus):
    ending = row(status=status, mirrored_version=1, cancel_requested=True)
    assert planned([ending], cache()) == Plan([], {ending.id: 2})
    assert planned([ending], cache(seen(version=1))).writes
    never_shown = replace(ending, mirrored_version=0)
    assert planned([never_shown], cache()) == Plan([Create(never_shown)])


def test_a_failure_of_long_ago_is_only_marked():
    old = row(status=TaskStatus.FAILED, finished_at=NOW - timedelta(days=2))
    assert planned([old], cache()) == Plan([], {old.id: 2})


def test_a_failure_that_the_history_would_drop_at_once_is_only_marked():
    history = cache(*(seen(n, task_status=TaskStatus.FAILED) for n in range(4)))
    old = row(9, status=TaskStatus.FAILED, finished_at=NOW - timedelta(hours=1))
    assert planned([old], history, limits=LIMITS) == Plan([], {old.id: 2})


def test_a_persons_task_whose_object_is_gone_gets_none():
    asked = row(asynctask="default/mine/uid-9", mirrored_version=1)
    assert planned([asked], cache()) == Plan([], {asked.id: 2})


def test_a_persons_task_is_shown_in_the_object_that_asked_for_it():
    mine = seen(9, name="mine", is_ours=False, task_id=None, task_status=None, version=0)
    asked = row(asynctask=f"default/mine/{mine.uid}")
    assert planned([asked], cache(mine)) == Plan([Show(asked, mine)])
    other = replace(mine, uid="another", created_at=NOW)
    assert planned([asked], cache(other)).writes == []


def test_objects_go_when_their_time_is_over():
    ended = NOW - timedelta(hours=2)
    succeeded = seen(0, task_status=TaskStatus.SUCCEEDED, finished_at=ended)
    failed = seen(1, task_status=TaskStatus.FAILED, finished_at=ended)
    asked = seen(2, task_status=TaskStatus.FAILED, finished_at=ended, ttl_seconds=60)
    kept = seen(3, task_status=TaskStatus.SUCCEEDED, finished_at=ended, ttl_seconds=86_400)
    writes = planned([], cache(succeeded, failed, asked, kept)).writes
    assert writes == [Delete(succeeded, "ttl"), Delete(asked, "ttl")]


def test_the_object_of_a_task_that_was_retried_does_not_go():
    old = seen(task_status=TaskStatus.FAILED, finished_at=NOW - timedelta(days=2))
    again = row(status=TaskStatus.QUEUED, version=3, mirrored_version=2)
    assert planned([again], cache(old)).writes == [Show(again, old)]


def test_a_persons_object_goes_only_where_it_says_so():
    ended = NOW - timedelta(days=30)
    mine = seen(is_ours=False, name="mine", task_status=TaskStatus.SUCCEEDED, finished_at=ended)
    assert planned([], cache(mine)).writes == []
    brief = replace(mine, ttl_seconds=0)
    assert planned([], cache(brief)).writes == [Delete(brief, "ttl")]


def test_a_refused_object_goes_after_its_own_time():
    refused = seen(is_ours=False, task_id=None, task_status=None, is_refused=True, ttl_seconds=10)
    assert planned([], cache(refused)).writes == [Delete(refused, "ttl")]


def test_beyond_the_history_the_oldest_go():
    history = [
        seen(n, task_status=TaskStatus.FAILED, finished_at=NOW - timedelta(seconds=n))
        for n in range(6)
    ]
    writes = planned([], cache(*history), limits=LIMITS).writes
    assert writes == [Delete(history[5], "history"), Delete(history[4], "history")]


def test_at_the_cap_a_finished_one_makes_room_and_where_all_live_none_is_made():
    running = [seen(n) for n in range(7)]
    finished = seen(7, task_status=TaskStatus.FAILED)
    new = row(20)
    full = planned([new], cache(*running, finished), limits=LIMITS)
    assert full.writes == [Delete(finished, "limit"), Create(new)]
    stuck = planned([new], cache(*running, seen(8)), limits=LIMITS)
    assert (stuck.writes, stuck.is_full) == ([], True)


def test_with_a_short_budget_endings_go_first_and_new_slow_tasks_last():
    ended = seen(0)
    old = seen(1, task_status=TaskStatus.FAILED, finished_at=NOW - timedelta(days=2))
    changed = seen(2, version=1)
    rows = [
        row(4),
        row(3, status=TaskStatus.FAILED),
        row(2),
        row(0, status=TaskStatus.SUCCEEDED, version=3),
    ]
    objects = cache(ended, old, changed)
    kinds = [Show(rows[3], ended), Delete(old, "ttl"), Show(rows[2], changed), Create(rows[1])]
    assert planned(rows, objects).writes == [*kinds, Create(rows[0])]
    short = planned(rows, objects, budget=5)
    assert (short.writes, short.is_short) == (kinds, True)
    assert planned(rows, objects, budget=4).writes == kinds[:3]


def test_degraded_only_failures_are_new():
    rows = [row(0), row(1, status=TaskStatus.FAILED), row(2, mirrored_version=1)]
    assert planned(rows, cache(), is_degraded=True).writes == [Create(rows[1]), Create(rows[2])]


def test_pressure_doubles_the_minimum_age_and_its_end_halves_it():
    pressure = Pressure(3)
    ages: list[float] = []
    for _ in range(9):
        pressure = pressure_after(pressure, stale=501, behind_seconds=0, min_age_seconds=3)
        ages.append(pressure.min_age_seconds)
    assert ages == [6, 12, 24, 48, 96, 192, 300, 300, 300]
    assert pressure.is_degraded
    pressure = pressure_after(pressure, stale=500, behind_seconds=60, min_age_seconds=3)
    assert pressure == Pressure(150)
    assert pressure_after(Pressure(3), stale=0, behind_seconds=61, min_age_seconds=3).is_degraded


class World:
    """Rows and objects, to which plans are applied as the loop and the API server would."""

    def __init__(self, rows: list[MirroredTask]) -> None:
        self.rows = {one.id: one for one in rows}
        self.objects = ObjectCache()

    def stale(self) -> list[MirroredTask]:
        return [
            one
            for one in self.rows.values()
            if (one.mirrored_version < one.version and one.mirrored_version > 0)
            or (one.mirrored_version == 0 and one.status is not TaskStatus.SUCCEEDED)
        ]

    def apply(self, made: Plan) -> None:
        shown = dict(made.settled)
        for write in made.writes:
            if isinstance(write, Delete):
                assert write.seen.is_final
                self.objects.forget(write.seen)
                continue
            number = write.row.id.int
            name = f"t-{write.row.id}"
            self.objects.see(
                replace(
                    seen(),
                    name=name,
                    uid=f"uid-{number}",
                    task_id=write.row.id,
                    task_status=write.row.status,
                    version=write.row.version,
                    finished_at=write.row.finished_at,
                )
            )
            shown[write.row.id] = write.row.version
        for one, version in shown.items():
            known = self.rows[one]
            self.rows[one] = replace(known, mirrored_version=max(known.mirrored_version, version))


def any_values(status: TaskStatus, age: int, mirrored: int, version: int) -> dict[str, Any]:
    return {
        "status": status,
        "finished_at": NOW - timedelta(seconds=age) if status.is_final else None,
        "mirrored_version": min(mirrored, version),
        "version": version,
    }


rows_of_any_kind = st.lists(
    st.builds(
        any_values,
        st.sampled_from(list(TaskStatus)),
        st.integers(0, 200_000),
        st.integers(0, 3),
        st.integers(1, 3),
    ),
    max_size=14,
).map(lambda values: [row(n, **one) for n, one in enumerate(values)])


@given(rows_of_any_kind, st.integers(2, 30), st.booleans())
def test_plans_come_to_an_end_within_budget_and_caps_and_no_live_task_leaves_the_view(
    rows: list[MirroredTask], budget: int, is_degraded: bool
):
    world = World(rows)
    for _ in range(60):
        before = {one.task_id for one in world.objects if not one.is_final}
        made = planned(
            world.stale(), world.objects, budget=budget, limits=LIMITS, is_degraded=is_degraded
        )
        cost = sum(CREATE_COST if isinstance(one, Create) else 1 for one in made.writes)
        assert cost <= budget
        world.apply(made)
        assert before <= {one.task_id for one in world.objects}
        assert len(world.objects) <= LIMITS.object_limit
        if not made.writes and not made.settled:
            break
    again = planned(
        world.stale(), world.objects, budget=budget, limits=LIMITS, is_degraded=is_degraded
    )
    assert (again.writes, again.settled, again.is_short) == ([], {}, False)
    finished = [one for one in world.objects if one.is_final]
    assert len(finished) <= LIMITS.history_limit
    for one in world.objects:
        assert one.task_id is not None
        assert one.version == world.rows[one.task_id].version
