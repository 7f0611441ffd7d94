"""What the end of an attempt says of its upstream."""

import pytest

from asyncexecutor.failures import (
    ArgumentsUnreadableError,
    AttemptFailedError,
    BodyStoreUnavailableError,
    HandlerAnswerError,
    HandlerFailedError,
    HandlerTimeoutError,
    ResponseTooLargeError,
    UpstreamAuthError,
    UpstreamResponseUnreadableError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    UpstreamUrlError,
)
from asyncexecutor.runner import Answer, JobGoesOn
from asyncexecutor.upstream_sign import Sign, sign_of
from asynctasks.operations.retry_policy import RetryPolicy
from asynctasks.response import Response
from asynctasks.upstream_job import UpstreamJob

POLICY = RetryPolicy.model_validate({"onStatus": [404, 408, 429, 500, 503]})
UP = Sign(is_up=True)
JOB = UpstreamJob(url="http://upstream/jobs/1", started_at="2030-01-01T12:00:00+00:00")


def down(asked_seconds: float | None = None) -> Sign:
    return Sign(is_up=False, asked_seconds=asked_seconds)


@pytest.mark.parametrize(
    "failure",
    [UpstreamTimeoutError, UpstreamUnreachableError, HandlerFailedError, HandlerTimeoutError],
)
def test_one_that_is_not_reached_or_not_in_time_is_down(failure: type[AttemptFailedError]):
    assert sign_of(failure(), POLICY) == down()


@pytest.mark.parametrize(
    "failure",
    [
        AttemptFailedError,
        ArgumentsUnreadableError,
        BodyStoreUnavailableError,
        HandlerAnswerError,
        ResponseTooLargeError,
        UpstreamAuthError,
        UpstreamResponseUnreadableError,
        UpstreamUrlError,
    ],
)
def test_what_fails_before_or_after_the_call_says_nothing(failure: type[AttemptFailedError]):
    assert sign_of(failure(), POLICY) is None


@pytest.mark.parametrize(
    ("status", "sign"),
    [
        (200, UP),
        (303, UP),
        (400, UP),
        (422, UP),
        (501, UP),  # not worth another attempt: so it answers this call, whatever comes
        (404, None),  # worth one, and no fault of the upstream
        (408, None),
        (429, down(9)),
        (500, down()),
        (503, down(9)),
    ],
)
def test_an_answer_is_judged_by_its_status_as_retries_are(status: int, sign: Sign | None):
    response = Response(status, "application/json", b"{}")
    assert sign_of(Answer(response, retry_after_seconds=9), POLICY) == sign
    if sign not in {None, UP}:
        assert sign_of(Answer(response), POLICY) == down()


def test_one_that_begins_a_job_is_up():
    assert sign_of(JobGoesOn(JOB, after_seconds=2), POLICY) == UP
