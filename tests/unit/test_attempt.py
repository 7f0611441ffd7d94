"""How an attempt is judged, and what it does with what runs it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncexecutor.attempt import judge, run_attempt
from asyncexecutor.failures import (
    AttemptFailedError,
    HandlerFailedError,
    ResponseTooLargeError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    UpstreamUrlError,
)
from asyncexecutor.runner import Answer, Attempt, Runnable
from asynctasks.attempt_history import KEPT_ATTEMPTS
from asynctasks.operations.operation import Operation
from asynctasks.operations.retry_policy import RetryPolicy
from asynctasks.operations.sealing import Sealing, new_sealing_key
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.task import TaskStatus, may_move
from asynctestkit.claimed import claimed_task
from asynctestkit.no_blobs import NO_BLOBS
from asynctestkit.no_breakers import NO_BREAKERS

POLICY = RetryPolicy.model_validate({"backoffSeconds": (1, 60), "onStatus": {408, 429, 503}})
STARTED = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
FINISHED = datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)
TASK = claimed_task(
    operation="create-client",
    arguments={"email": "a@b.c"},
    max_attempts=3,
    attempt_started_at=STARTED,
    executor="executor-1",
)


def answer(status: int, retry_after_seconds: float | None = None) -> Answer:
    return Answer(Response(status, "application/json", b"{}"), retry_after_seconds)


def judged(
    result: Answer | AttemptFailedError, task: ClaimedTask = TASK, *, jitter: float = 1
) -> Outcome:
    return judge(task, POLICY, result, jitter=jitter, finished_at=FINISHED)


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 399])
def test_an_answer_below_400_succeeds(status: int):
    outcome = judged(answer(status))
    assert outcome.status is TaskStatus.SUCCEEDED
    assert outcome.response == answer(status).response
    assert outcome.error is None


def test_an_answer_that_leads_elsewhere_fails_and_is_the_callers():
    elsewhere = replace(answer(303), leads_elsewhere=True)
    outcome = judged(elsewhere)
    assert outcome.status is TaskStatus.FAILED
    assert outcome.response == elsewhere.response
    assert outcome.error is None
    assert outcome.attempts[-1]["outcome"] == "failed"


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 499])
def test_an_answer_of_4xx_fails_and_is_the_callers(status: int):
    outcome = judged(answer(status))
    assert outcome.status is TaskStatus.FAILED
    assert outcome.response == answer(status).response
    assert outcome.error is None


@pytest.mark.parametrize(("status", "line"), [(500, "500 Internal Server Error"), (599, "599")])
def test_an_answer_from_500_on_fails_and_is_not_the_callers(status: int, line: str):
    outcome = judged(answer(status))
    assert (outcome.status, outcome.response) == (TaskStatus.FAILED, None)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.status) == ("upstream-failed", 502)
    assert outcome.error.detail == f"The upstream answered {line}."


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_status_of_the_policy_is_worth_another_attempt(status: int):
    outcome = judged(answer(status))
    assert (outcome.status, outcome.retry_after_seconds) == (TaskStatus.QUEUED, 1)
    assert (outcome.response, outcome.error, outcome.is_given_back) == (None, None, False)


def test_retry_after_is_honoured():
    assert judged(answer(429, 30)).retry_after_seconds == 31


def test_the_last_attempt_gives_what_there_is():
    last = replace(TASK, attempt=3)
    assert judged(answer(429), last).response == answer(429).response
    assert judged(answer(429), last).status is TaskStatus.FAILED
    failed = judged(answer(503), last)
    assert failed.status is TaskStatus.FAILED
    assert failed.error is not None
    assert failed.error.detail == "The upstream answered 503 Service Unavailable."


@pytest.mark.parametrize(
    ("failure", "status"),
    [(UpstreamTimeoutError(), 504), (UpstreamUnreachableError(), 502), (HandlerFailedError(), 500)],
)
def test_no_answer_is_worth_another_attempt_until_the_last(
    failure: AttemptFailedError, status: int
):
    assert judged(failure).status is TaskStatus.QUEUED
    outcome = judged(failure, replace(TASK, attempt=3))
    assert outcome.status is TaskStatus.FAILED
    assert outcome.error == failure.problem
    assert failure.problem.status == status


@pytest.mark.parametrize("failure", [ResponseTooLargeError(), UpstreamUrlError()])
def test_what_would_only_fail_again_is_not_retried(failure: AttemptFailedError):
    outcome = judged(failure)
    assert (outcome.status, outcome.error) == (TaskStatus.FAILED, failure.problem)


def test_an_attempt_that_its_executor_cut_short_does_not_count():
    assert judged(answer(503), replace(TASK, attempt=4, interruptions=2)).status == "queued"
    assert judged(answer(503), replace(TASK, attempt=5, interruptions=2)).status == "failed"


def test_the_ended_attempt_is_remembered():
    before: list[dict[str, Any]] = [{"number": 1, "outcome": "failed"}]
    outcome = judged(answer(503), replace(TASK, attempt=2, attempts=before))
    assert outcome.attempts == [
        *before,
        {
            "number": 2,
            "startedAt": STARTED,
            "finishedAt": FINISHED,
            "outcome": "failed",
            "executor": "executor-1",
            "responseStatus": 503,
            "detail": "The upstream answered 503 Service Unavailable.",
        },
    ]


@pytest.mark.parametrize(
    ("status", "told"),
    [(429, "The upstream answered 429 Too Many Requests."), (404, None), (201, None)],
)
def test_an_answer_that_is_worth_another_attempt_is_told_in_the_history(
    status: int, told: str | None
):
    assert judged(answer(status)).attempts[-1].get("detail") == told


def test_only_the_newest_attempts_are_remembered():
    before: list[dict[str, Any]] = [{"number": number} for number in range(1, 61)]
    outcome = judged(answer(200), replace(TASK, attempt=61, attempts=before))
    assert len(outcome.attempts) == KEPT_ATTEMPTS
    assert outcome.attempts[-1]["number"] == 61


results = st.builds(
    answer, st.integers(100, 999), st.none() | st.floats(0, allow_nan=False)
) | st.sampled_from([UpstreamTimeoutError(), ResponseTooLargeError(), HandlerFailedError("x")])


@given(
    result=results,
    failures=st.integers(1, 20),
    interruptions=st.integers(0, 5),
    max_attempts=st.integers(1, 10),
    jitter=st.floats(0, 1),
)
def test_every_outcome_is_a_move_that_a_running_task_may_make(
    result: Answer | AttemptFailedError,
    failures: int,
    interruptions: int,
    max_attempts: int,
    jitter: float,
):
    task = replace(
        TASK,
        attempt=failures + interruptions,
        interruptions=interruptions,
        max_attempts=max_attempts,
    )
    outcome = judged(result, task, jitter=jitter)
    assert may_move(TaskStatus.RUNNING, outcome.status)
    is_queued = outcome.status is TaskStatus.QUEUED
    assert is_queued == (outcome.retry_after_seconds is not None)
    assert not (is_queued and failures >= max_attempts)
    # A final task has an answer or a reason, never both.
    assert (outcome.response is None) != (outcome.error is None) or is_queued
    assert outcome.status is not TaskStatus.SUCCEEDED or outcome.error is None


class Fake:
    """Runs a task as it is told, and remembers the arguments."""

    def __init__(self, run: Callable[[], Answer]) -> None:
        self._run = run
        self.arguments: dict[str, Any] | None = None

    async def run(self, attempt: Attempt) -> Answer:
        self.arguments = attempt.arguments
        return self._run()


def runnable(runner: Fake) -> Runnable:
    declared = {"name": "create-client", "route": "POST /clients", "handler": "a:b"}
    return Runnable(Operation.model_validate(declared), runner)


async def test_the_sealed_arguments_are_there_when_it_runs():
    sealing = Sealing([new_sealing_key()])
    token = sealing.seal([(("password",), "correct horse")])
    runner = Fake(lambda: answer(201))
    task = replace(TASK, sealed_arguments=token)
    outcome = await run_attempt(task, runnable(runner), sealing, NO_BLOBS, NO_BREAKERS)
    assert outcome.status is TaskStatus.SUCCEEDED
    assert runner.arguments == {"email": "a@b.c", "password": "correct horse"}
    assert "correct horse" not in repr(outcome)


async def test_arguments_that_cannot_be_unsealed_fail_the_attempt_and_are_not_run():
    token = Sealing([new_sealing_key()]).seal([(("password",), "x")])
    runner = Fake(lambda: answer(201))
    task = replace(TASK, sealed_arguments=token, attempt=3)
    outcome = await run_attempt(
        task, runnable(runner), Sealing([new_sealing_key()]), NO_BLOBS, NO_BREAKERS
    )
    assert outcome.error is not None
    assert outcome.error.type == "arguments-unreadable"
    assert runner.arguments is None


async def test_a_fault_of_ours_costs_one_attempt_and_is_not_shown():
    def fault() -> Answer:
        raise RuntimeError("password=hunter2")

    outcome = await run_attempt(
        replace(TASK, attempt=3), runnable(Fake(fault)), Sealing([]), NO_BLOBS, NO_BREAKERS
    )
    assert outcome.status is TaskStatus.FAILED
    assert outcome.error is not None
    assert "RuntimeError" in outcome.error.detail
    assert "hunter2" not in repr(outcome)


class Open:
    """A breaker that takes every attempt for the upstream's failure."""

    async def note(self, *_: object) -> str:
        return "crm"


async def attempted(result: Answer | AttemptFailedError, **values: Any) -> Outcome:
    def ended() -> Answer:
        if isinstance(result, AttemptFailedError):
            raise result
        return result

    breakers: Any = Open()
    task = replace(TASK, **values)
    return await run_attempt(task, runnable(Fake(ended)), Sealing([]), NO_BLOBS, breakers)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (UpstreamTimeoutError("No answer within 3 s."), "No answer within 3 s."),
        (answer(503), "The upstream answered 503 Service Unavailable."),
        (answer(429), "The upstream answered 429 Too Many Requests."),
    ],
)
async def test_what_only_finds_out_that_the_upstream_is_down_is_not_counted(
    result: Answer | AttemptFailedError, told: str
):
    outcome = await attempted(result, attempt=3)
    assert (outcome.status, outcome.is_given_back) == (TaskStatus.QUEUED, True)
    assert outcome.retry_after_seconds == 0
    entry = outcome.attempts[-1]
    assert (entry["outcome"], entry["number"]) == ("given back", 3)
    assert entry["detail"] == f"{told} Not counted: the limit crm rests."
    assert entry.get("responseStatus") == (result.response and result.response.status)


async def test_a_task_that_may_have_no_second_attempt_gets_none_by_a_breaker():
    outcome = await attempted(UpstreamTimeoutError(), max_attempts=1)
    assert (outcome.status, outcome.is_given_back) == (TaskStatus.FAILED, False)
