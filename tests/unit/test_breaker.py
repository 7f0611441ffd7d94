"""When an upstream is left alone, and how it gets its load back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasks.limits.breaker import after_failure, after_success
from asynctasks.limits.limit import Breaker
from asynctasks.limits.limit_state import BreakerKind, BreakerState

BREAKER = Breaker.model_validate({"failures": 3, "withinSeconds": 10, "openSeconds": [5, 60]})
CLOSED = BreakerState()
AT_ONCE = 0.0


def later(state: BreakerState, seconds: float) -> BreakerState:
    """The same after a while."""
    return replace(
        state,
        failing_seconds=state.failing_seconds + seconds,
        open_for_seconds=state.open_for_seconds - seconds,
    )


def failed(state: BreakerState, *times: float, ran_seconds: float = AT_ONCE) -> BreakerState:
    for seconds in times:
        state = after_failure(BREAKER, later(state, seconds), ran_seconds=ran_seconds)
    return state


def opened(*, openings: int = 1, open_for_seconds: float = 5.0) -> BreakerState:
    return BreakerState(
        kind=BreakerKind.OPEN,
        failures=3,
        openings=openings,
        open_for_seconds=open_for_seconds,
    )


def recovering(successes: int = 1) -> BreakerState:
    return BreakerState(kind=BreakerKind.RECOVERING, open_for_seconds=-20, successes=successes)


@pytest.mark.parametrize(
    ("times", "kind", "failures"),
    [
        pytest.param((0,), BreakerKind.CLOSED, 1, id="one is not enough"),
        pytest.param((0, 1, 1), BreakerKind.OPEN, 3, id="so many in a row are"),
        pytest.param((0, 5, 5), BreakerKind.OPEN, 3, id="within the time"),
        pytest.param((0, 5, 6), BreakerKind.CLOSED, 1, id="too slow, it counts from the last"),
        pytest.param((0, 11, 1, 1), BreakerKind.OPEN, 3, id="and then they are enough again"),
    ],
)
def test_failures_in_a_row_open_it_where_they_come_soon_enough(
    times: tuple[float, ...], kind: BreakerKind, failures: int
):
    state = failed(CLOSED, *times)
    assert (state.kind, state.failures) == (kind, failures)


def test_a_success_between_failures_forgets_them():
    state = after_success(BREAKER, failed(CLOSED, 0, 1), ran_seconds=AT_ONCE)
    assert state == CLOSED
    assert failed(state, 0, 1).kind is BreakerKind.CLOSED


def test_it_opens_for_the_shortest_time_first():
    state = failed(CLOSED, 0, 0, 0)
    assert (state.open_for_seconds, state.openings, state.most_at_once) == (5, 1, 0)


def test_each_probe_that_fails_doubles_the_time_up_to_the_longest():
    state, times = failed(CLOSED, 0, 0, 0), list[float]()
    for _ in range(6):
        state = failed(state, state.open_for_seconds)
        times.append(state.open_for_seconds)
    assert times == [10, 20, 40, 60, 60, 60]


@pytest.mark.parametrize(("asked", "open_for"), [(30, 30), (1, 1), (3_600, 60)])
def test_an_upstream_that_asks_for_time_gets_it_at_once_but_not_for_ever(
    asked: float, open_for: float
):
    state = after_failure(BREAKER, CLOSED, ran_seconds=1, asked_seconds=asked)
    assert (state.kind, state.open_for_seconds) == (BreakerKind.OPEN, open_for)


@pytest.mark.parametrize("asked", [None, 0.0])
def test_one_that_asks_for_none_is_counted_like_any_other(asked: float | None):
    state = after_failure(BREAKER, CLOSED, ran_seconds=1, asked_seconds=asked)
    assert (state.kind, state.failures) == (BreakerKind.CLOSED, 1)


def test_a_probe_that_fails_and_asks_for_time_gets_that_time():
    probed = after_failure(
        BREAKER, opened(openings=4, open_for_seconds=0), ran_seconds=AT_ONCE, asked_seconds=7
    )
    assert (probed.open_for_seconds, probed.openings) == (7, 5)


def test_what_began_before_the_probes_is_no_failed_probe_however_late_it_fails():
    state = opened(open_for_seconds=-2)
    assert failed(state, 0, ran_seconds=30) == state
    assert failed(state, 0, ran_seconds=1).openings == 2


def test_nor_does_its_success_close_it():
    state = opened(open_for_seconds=-2)
    assert after_success(BREAKER, state, ran_seconds=30) == state
    assert after_success(BREAKER, opened(), ran_seconds=AT_ONCE) == opened()


def test_but_the_time_that_its_upstream_asks_for_counts():
    def late(state: BreakerState, asked: float) -> float:
        noted = after_failure(BREAKER, state, ran_seconds=100, asked_seconds=asked)
        assert noted.kind is BreakerKind.OPEN
        return noted.open_for_seconds

    assert late(opened(), 40) == 40
    assert late(opened(), 2) == 5
    assert late(recovering(), 40) == 40


def test_it_recovers_by_one_more_at_once_with_each_success_until_there_are_enough():
    state, most = opened(open_for_seconds=0), list[int | None]()
    for _ in range(3):
        state = after_success(BREAKER, later(state, 1), ran_seconds=0.5)
        most.append(state.most_at_once)
    assert most == [2, 3, None]
    assert state == CLOSED


def test_a_failure_while_it_recovers_opens_it_for_the_shortest_time():
    state = failed(recovering(), 0)
    assert (state.kind, state.open_for_seconds, state.openings) == (BreakerKind.OPEN, 5, 1)
    assert failed(recovering(), 0, ran_seconds=30) == recovering()


STEPS = st.lists(
    st.tuples(
        st.floats(0, 100),  # seconds pass
        st.booleans(),  # whether the next attempt succeeds
        st.floats(0, 50),  # how long it ran
        st.none() | st.floats(0, 1_000),  # its Retry-After
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_comes_it_never_rests_longer_than_the_longest_time_and_always_recovers(
    steps: list[tuple[float, bool, float, float | None]],
):
    state = CLOSED
    for seconds, succeeds, ran_seconds, asked in steps:
        before = state = later(state, seconds)
        if succeeds:
            state = after_success(BREAKER, state, ran_seconds=ran_seconds)
            assert _most(state) >= _most(before)
        else:
            state = after_failure(BREAKER, state, ran_seconds=ran_seconds, asked_seconds=asked)
            assert _most(state) <= _most(before)
        assert state.open_for_seconds <= 60
    state = later(state, 60)
    for _ in range(3):
        assert _most(state) >= 1
        state = after_success(BREAKER, state, ran_seconds=AT_ONCE)
    assert state == CLOSED


def _most(state: BreakerState) -> float:
    return float("inf") if state.most_at_once is None else state.most_at_once
