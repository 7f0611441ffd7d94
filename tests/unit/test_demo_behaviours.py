"""What a demo email's local part asks for."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncapiproxy.demo.behaviours import (
    QUICK,
    Behaviour,
    UnknownBehaviourError,
    behaviour_of,
)


@pytest.mark.parametrize(
    ("local_part", "behaviour"),
    [
        ("slow+3", Behaviour(slow_seconds=3)),
        ("slow+0.5", Behaviour(slow_seconds=0.5)),
        ("slow+99999", Behaviour(slow_seconds=3600)),
        ("fail+503", Behaviour(fail_status=503)),
        ("fail+400", Behaviour(fail_status=400)),
        ("fail+599", Behaviour(fail_status=599)),
        ("flaky+2", Behaviour(flaky_calls=2)),
        ("drop", Behaviour(drops=True)),
        ("huge+5", Behaviour(huge_megabytes=5)),
        ("huge+1000", Behaviour(huge_megabytes=100)),
        ("SLOW+3.Drop", Behaviour(slow_seconds=3, drops=True)),
        ("ann.slow+3", Behaviour(slow_seconds=3)),
        ("slow+3.ann", Behaviour(slow_seconds=3)),
        ("7.slow+1", Behaviour(slow_seconds=1)),
        ("slow+1.7", Behaviour(slow_seconds=1.7)),
        ("slow+1.7th", Behaviour(slow_seconds=1)),
        ("flaky+1.flaky+3", Behaviour(flaky_calls=3)),
        ("slow+0.5.flaky+2.fail+500", Behaviour(slow_seconds=0.5, flaky_calls=2, fail_status=500)),
        ("ann.flaky+2.drop.huge+1", Behaviour(flaky_calls=2, drops=True, huge_megabytes=1)),
    ],
)
def test_words_ask_for_behaviours(local_part: str, behaviour: Behaviour):
    assert behaviour_of(f"{local_part}@example.com") == behaviour


@pytest.mark.parametrize(
    "local_part",
    [
        "ann",
        "ann.smith",
        "ann+tag",
        "slow",
        "slow+",
        "slow+news",
        "slow+-1",
        "slow+٣",  # a digit, but not one that the words are written with
        "fail+5xx",
        "drops",
        "drop+1",
        "dewdrop",
        "notslow+3",
        "flaky+2nd",
        "huge+5MB",
    ],
)
def test_other_local_parts_are_just_names(local_part: str):
    assert behaviour_of(f"{local_part}@example.com") is QUICK


def test_the_domain_asks_for_nothing():
    assert behaviour_of("ann@slow+3.drop") is QUICK


@pytest.mark.parametrize("status", ["0", "200", "399", "600", "50300"])
def test_fail_with_no_failure_status_is_refused_and_named(status: str):
    with pytest.raises(UnknownBehaviourError, match=rf"fail\+{status}: .* 400 to 599"):
        behaviour_of(f"ann.fail+{status}@example.com")


@pytest.mark.parametrize(
    ("behaviour", "failures"),
    [
        (Behaviour(), [False, False, False]),
        (Behaviour(slow_seconds=1, huge_megabytes=1), [False, False, False]),
        (Behaviour(fail_status=500), [True, True, True]),
        (Behaviour(drops=True), [True, True, True]),
        (Behaviour(flaky_calls=2), [True, True, False]),
        (Behaviour(flaky_calls=1, fail_status=500), [True, False, False]),
        (Behaviour(flaky_calls=0, drops=True), [False, False, False]),
    ],
)
def test_flaky_limits_how_many_calls_fail(behaviour: Behaviour, failures: list[bool]):
    assert [behaviour.fails(earlier_calls=earlier) for earlier in range(3)] == failures


def test_a_failure_is_503_unless_it_says_otherwise():
    assert Behaviour(flaky_calls=1).failure_status == 503
    assert Behaviour(flaky_calls=1, fail_status=429).failure_status == 429


@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "slow": st.decimals(0, 3600, places=2),
            "fail": st.integers(400, 599),
            "flaky": st.integers(0, 10**6),
            "huge": st.integers(0, 100),
        },
    ),
    others=st.lists(st.sampled_from(["ann", "drop"]), max_size=2),
    shuffle=st.randoms(use_true_random=False),
)
def test_words_combine_in_any_order(values: dict[str, Any], others: list[str], shuffle: Random):
    words = others + [f"{word}+{value}" for word, value in values.items()]
    shuffle.shuffle(words)
    assert behaviour_of(".".join(words) + "@example.com") == Behaviour(
        slow_seconds=float(values.get("slow", 0)),
        fail_status=values.get("fail"),
        drops="drop" in others,
        flaky_calls=values.get("flaky"),
        huge_megabytes=values.get("huge", 0),
    )
