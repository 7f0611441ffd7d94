"""Whether a call is taken and is worth waiting for, as the samples of its queue say."""

from typing import Any

import pytest

from asyncproxy.admission import Admission
from asyncproxy.metrics import WAITING_JOBS
from asyncproxy.problems import OverloadedError, QueueFullError
from asyncproxy.settings import ProxySettings
from asynctasks.operations.operation import Operation
from asynctasks.statements.upkeep import Backlog

WAIT = Operation(name="wait", route="POST /wait", handler="asyncio:sleep", queue="clients")
FEW = Operation.model_validate(
    {"name": "few", "route": "POST /few", "handler": "asyncio:sleep", "maxQueued": 3}
)


class Upkeep:
    """Answers with the backlogs that the test gives it."""

    def __init__(self) -> None:
        self.answer: dict[str, Backlog] = {}

    async def backlogs(self, *, seconds: float) -> dict[str, Backlog]:
        del seconds
        return self.answer


def admission(**settings: Any) -> tuple[Admission, Any]:
    upkeep: Any = Upkeep()
    read = ProxySettings.read(
        {"database_url": "sqlite:///x.db", "broker_url": "memory://", **settings}
    )

    async def on_sample(_: Any) -> None:
        return None

    return Admission(upkeep, read, on_sample=on_sample), upkeep


async def sampled(*samples: tuple[int, int], seconds: float = 2, **settings: Any) -> Admission:
    """After samples of (queued, finished within the seconds)."""
    admitting, upkeep = admission(**settings)
    for queued, finished in samples:
        upkeep.answer = {"clients": Backlog({"wait": queued}, finished)}
        await admitting._sample(seconds)
    return admitting


async def test_calls_do_not_wait_behind_tasks_that_no_executor_can_run():
    admitting, upkeep = admission()
    for _ in range(3):
        upkeep.answer = {"clients": Backlog({"unknown": 5}, 1, put_back={"unknown": 5})}
        await admitting._sample(2)
    assert admitting.window_seconds(WAIT, 1) == 1


@pytest.mark.parametrize(
    ("samples", "retry_after", "window"),
    [
        ([], 1, 10),
        ([(0, 0)], 1, 10),
        ([(100, 20)], 1, 10),  # whether that is the executors' rate is not known yet
        ([(100, 20), (100, 20)], 10, 10),  # 10 a second
        ([(100, 20), (101, 20)], 11, 0),
        ([(100, 20), (20, 20)], 2, 10),
        ([(100, 20), (0, 20)], 1, 10),
        ([(100, 0), (100, 0)], 1, 10),  # no executor: unknown
        ([(100_000, 20), (100_000, 20)], 300, 0),
    ],
)
async def test_the_queue_and_its_rate_say_how_long_a_task_waits(
    samples: list[tuple[int, int]], retry_after: int, window: float
):
    admitting = await sampled(*samples)
    assert admitting.retry_after_seconds("clients") == retry_after
    assert admitting.window_seconds(WAIT, 10) == window


async def test_a_rate_falls_slowly_and_rises_at_once():
    slower = await sampled((100, 20), (100, 20), (100, 0))
    assert slower.retry_after_seconds("clients") == 15  # by 0.3 of what is missing: 7 a second
    faster = await sampled((100, 20), (100, 20), (100, 40))
    assert faster.retry_after_seconds("clients") == 5


@pytest.mark.parametrize(("rest_seconds", "told"), [(0, 1), (30.2, 31), (2_000, 300)])
async def test_a_limit_that_rests_says_when_to_ask_again_but_not_too_late(
    rest_seconds: float, told: int
):
    admitting = await sampled((0, 0))
    assert admitting.retry_after_seconds("clients", at_least=rest_seconds) == told


async def test_a_queue_that_is_no_longer_there_is_empty():
    admitting, upkeep = admission()
    upkeep.answer = {"clients": Backlog({"wait": 100}, 20)}
    await admitting._sample(2)
    await admitting._sample(2)
    upkeep.answer = {}
    await admitting._sample(2)
    assert admitting.retry_after_seconds("clients") == 1


async def test_without_the_adaptive_window_the_window_is_what_was_asked_for():
    admitting = await sampled((9_000, 20), (9_000, 20), adaptive_window=False)
    assert admitting.window_seconds(WAIT, 10) == 10


def test_no_more_callers_wait_than_may():
    admitting, _ = admission(max_waiting=2)
    with admitting.admit(WAIT, waits=True), admitting.admit(WAIT, waits=True):
        with pytest.raises(OverloadedError) as refused, admitting.admit(WAIT, waits=True):
            pass
        assert not isinstance(refused.value, QueueFullError)
        assert refused.value.retry_after_seconds == 1
        with admitting.admit(WAIT, waits=False):  # and takes no place
            pass
    with admitting.admit(WAIT, waits=True):
        pass


def test_a_burst_between_two_samples_does_not_pass_the_limit():
    admitting, _ = admission()
    for waits in (True, False, False):
        with admitting.admit(FEW, waits=waits) as permit:
            permit.leaves_task = True
    with pytest.raises(QueueFullError), admitting.admit(FEW, waits=True):
        pass
    with admitting.admit(WAIT, waits=True):
        pass


def test_calls_that_leave_no_task_do_not_fill_the_queue():
    """They were answered in time, repeated an earlier call, or could not be stored."""
    admitting, _ = admission()
    for _ in range(10):
        with admitting.admit(FEW, waits=True):
            pass
        with pytest.raises(ZeroDivisionError), admitting.admit(FEW, waits=True):
            raise ZeroDivisionError
    with (  # noqa: SIM117
        admitting.admit(FEW, waits=True),
        admitting.admit(FEW, waits=True),
        admitting.admit(FEW, waits=True),
    ):
        with pytest.raises(QueueFullError), admitting.admit(FEW, waits=True):
            pass


async def test_a_call_that_outlives_a_sample_is_not_subtracted_from_the_next_count():
    admitting, upkeep = admission()
    with admitting.admit(FEW, waits=True), admitting.admit(FEW, waits=True):
        upkeep.answer = {"default": Backlog({"few": 3}, 0)}
        await admitting._sample(2)
    with pytest.raises(QueueFullError), admitting.admit(FEW, waits=True):
        pass


async def test_what_is_admitted_while_the_database_counts_is_not_forgotten():
    admitting, upkeep = admission()

    async def slow_count(*, seconds: float) -> dict[str, Backlog]:
        del seconds
        with admitting.admit(FEW, waits=True) as permit:
            permit.leaves_task = True
        return {"default": Backlog({"few": 2}, 0)}

    upkeep.backlogs = slow_count
    await admitting._sample(2)
    with pytest.raises(QueueFullError), admitting.admit(FEW, waits=True):
        pass


async def test_what_waits_for_a_job_of_its_upstream_is_shown_and_is_no_queue():
    admitting, upkeep = admission()
    upkeep.answer = {
        "clients": Backlog({}, 0, jobs={"scan": 3, "wait": 1}),
        "earlier": Backlog({}, 0, jobs={"scan": 2}),
    }
    await admitting._sample(2)
    assert admitting.window_seconds(WAIT, 1) == 1
    assert shown_jobs() == {"scan": 5, "wait": 1}
    upkeep.answer = {}
    await admitting._sample(2)
    assert shown_jobs() == {}


def shown_jobs() -> dict[str, float]:
    (family,) = WAITING_JOBS.collect()
    return {sample.labels["operation"]: sample.value for sample in family.samples}
