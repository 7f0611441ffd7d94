"""Whether a failed attempt is followed by another, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncexecutor.retry import LONGEST_RETRY_AFTER_SECONDS, GiveUp, Retry, next_attempt
from asyncexecutor.upstream import retry_after_seconds
from asynctasks.operations.retry_policy import RetryPolicy


def backing_off(shortest: float, longest: float) -> RetryPolicy:
    return RetryPolicy.model_validate({"backoffSeconds": (shortest, longest)})


POLICY = backing_off(1, 60)

seconds = st.floats(0.001, 86_400)
policies = st.tuples(seconds, seconds).map(lambda pair: backing_off(min(pair), max(pair)))
asked = st.none() | st.floats(0, allow_infinity=True)


@pytest.mark.parametrize(
    ("failures", "jitter", "asks", "expected"),
    [
        # The longest backoff doubles from the first number to the second.
        (1, 1.0, None, Retry(1)),
        (2, 1.0, None, Retry(2)),
        (3, 1.0, None, Retry(4)),
        (6, 1.0, None, Retry(32)),
        (7, 1.0, None, Retry(60)),
        (8, 1.0, None, Retry(60)),
        (99, 1.0, None, Retry(60)),
        # Full jitter: anything from nothing to all of it.
        (3, 0.5, None, Retry(2)),
        (3, 0.0, None, Retry(0)),
        # Retry-After comes first, the jitter on top, and patience has an end.
        (1, 0.0, 30, Retry(30)),
        (1, 1.0, 30, Retry(31)),
        (3, 0.5, 0, Retry(2)),
        (1, 0.0, 1e9, Retry(LONGEST_RETRY_AFTER_SECONDS)),
        (100, 0.0, None, GiveUp()),
        (101, 0.0, 30, GiveUp()),
    ],
)
def test_the_next_attempt(
    failures: int, jitter: float, asks: float | None, expected: Retry | GiveUp
):
    found = next_attempt(
        POLICY, failures=failures, max_attempts=100, jitter=jitter, upstream_asks_seconds=asks
    )
    assert found == expected


def test_the_only_attempt_is_the_last():
    assert next_attempt(POLICY, failures=1, max_attempts=1, jitter=0.5) == GiveUp()


@given(
    policy=policies,
    failures=st.integers(1, 10**6),
    max_attempts=st.integers(1, 10**6),
    jitter=st.floats(0, 1),
    asks=asked,
)
def test_a_retry_is_never_in_the_past_nor_later_than_the_caps(
    policy: RetryPolicy, failures: int, max_attempts: int, jitter: float, asks: float | None
):
    found = next_attempt(
        policy,
        failures=failures,
        max_attempts=max_attempts,
        jitter=jitter,
        upstream_asks_seconds=asks,
    )
    # It gives up exactly at the most attempts.
    assert isinstance(found, GiveUp) == (failures >= max_attempts)
    if isinstance(found, Retry):
        earliest = min(asks or 0, LONGEST_RETRY_AFTER_SECONDS)
        assert earliest <= found.after_seconds <= earliest + policy.backoff_seconds[1]


@given(policy=policies, failures=st.integers(1, 99))
def test_the_backoff_never_shrinks(policy: RetryPolicy, failures: int):
    earlier, later = (
        next_attempt(policy, failures=count, max_attempts=1_000, jitter=1)
        for count in (failures, failures + 1)
    )
    assert isinstance(earlier, Retry)
    assert isinstance(later, Retry)
    assert earlier.after_seconds <= later.after_seconds


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("120", 120),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", None),
        ("9" * 400, float("inf")),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(header: str | None, expected: float | None):
    assert retry_after_seconds(header) == expected


def test_a_date_in_the_future_is_so_many_seconds_away():
    found = retry_after_seconds("Wed, 21 Oct 2999 07:28:00 GMT")
    assert found is not None
    assert found > 365 * 86_400


@given(header=st.text() | st.text(alphabet="0123456789 :,-+GMTWedOct"))
def test_any_retry_after_is_read(header: str):
    found = retry_after_seconds(header)
    assert found is None or found >= 0
