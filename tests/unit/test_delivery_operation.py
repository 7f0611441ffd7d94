"""How often a callback is tried, and how long after each failure."""

import pytest

from asynctasks.operations.delivery_operation import DELIVERY, HOUR, MINUTE
from asynctasks.operations.operation import Operation, callable_ones

DAY = 24 * HOUR


def test_ten_tries_take_three_days():
    policy = DELIVERY.retry
    waits = [policy.pause_seconds(failures, jitter=0.5) for failures in range(1, 10)]
    assert policy.max_attempts == 10
    assert [round(wait) for wait in waits[:4]] == [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR]
    assert 3 * DAY < sum(waits) < 3.25 * DAY


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.9), (1.0, 1.1)])
def test_a_wait_is_a_tenth_shorter_or_longer(jitter: float, share: float):
    assert DELIVERY.retry.pause_seconds(4, jitter=jitter) == pytest.approx(2 * HOUR * share)


def test_whatever_a_receiver_answers_but_success_and_gone_is_tried_again():
    again = DELIVERY.retry.on_status
    assert {301, 400, 404, 429, 500, 599} <= again
    assert not again & {200, 204, 410}


def test_nobody_calls_it():
    own = Operation.model_validate({"name": "a", "route": "POST /a", "handler": "a:b"})
    assert callable_ones({"a": own, DELIVERY.name: DELIVERY}) == {"a": own}
