"""How many bytes of bodies are held at a time."""

import pytest

from asyncproxy.body_budget import BodyBudget
from asyncproxy.metrics import HELD_BODY_BYTES
from asyncproxy.problems import OverloadedError


def test_bodies_are_held_up_to_the_budget_and_room_comes_free_when_one_is_let_go():
    budget = BodyBudget(100)
    with budget.hold() as one, budget.hold() as other:
        one.add(40)
        other.add(60)
        with pytest.raises(OverloadedError, match="Bodies of 100 bytes"):
            other.add(1)
        one.release()
        other.add(40)
        assert budget.held == HELD_BODY_BYTES._value.get() == 100
    assert budget.held == HELD_BODY_BYTES._value.get() == 0


def test_one_body_alone_may_be_larger_and_keeps_others_out():
    budget = BodyBudget(100)
    with budget.hold() as one, budget.hold() as other:
        one.add(50)
        one.add(500)
        with pytest.raises(OverloadedError):
            other.add(1)
