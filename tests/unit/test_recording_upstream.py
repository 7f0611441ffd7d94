"""How what an upstream has noted is counted."""

import pytest

from asynctestkit.recording_upstream import Span, most_at_once, most_begun_within

CALLS = [Span("a", 0.0, 2.0), Span("b", 1.0, 3.0), Span("c", 2.0, 9.0), Span("d", 6.0)]


def test_the_most_at_once_are_those_that_overlap():
    assert most_at_once(CALLS) == 2
    assert most_at_once([*CALLS, Span("e", 2.5, 2.6)]) == 3
    assert most_at_once([]) == 0


@pytest.mark.parametrize(("seconds", "most"), [(0.5, 1), (1, 2), (2, 3), (100, 4)])
def test_of_each_so_many_seconds_those_with_the_most_beginnings_are_told(seconds: float, most: int):
    assert most_begun_within(CALLS, seconds) == most
