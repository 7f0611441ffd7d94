"""How often a caller may do something."""

import math

from hypothesis import given
from hypothesis import strategies as st

from asyncproxy.access.rates import MOST_KEYS, Rates, Taken


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_at_once_then_the_rate():
    clock = Clock()
    rates: Rates[str] = Rates(clock)

    def take() -> Taken:
        return rates.take("ann", rate_per_second=2, burst=3)

    assert [take().remaining for _ in range(3)] == [2, 1, 0]
    refused = take()
    assert (refused.remaining, refused.wait_seconds) == (0, 0.5)
    assert refused.full_after_seconds == 1.5
    clock.now += 0.5
    assert take() == Taken(0, 0.0, 1.5)
    assert take().wait_seconds == 0.5
    # A caller that has waited for long has its burst again, and no more than that.
    clock.now += 1_000
    assert [take().wait_seconds for _ in range(4)] == [0, 0, 0, 0.5]
    assert rates.take("bob", rate_per_second=2, burst=3).remaining == 2


@given(
    rate=st.floats(0.1, 1_000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=100),
)
def test_in_no_time_more_is_taken_than_the_burst_and_what_the_rate_gives(
    rate: float, burst: int, pauses: list[float]
):
    clock = Clock()
    rates: Rates[str] = Rates(clock)
    taken_at: list[float] = []
    for pause in pauses:
        clock.now += pause / rate
        if not rates.take("ann", rate_per_second=rate, burst=burst).wait_seconds:
            taken_at.append(clock.now)
    for first, begin in enumerate(taken_at):
        for count, end in enumerate(taken_at[first:], start=1):
            assert count <= burst + math.ceil((end - begin) * rate + 1e-3)


def test_who_has_its_burst_again_is_forgotten_when_there_are_many():
    clock = Clock()
    rates: Rates[int] = Rates(clock)
    for caller in range(MOST_KEYS):
        rates.take(caller, rate_per_second=1, burst=5)
    clock.now += 2
    rates.take(-1, rate_per_second=1, burst=5)
    assert len(rates._over_at) == 1
