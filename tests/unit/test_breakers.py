"""What an executor tells limits of their upstream, and what it spares itself."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from asyncexecutor.breakers import Breakers
from asyncexecutor.failures import UpstreamTimeoutError
from asyncexecutor.runner import Answer
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.limits.breaker import after_failure, after_success
from asynctasks.limits.gates import Gates
from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_state import BreakerKind, BreakerState, LimitState, Standing
from asynctasks.limits.pauses import Pauses
from asynctasks.response import Response
from asynctestkit.claimed import claimed_task
from asynctestkit.inside import operation
from asynctestkit.virtual_time import in_virtual_time

CRM = Limit.model_validate({"name": "crm", "breaker": {"failures": 2, "openSeconds": [5, 60]}})
OCR = Limit.model_validate({"name": "ocr", "breaker": {"failures": 9}})
SLOTS = Limit(name="slots", concurrency=2)
TASK = claimed_task()
FINE = Answer(Response(200, "", b""))
TIMEOUT = UpstreamTimeoutError()


def answer(status: int, retry_after_seconds: float | None = None) -> Answer:
    return Answer(Response(status, "", b""), retry_after_seconds)


class States:
    """The limits' rows, in memory; each call of it would be a transaction."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.breakers: dict[str, BreakerState] = {}
        self.times_away = 0

    async def note_failure(
        self,
        declared: Sequence[Limit],
        *,
        started_at: datetime,
        asked_seconds: float | None,
    ) -> dict[str, LimitState]:
        assert started_at == TASK.attempt_started_at
        if self.times_away:
            self.times_away -= 1
            raise DatabaseUnavailableError
        self.noted.append("failure")
        return {
            limit.name: self._now(
                limit,
                after_failure(
                    limit.breaker,  # type: ignore[arg-type]
                    self.breakers.get(limit.name, BreakerState()),
                    ran_seconds=0.0,
                    asked_seconds=asked_seconds,
                ),
            )
            for limit in declared
        }

    async def note_success(
        self, declared: Sequence[Limit], *, started_at: datetime
    ) -> dict[str, LimitState]:
        assert started_at == TASK.attempt_started_at
        self.noted.append("success")
        return {
            limit.name: self._now(
                limit,
                after_success(
                    limit.breaker,  # type: ignore[arg-type]
                    self.breakers.get(limit.name, BreakerState()),
                    ran_seconds=0.0,
                ),
            )
            for limit in declared
        }

    def _now(self, limit: Limit, breaker: BreakerState) -> LimitState:
        self.breakers[limit.name] = breaker
        return LimitState(limit=limit, declared=limit, breaker=breaker)


class Executor:
    def __init__(self, *declared: Limit) -> None:
        self.states = States()
        self.now = 0.0
        names = [limit.name for limit in declared]
        self.operation = operation(limits=names).bounded_by({one.name: one for one in declared})
        states: Any = self.states
        self.breakers = Breakers(states, Gates(self._never, clock=lambda: self.now))

    async def note(self, result: Any, **values: Any) -> str | None:
        return await self.breakers.note(replace(TASK, **values), self.operation, result)

    async def _never(self) -> Standing:
        return Standing({}, Pauses())


@pytest.mark.parametrize("declared", [(), (SLOTS,)])
async def test_where_no_limit_has_a_breaker_nothing_is_noted(declared: tuple[Limit, ...]):
    executor = Executor(*declared)
    assert await executor.note(TIMEOUT) is None
    assert await executor.note(FINE) is None
    assert executor.states.noted == []


async def test_a_success_is_noted_only_while_there_are_failures_to_forget():
    executor = Executor(CRM, SLOTS)
    await executor.note(FINE)
    assert executor.states.noted == []
    assert await executor.note(TIMEOUT) is None
    await executor.note(FINE)
    await executor.note(FINE)
    executor.now = 7.0  # time that goes by leaves nothing to forget
    await executor.note(FINE)
    assert executor.states.noted == ["failure", "success"]
    assert executor.states.breakers["crm"] == BreakerState()


async def test_the_failure_that_opens_it_and_those_that_end_meanwhile_name_it():
    executor = Executor(CRM)
    assert await executor.note(TIMEOUT) is None
    assert await executor.note(TIMEOUT) == "crm"
    assert await executor.note(answer(503)) == "crm"
    assert await executor.note(FINE) is None
    assert await executor.note(answer(404)) is None
    assert executor.states.noted == ["failure", "failure"]


async def test_a_probes_end_is_noted_and_so_is_each_success_until_it_has_recovered():
    executor = Executor(CRM)
    await executor.note(TIMEOUT)
    await executor.note(TIMEOUT)
    executor.now = 5.0
    executor.states.breakers["crm"] = replace(executor.states.breakers["crm"], open_for_seconds=0.0)
    assert await executor.note(TIMEOUT) == "crm"
    assert executor.states.breakers["crm"].open_for_seconds == 10
    executor.now = 15.0
    executor.states.breakers["crm"] = replace(executor.states.breakers["crm"], open_for_seconds=0.0)
    executor.states.noted.clear()
    for _ in range(4):
        assert await executor.note(FINE) is None
    assert executor.states.noted == ["success", "success"]


async def test_an_upstream_that_asks_for_time_is_heard_at_once_and_while_it_rests():
    executor = Executor(CRM)
    assert await executor.note(answer(503, 30)) == "crm"
    assert executor.states.breakers["crm"].open_for_seconds == 30
    assert await executor.note(answer(429, 50)) == "crm"
    assert executor.states.breakers["crm"].open_for_seconds == 50


async def test_of_two_limits_the_one_that_does_not_rest_is_told_all_the_same():
    executor = Executor(OCR, CRM)
    for _ in range(4):
        await executor.note(TIMEOUT)
    assert executor.states.breakers["ocr"].failures == 4
    assert executor.states.breakers["crm"].kind is BreakerKind.OPEN


async def test_a_poll_says_nothing_of_what_is_limited():
    executor = Executor(CRM)
    job = {"url": "http://upstream/jobs/1", "startedAt": "2030-01-01T12:00:00+00:00"}
    for result in (TIMEOUT, TIMEOUT, FINE):
        assert await executor.note(result, upstream_job=job) is None
    assert executor.states.noted == []


@in_virtual_time
async def test_it_waits_for_a_database_that_is_away():
    executor = Executor(CRM)
    executor.states.times_away = 3
    await executor.note(TIMEOUT)
    assert executor.states.noted == ["failure"]
