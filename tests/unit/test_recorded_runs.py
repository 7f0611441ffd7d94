"""Whether what ran was allowed: what the chaos test and the benchmark of limits judge by."""

import pytest

from asynctestkit.recorded_runs import Bounds, excess
from asynctestkit.recording_upstream import Span
from benchmarks.sections.limit_faults import BREAKER_FAILURES, most_over_recovering

BOUNDS = Bounds(concurrency=3, rate=10, burst=2)


def spans(*times: tuple[float, float]) -> list[Span]:
    return [Span("t", began, ended) for began, ended in times]


def test_what_a_limit_allows_is_no_excess():
    # Two at once, then ten a second, each of 0.1 s.
    starts = [0.0, 0.0, *(0.1 * number for number in range(1, 40))]
    assert list(excess("attempts", spans(*((at, at + 0.1) for at in starts)), BOUNDS)) == []


def test_more_at_once_is_told():
    told = list(excess("attempts", spans((0, 9), (1, 9), (2, 9), (3, 9)), BOUNDS))
    assert told == ["4 attempts ran at once, 3 are allowed"]


def test_more_within_a_window_is_told_of_each_window_that_has_more():
    starts = [0.05 * number for number in range(40)]
    told = list(excess("attempts", spans(*((at, at) for at in starts)), BOUNDS))
    assert told == ["21 attempts began within 1 s, 12 are allowed"]


@pytest.mark.parametrize(
    ("calls", "over"),
    [
        # A probe, then as many as have succeeded and one more.
        ([(0, 1), (1, 2), (1, 2), (2, 3), (2, 3), (2, 3), (2, 3)], 0),
        # Two probes.
        ([(0, 1), (0, 1)], 1),
        # Three at once after one success.
        ([(0, 1), (1, 2), (1, 2), (1, 2)], 1),
    ],
)
def test_a_breaker_that_recovers_bears_one_more_than_have_succeeded(
    calls: list[tuple[float, float]], over: int
):
    assert most_over_recovering(spans(*calls)) == over


def test_a_breaker_that_has_closed_bears_as_many_as_come():
    one_by_one = [(float(number), number + 1.0) for number in range(BREAKER_FAILURES)]
    flood = [(float(BREAKER_FAILURES), BREAKER_FAILURES + 1.0)] * 30
    assert most_over_recovering(spans(*one_by_one, *flood)) == 0
