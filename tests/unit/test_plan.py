"""Which held tasks may start: the room under each bound, and the order."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import pytest

from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_state import BreakerKind, BreakerState, LimitState
from asynctasks.limits.plan import Plan, plan
from asynctasks.limits.rooms import Group, HeldTask, InHand, KeyState, Rooms, Situation, room_of

LIMITS_OF = {"create": ("crm",), "export": ("crm", "exports"), "free": ()}


def state(name: str = "crm", turn: float = 0.0, **given: Any) -> LimitState:
    limit = Limit.model_validate({"name": name, **given.pop("limit", {})})
    return LimitState(limit=limit, declared=limit, turn=turn, **given)


def situation(*states: LimitState, **given: Any) -> Situation:
    known = {each.limit.name: each for each in (state(), state("exports"), *states)}
    defaults: dict[str, Any] = {"in_hand": {}, "queue_rooms": {"clients": 1_000}}
    return Situation(limits_of=LIMITS_OF, states=known, **(defaults | given))


def group(
    operation: str = "create",
    *numbers: int,
    key: str = "",
    priority: int = 5,
    waited: float = 0.0,
    is_cut: bool = False,
) -> Group:
    """Tasks with these numbers, the first of which has waited so long, each next a second less."""
    tasks = [HeldTask(UUID(int=one), waited - place) for place, one in enumerate(numbers)]
    return Group(
        queue="clients",
        operation=operation,
        priority=priority,
        fair_key=key,
        tasks=tasks,
        is_cut=is_cut,
    )


def released(made: Plan) -> list[int]:
    return [one.int for one in made.tasks]


@pytest.mark.parametrize(
    ("given", "in_hand", "left"),
    [
        ({}, InHand(1_000, 1_000), math.inf),
        ({"limit": {"concurrency": 10}}, InHand(4, 3), 3),
        ({"limit": {"concurrency": 10}}, InHand(9, 3), -2),
        ({"limit": {"ratePerSecond": 2, "burst": 5}}, InHand(100, 0), 5),
        ({"limit": {"ratePerSecond": 2, "burst": 5}}, InHand(0, 4), 1),
        ({"limit": {"ratePerSecond": 2, "burst": 5}, "allowed_in_seconds": 1.1}, InHand(), 2),
        ({"limit": {"ratePerSecond": 2, "burst": 5}, "allowed_in_seconds": 1.1}, InHand(0, 2), 0),
        ({"limit": {"ratePerSecond": 2, "burst": 5}, "allowed_in_seconds": -60.0}, InHand(), 5),
        # As long as a whole burst takes, however long another rate has made it.
        ({"limit": {"ratePerSecond": 2, "burst": 5}, "allowed_in_seconds": 1e9}, InHand(0, 0), 0),
        ({"limit": {"ratePerSecond": 0.1}}, InHand(), 1),
        ({"limit": {"concurrency": 2, "ratePerSecond": 9, "burst": 9}}, InHand(1, 0), 1),
        ({"limit": {"concurrency": 10}, "paused": True}, InHand(), 0),
    ],
)
def test_the_room_under_a_limit(given: dict[str, Any], in_hand: InHand, left: float):
    assert room_of(state(**given), in_hand).left == left


@pytest.mark.parametrize(
    ("breaker", "in_hand", "left"),
    [
        (BreakerState(kind=BreakerKind.CLOSED), 3, 7),
        (BreakerState(kind=BreakerKind.OPEN, open_for_seconds=3), 0, 0),
        (BreakerState(kind=BreakerKind.OPEN, open_for_seconds=0), 0, 1),
        (BreakerState(kind=BreakerKind.OPEN, open_for_seconds=-9), 1, 0),
        (BreakerState(kind=BreakerKind.RECOVERING, successes=3), 2, 2),
        (BreakerState(kind=BreakerKind.RECOVERING, successes=30), 3, 7),
    ],
)
def test_an_open_breaker_leaves_room_for_a_probe_alone(
    breaker: BreakerState, in_hand: int, left: int
):
    bounded = state(limit={"concurrency": 10, "breaker": {}}, breaker=breaker)
    assert room_of(bounded, InHand(in_hand)).left == left


def test_what_shares_a_limit_is_counted_together_and_what_has_two_keeps_both():
    of = situation(
        state(limit={"concurrency": 10}),
        state("exports", limit={"concurrency": 2}),
        in_hand={
            ("create", "a"): InHand(3, 1),
            ("create", ""): InHand(2),
            ("export", ""): InHand(1),
        },
    )
    groups = [group("create", *range(1, 9), waited=50), group("export", *range(11, 19))]
    assert [Rooms(of).left_for(each) for each in groups] == [3, 1]
    made = plan(of, groups)
    assert released(made) == [1, 2, 3]
    assert made.waits


def test_each_key_has_its_own_bounds_and_its_own_rate():
    of = situation(
        state(
            limit={"fairBy": "tenant", "perKey": {"concurrency": 3, "ratePerSecond": 1, "burst": 2}}
        ),
        in_hand={("create", "a"): InHand(2), ("export", "a"): InHand(0, 1)},
        keys={("crm", "c"): KeyState(allowed_in_seconds=0.5)},
    )
    made = plan(
        of, [group("create", n, n + 1, n + 2, key=key) for n, key in ((1, "a"), (4, "b"), (7, "c"))]
    )
    assert sorted(released(made)) == [4, 5, 7]


@pytest.mark.parametrize(("room", "count"), [(0, 0), (2, 2), (9, 3)])
def test_a_queue_takes_no_more_messages_than_its_window_has_room_for(room: int, count: int):
    made = plan(situation(queue_rooms={"clients": room}), [group("free", 1, 2, 3)])
    assert len(made.tasks) == count
    assert made.waits is (count < 3)


def test_the_highest_priority_goes_first_and_then_the_oldest():
    groups = [
        group("create", 1, 2, priority=5, waited=20),
        group("create", 3, priority=9, waited=1),
        group("create", 4, priority=0, waited=30),
        group("free", 5, priority=5, waited=19.5),
    ]
    assert released(plan(situation(), groups)) == [3, 1, 5, 2, 4]


def test_a_priority_grows_with_the_wait_of_its_longest_waiting_task_until_none_is_higher():
    def first(waited: float) -> int:
        groups = [group("create", 1, priority=3, waited=waited), group("create", 2, priority=9)]
        return released(plan(situation(), groups))[0]

    assert [first(waited) for waited in (0, 359, 361, 10_000)] == [2, 2, 1, 1]
    # Of what has no room nothing starts, so that nothing is made to wait for it.
    of = situation(state("exports", limit={"concurrency": 1}), in_hand={("export", ""): InHand(1)})
    paused = group("export", 3, priority=3, waited=10_000)
    groups = [paused, group("create", 1, priority=3, waited=9), group("create", 2, priority=9)]
    assert released(plan(of, groups)) == [2, 1]


def test_a_flood_that_has_waited_for_long_goes_not_before_who_comes_now():
    of = situation(state(limit={"concurrency": 2, "fairBy": "tenant"}))
    groups = [
        group("create", *range(1, 9), key="flood", waited=3_600),
        group("create", 100, key="lone"),
    ]
    assert sorted(released(plan(of, groups))) == [1, 100]


def test_who_is_ahead_of_the_others_waits_until_the_limit_has_come_so_far():
    limit = {"concurrency": 1, "fairBy": "tenant"}
    groups = [group("create", 1, key="a", waited=9), group("create", 2, key="b")]
    ahead = {("crm", "a"): KeyState(turn=7.0)}
    assert released(plan(situation(state(limit=limit, turn=6.5), keys=ahead), groups)) == [2]
    assert released(plan(situation(state(limit=limit, turn=7.0), keys=ahead), groups)) == [1]


def test_turns_are_kept_only_as_long_as_others_wait():
    of = situation(
        state(limit={"concurrency": 2, "fairBy": "tenant", "weights": {"a": 4}}, turn=3.0)
    )
    two, three = group("create", 1, 2, key="a"), group("create", 1, 2, 3, key="a")
    assert (plan(of, [two]).turns, plan(of, [two]).key_turns) == ({}, {})
    made = plan(of, [three])
    assert (made.turns, made.key_turns) == ({"crm": 3.25}, {("crm", "a"): 3.5})


def test_what_was_not_read_is_asked_for_again_where_there_is_room():
    assert plan(situation(), [group("free", 1, 2, is_cut=True)]).has_more
    full = situation(queue_rooms={"clients": 2})
    made = plan(full, [group("free", 1, 2, is_cut=True)])
    assert (made.waits, made.has_more) == (True, False)


@pytest.mark.parametrize(
    ("limit", "in_hand", "allowed_in_seconds", "expected"),
    [
        ({"ratePerSecond": 4}, InHand(), 0.1, 0.1),
        ({"ratePerSecond": 4}, InHand(), 0.0, 0.25),
        ({"ratePerSecond": 4, "burst": 2}, InHand(0, 1), 0.0, 0.25),
        ({"ratePerSecond": 4, "burst": 2}, InHand(0, 0), 0.35, 0.1),
        ({"ratePerSecond": 4, "burst": 2}, InHand(0, 0), 1e9, 0.25),
        ({"ratePerSecond": 4, "concurrency": 1}, InHand(1), 0.1, math.inf),
        ({"concurrency": 1}, InHand(1), 0.0, math.inf),
    ],
)
def test_when_more_may_start_by_the_rate(
    limit: dict[str, Any], in_hand: InHand, allowed_in_seconds: float, expected: float
):
    of = situation(
        state(limit=limit, allowed_in_seconds=allowed_in_seconds), in_hand={("create", ""): in_hand}
    )
    assert plan(of, [group("create", 1, 2, 3)]).more_in_seconds == pytest.approx(expected)


def shares(weights: Mapping[str, float], *, starts: int) -> Counter[str]:
    """How often each key starts one at a time, all of them having work throughout."""
    turn, keys, counted = 0.0, dict[tuple[str, str], KeyState](), Counter[str]()
    for _ in range(starts):
        limit = {"concurrency": 1, "fairBy": "tenant", "weights": weights}
        of = situation(state(limit=limit, turn=turn), keys=keys)
        made = plan(
            of, [group("create", place, key=key, is_cut=True) for place, key in enumerate(weights)]
        )
        assert len(made.tasks) == 1
        turn = made.turns["crm"]
        keys |= {key: KeyState(one) for key, one in made.key_turns.items()}
        keys = {key: one for key, one in keys.items() if one.turn > turn}  # as the relay forgets
        counted[list(weights)[made.tasks[0].int]] += 1
    return counted


@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 1}, {"a": 3, "b": 1}, {"a": 1, "b": 1, "c": 8}, {"a": 0.5, "b": 2}]
)
def test_who_shares_a_limit_gets_as_much_as_its_weight_says(weights: dict[str, float]):
    counted = shares(weights, starts=400)
    for key, weight in weights.items():
        assert counted[key] == pytest.approx(400 * weight / sum(weights.values()), rel=0.05)


def test_who_comes_late_gets_its_share_from_then_on_and_no_more():
    turn, keys, order = 0.0, dict[tuple[str, str], KeyState](), list[str]()

    def start(names: Iterable[str]) -> None:
        nonlocal turn, keys
        of = situation(state(limit={"concurrency": 1, "fairBy": "tenant"}, turn=turn), keys=keys)
        listed = list(names)
        made = plan(of, [group("create", n, key=key, is_cut=True) for n, key in enumerate(listed)])
        turn = made.turns["crm"]
        keys |= {key: KeyState(one) for key, one in made.key_turns.items()}
        order.append(listed[made.tasks[0].int])

    for _ in range(50):
        start(["a"])
    for _ in range(20):
        start(["a", "b"])
    assert Counter(order[50:]) == {"a": 10, "b": 10}
    assert "bb" not in "".join(order[52:])
