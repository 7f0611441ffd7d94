"""Which executors drain, come back, or may go."""

from hypothesis import given
from hypothesis import strategies as st

from asyncoperator.scaling.removal import Moves, is_fresh, plan
from asynctasks.statements.roster import Executor


def executor(
    name: str,
    *,
    idle_seconds: float | None = 5.0,
    consuming: bool = True,
    draining: bool = False,
    age_seconds: float = 0.5,
) -> Executor:
    return Executor(
        name=name,
        queue="clients",
        pod=name,
        concurrency=2,
        running=0 if idle_seconds is not None else 1,
        consuming=consuming,
        draining=draining,
        idle_seconds=idle_seconds,
        age_seconds=age_seconds,
    )


def drained(name: str) -> Executor:
    return executor(name, draining=True, consuming=False)


def test_the_longest_idle_are_told_to_drain():
    roster = [executor("a", idle_seconds=3), executor("b", idle_seconds=9), executor("c")]
    assert plan(roster, replicas=3, desired=1) == Moves(drain=("b", "c"))


def test_busy_ones_are_not():
    roster = [executor("a", idle_seconds=None), executor("b", idle_seconds=None), executor("c")]
    assert plan(roster, replicas=3, desired=1) == Moves(drain=("c",))


def test_those_unseen_for_long_are_not():
    roster = [executor("a", age_seconds=60, idle_seconds=90), executor("b"), executor("c")]
    assert plan(roster, replicas=3, desired=1) == Moves(drain=("b",))


def test_pods_that_do_not_consume_stand_in_for_none_that_does():
    """Pods that start, hang or fail are counted as replicas, and none of them does any work."""
    assert plan([executor("a")], replicas=3, desired=1) == Moves()
    assert plan([executor("a"), executor("b")], replicas=3, desired=1) == Moves(drain=("a",))


def test_those_that_do_not_consume_drain_first():
    roster = [executor("a", idle_seconds=9), executor("b", idle_seconds=1, consuming=False)]
    assert plan(roster, replicas=2, desired=1) == Moves(drain=("b",))


def test_those_that_have_drained_may_go():
    roster = [drained("a"), executor("b")]
    assert plan(roster, replicas=2, desired=1) == Moves(remove=("a",))


def test_those_that_still_drain_stay_and_no_other_is_told_to():
    roster = [executor("a", draining=True, idle_seconds=None), executor("b")]
    assert plan(roster, replicas=2, desired=1) == Moves()


def test_when_they_are_needed_again_they_come_back_the_busy_first():
    roster = [drained("a"), executor("b", draining=True, idle_seconds=None), drained("c")]
    assert plan(roster, replicas=4, desired=2) == Moves(undrain=("b",), remove=("a", "c"))
    assert plan(roster, replicas=4, desired=9) == Moves(undrain=("a", "b", "c"))


executors = st.lists(
    st.builds(
        executor,
        st.text("abcdef", min_size=1),
        idle_seconds=st.none() | st.floats(0, 1_000),
        consuming=st.booleans(),
        draining=st.booleans(),
        age_seconds=st.floats(0, 60),
    ),
    max_size=8,
    unique_by=lambda one: one.name,
)


@given(executors, st.integers(0, 12), st.integers(0, 12))
def test_nothing_that_runs_or_may_soon_is_removed_and_enough_are_left(
    roster: list[Executor], replicas: int, desired: int
):
    by_name = {one.name: one for one in roster}
    moves = plan(roster, replicas=replicas, desired=desired)
    assert all(by_name[name].has_drained for name in moves.remove)
    assert all(by_name[name].running == 0 for name in moves.drain)
    assert not set(moves.remove) & set(moves.undrain)
    consuming = {one.name for one in roster if one.consuming and not one.draining and is_fresh(one)}
    if consuming & set(moves.drain):
        assert len(consuming - set(moves.drain)) >= desired
    if moves.remove or moves.drain:
        assert replicas - len(moves.remove) - len(moves.drain) >= min(desired, replicas)
