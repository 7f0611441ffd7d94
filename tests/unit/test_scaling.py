"""How many executors a queue needs, as a function of its demand."""

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asyncoperator.scaling.decision import Decision, History, ScalingConfig, Signals, Work, decide

counts = st.integers(0, 5_000)
seconds = st.floats(0, 3_600)


@st.composite
def configs(draw: st.DrawFn) -> ScalingConfig:
    low = draw(st.integers(0, 50))
    return ScalingConfig(
        concurrency=draw(st.integers(1, 200)),
        min_replicas=low,
        max_replicas=draw(st.integers(max(low, 1), 100)),
        target_drain_seconds=draw(st.floats(1, 600)),
        target_utilization=draw(st.floats(0.1, 1)),
        scale_down_window_seconds=draw(st.floats(0, 600)),
        scale_to_zero_after_seconds=draw(st.sampled_from([0, 0, 300])),
    )


@st.composite
def works(draw: st.DrawFn) -> Work:
    finished = draw(counts)
    return Work(
        queued=draw(counts),
        running=draw(counts),
        finished=finished,
        mean_service_seconds=draw(st.none() | seconds) if finished else None,
    )


@st.composite
def histories(draw: st.DrawFn, config: ScalingConfig) -> tuple[History, float]:
    """A history as decisions leave it behind, and the time of the last of them."""
    history, now, replicas = History(), 1_000.0, draw(st.integers(0, 100))
    for work in draw(st.lists(works(), max_size=4)):
        now += draw(st.floats(0.1, 120))
        decision = decide(Signals(now=now, work=work, replicas=replicas, busy=0), history, config)
        history, replicas = decision.history, decision.desired
    return history, now


@st.composite
def situations(draw: st.DrawFn) -> tuple[Signals, History, ScalingConfig]:
    config = draw(configs())
    history, then = draw(histories(config))
    replicas = draw(st.integers(0, 150))
    signals = Signals(
        now=then + draw(st.floats(0.1, 120)),
        work=draw(works()),
        replicas=replicas,
        busy=draw(st.integers(0, replicas)),
    )
    return signals, history, config


@given(situations())
def test_what_is_desired_lies_within_the_limits(situation: tuple[Signals, History, ScalingConfig]):
    signals, history, config = situation
    desired = decide(signals, history, config).desired
    may_be_none = config.scale_to_zero_after_seconds > 0
    assert (0 if may_be_none else max(config.min_replicas, 1)) <= desired <= config.max_replicas
    assert desired == 0 or desired >= config.min_replicas


@given(situations())
def test_it_is_never_less_than_the_busy_executors(
    situation: tuple[Signals, History, ScalingConfig],
):
    signals, history, config = situation
    desired = decide(signals, history, config).desired
    assert desired >= min(signals.busy, config.max_replicas)


@given(situations(), counts)
def test_more_queued_tasks_never_ask_for_fewer_executors(
    situation: tuple[Signals, History, ScalingConfig], more: int
):
    signals, history, config = situation
    assume(signals.work is not None)
    assert signals.work is not None
    work = signals.work
    longer = Work(
        queued=work.queued + more,
        running=work.running,
        finished=work.finished,
        mean_service_seconds=work.mean_service_seconds,
    )
    with_more = Signals(now=signals.now, work=longer, replicas=signals.replicas, busy=signals.busy)
    assert decide(with_more, history, config).desired >= decide(signals, history, config).desired


@given(situations())
def test_unknown_demand_changes_nothing(situation: tuple[Signals, History, ScalingConfig]):
    signals, history, config = situation
    blind = Signals(now=signals.now, work=None, replicas=signals.replicas, busy=signals.busy)
    decision = decide(blind, history, config)
    assert decision.desired == signals.replicas
    assert not decision.is_known
    assert decision.history == history


@settings(max_examples=20)  # of a quarter of an hour each
@given(configs(), counts, counts, st.integers(0, 100))
def test_constant_work_does_not_make_it_go_up_and_down(
    config: ScalingConfig, queued: int, running: int, replicas: int
):
    work = Work(queued=queued, running=running, finished=0, mean_service_seconds=None)
    seen = [decision.desired for decision in run(config, [work] * 400, replicas=replicas)]
    turns = [after - before for before, after in pairwise(seen) if after != before]
    assert all(turn < 0 for turn in turns) or all(turn > 0 for turn in turns)
    assert len(turns) <= 2  # to what is needed, and to none


@settings(max_examples=20)
@given(configs(), st.integers(1, 100), st.floats(0.1, 100))
def test_constant_arrivals_never_make_it_go_down(
    config: ScalingConfig, finished: int, service_seconds: float
):
    work = Work(queued=0, running=3, finished=finished, mean_service_seconds=service_seconds)
    seen = [decision.desired for decision in run(config, [work] * 600, replicas=1)]
    assert seen == sorted(seen)


def run(config: ScalingConfig, works: list[Work], *, replicas: int) -> list[Decision]:
    """What is decided every two seconds, when each decision is carried out at once."""
    history, decisions = History(), list[Decision]()
    for tick, work in enumerate(works):
        signals = Signals(now=2.0 * tick, work=work, replicas=replicas, busy=0)
        decisions.append(decide(signals, history, config))
        history, replicas = decisions[-1].history, decisions[-1].desired
    return decisions


NOTHING = Work(queued=0, running=0, finished=0, mean_service_seconds=None)
BURST = Work(queued=200, running=0, finished=0, mean_service_seconds=None)
ONE = Work(queued=1, running=0, finished=0, mean_service_seconds=None)


def test_a_burst_is_met_at_once():
    (decision,) = run(ScalingConfig(concurrency=4, max_replicas=60), [BURST], replicas=1)
    assert decision.desired == 50
    assert decision.reason == "200 queued, 0 running: 50 executors needed."


def test_the_maximum_holds_and_is_told():
    (decision,) = run(ScalingConfig(concurrency=4, max_replicas=8), [BURST], replicas=1)
    assert (decision.desired, decision.needed) == (8, 50)
    assert decision.reason == "200 queued, 0 running: 50 executors needed, 8 allowed."


def test_short_tasks_need_only_what_drains_them_in_time():
    config = ScalingConfig(concurrency=2, max_replicas=60, target_drain_seconds=10)
    known = Work(queued=0, running=0, finished=1, mean_service_seconds=1.0)
    _, decision = run(config, [known, BURST], replicas=1)
    assert decision.history.service_seconds == 1.0
    # 200 tasks of 1 s in 10 s are 20 slots, and what arrives beside them is averaged in slowly.
    assert 10 <= decision.desired <= 16


def test_down_comes_only_after_the_window_has_passed():
    config = ScalingConfig(concurrency=4, max_replicas=60, scale_down_window_seconds=60)
    decisions = run(config, [BURST] + [NOTHING] * 40, replicas=1)
    assert [decision.desired for decision in decisions[:30]] == [50] * 30
    assert decisions[-1].desired == 1
    changed = next(decision for decision in decisions[1:] if decision.desired != 50)
    assert changed.reason == "0 queued, 0 running: at least 1 executor."


def test_a_new_leader_takes_nothing_away_before_the_window_has_passed():
    config = ScalingConfig(concurrency=4, scale_down_window_seconds=60)
    decisions = run(config, [NOTHING] * 40, replicas=7)
    assert {decision.desired for decision in decisions[:30]} == {7}
    assert decisions[-1].desired == 1


def test_there_are_none_only_where_that_is_wanted_and_nothing_was_to_do_for_long():
    lazy = ScalingConfig(concurrency=4, scale_to_zero_after_seconds=300)
    decisions = run(lazy, [NOTHING] * 200, replicas=1)
    assert {decision.desired for decision in decisions[:150]} == {1}
    assert {decision.desired for decision in decisions[150:]} == {0}
    assert decisions[-1].reason == "Nothing to do for 300 s."
    assert {d.desired for d in run(ScalingConfig(concurrency=4), [NOTHING] * 200, replicas=1)} == {
        1
    }


def test_the_first_task_wakes_one_executor():
    lazy = ScalingConfig(concurrency=4, scale_to_zero_after_seconds=300)
    nothing, one = run(lazy, [NOTHING, ONE], replicas=0)
    assert (nothing.desired, one.desired) == (0, 1)


def test_a_retry_that_comes_back_to_the_queue_keeps_the_executors():
    """What fails and waits for its next attempt is no sign that its executor is not needed."""
    config = ScalingConfig(concurrency=1, max_replicas=10)
    running = Work(queued=0, running=5, finished=0, mean_service_seconds=None)
    decisions = run(config, [running, NOTHING, running], replicas=5)
    assert [decision.desired for decision in decisions] == [5, 5, 5]


@pytest.mark.parametrize(("queued", "expected"), [(0, 0.0), (200, 50.0)])
def test_the_drain_time_is_that_of_the_executors_there_are(queued: int, expected: float):
    """Two executors of four slots, and tasks of 2 s."""
    config = ScalingConfig(concurrency=4)
    work = Work(queued=queued, running=0, finished=1, mean_service_seconds=2.0)
    (decision,) = run(config, [work], replicas=2)
    assert decision.drain_seconds == pytest.approx(expected)
