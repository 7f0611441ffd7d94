"""Calls an upstream that is asynchronous itself, and asks whether it is done.

    call ──▶ an answer that starts a job ──▶ its address is committed, and the slot is free
                                                  │
                  ┌───────────────────────────────▼
                  │            poll, by whichever executor is there
                  │                               │
                  └── it goes on, or was not told ┴─▶ it has ended ──▶ its result, the answer

Each step is an attempt's turn: what is known then stands in the row, and nothing is held between
two. Once an address is in the row the call is never made again, whoever dies
(docs/decisions/0010-upstream-jobs.md).
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from yarl import URL

from asyncexecutor.failures import (
    AttemptFailedError,
    UpstreamJobFailedError,
    UpstreamJobTimeoutError,
)
from asyncexecutor.job_addresses import JobAddresses, document_of
from asyncexecutor.metrics import UPSTREAM_POLLS
from asyncexecutor.poll_verdict import (
    MOST_PERCENT,
    Failed,
    GoesOn,
    NotTold,
    is_not_told,
    verdict,
)
from asyncexecutor.retry import LONGEST_RETRY_AFTER_SECONDS
from asyncexecutor.runner import Answer, JobGoesOn, JobRunner
from asynctasks.errors import UnavailableError
from asynctasks.instants import utc_now
from asynctasks.json_values import found_at, write_json
from asynctasks.response import Response
from asynctasks.upstream_job import UpstreamJob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncexecutor.attempt_bodies import ResponsePlace
    from asyncexecutor.runner import Attempt
    from asyncexecutor.upstream import Upstream
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_poll import UpstreamPoll

log = structlog.get_logger(__name__)


class PolledUpstream(JobRunner):
    """The upstream of one operation whose answer may only say that the work has begun."""

    def __init__(
        self,
        operation: Operation,
        poll: UpstreamPoll,
        upstream: Upstream,
        *,
        environment: Mapping[str, str],
    ) -> None:
        """Raise OperationsFileError with all that the environment lacks or spoils."""
        self._operation = operation.name
        self._poll = poll
        self._upstream = upstream
        self._addresses = JobAddresses(operation, poll, environment)
        self._polls = {
            outcome: UPSTREAM_POLLS.labels(operation.name, outcome)
            for outcome in ("going on", "ended", "not told")
        }

    async def run(self, attempt: Attempt) -> Answer | JobGoesOn:
        """The answer, or the job by which it will come; see `Runner`."""
        if attempt.job is None:
            return await self._start(attempt)
        try:
            return await self._ask(attempt, attempt.job)
        except AttemptFailedError as error:
            self._polls["ended"].inc()
            if error.job is None:
                error.job = attempt.job
            raise

    async def cancel(self, attempt: Attempt, job: UpstreamJob) -> None:
        """Tell the upstream that nobody waits for its job any more, as far as it can be told."""
        told = {"operation": self._operation, "task_id": str(attempt.task_id)}
        if self._poll.cancel is None:
            log.info("upstream job left behind: its operation has no poll.cancel", **told)
            return
        try:
            url = _appended(job.url, self._poll.cancel.append)
            answer = await self._upstream.ask(self._poll.cancel.method, attempt, url)
        except AttemptFailedError as error:
            log.warning("upstream job not cancelled", reason=error.type, **told)
        else:
            log.info("upstream job cancelled", response_status=answer.response.status, **told)

    async def _start(self, attempt: Attempt) -> Answer | JobGoesOn:
        answer = await self._upstream.run(attempt)
        if answer.response.status not in self._poll.started:
            return answer
        called = self._upstream.url(attempt)
        url = self._addresses.of_job(answer, attempt, called=called)
        job = UpstreamJob(url=str(url), started_at=utc_now().isoformat())
        return JobGoesOn(job, self._pause_seconds(job, answer))

    async def _ask(self, attempt: Attempt, job: UpstreamJob) -> Answer | JobGoesOn:
        if job.result_url is not None:
            return await self._result(attempt, job, URL(job.result_url, encoded=True))
        url = URL(job.url, encoded=True)
        # What is to be looked into is held; only then may it be the answer and be put away.
        place = None if self._poll.until.status is None else attempt.response_place
        answer = await self._answer(attempt, url, place)
        said = NotTold() if answer is None else verdict(self._poll, answer)
        if answer is None or isinstance(said, NotTold):
            return await self._goes_on(attempt, job, answer, "not told")
        if isinstance(said, Failed):
            raise UpstreamJobFailedError(
                said.detail,
                job=replace(job, state=said.state or job.state),
                response=answer.response if said.is_answer else None,
            )
        progress = job.progress if said.progress is None else said.progress
        if (said.state, progress) != (job.state, job.progress):
            job = replace(job, state=said.state, progress=progress)
        if isinstance(said, GoesOn):
            return await self._goes_on(attempt, job, answer, "going on", lacks=said.lacks)
        return await self._ended(attempt, job, answer, url)

    async def _answer(
        self, attempt: Attempt, url: URL, place: ResponsePlace | None
    ) -> Answer | None:
        """None where the upstream could not be asked, or what it says not be kept."""
        try:
            return await self._upstream.ask("GET", attempt, url, place=place)
        except UnavailableError:
            return None
        except AttemptFailedError as error:
            if not error.is_retryable:
                raise
            return None

    async def _goes_on(
        self,
        attempt: Attempt,
        job: UpstreamJob,
        answer: Answer | None,
        outcome: str,
        *,
        lacks: str | None = None,
    ) -> JobGoesOn:
        since = datetime.now(UTC) - datetime.fromisoformat(job.started_at)
        if since.total_seconds() >= self._poll.max_seconds:
            await self.cancel(attempt, job)
            told = f"The upstream's job did not end within {self._poll.max_seconds:g} s."
            if lacks is not None:
                told += f" The last answer had no {lacks}, which would say how it stands."
            raise UpstreamJobTimeoutError(told, job=job)
        self._polls[outcome].inc()
        job = replace(job, polls=job.polls + 1)
        return JobGoesOn(job, self._pause_seconds(job, answer))

    async def _ended(
        self, attempt: Attempt, job: UpstreamJob, answer: Answer, asked: URL
    ) -> Answer | JobGoesOn:
        """The answer that the caller gets: where the operation says, or the last poll's."""
        result = self._poll.result
        if result is not None and result.value is not None:
            value = found_at(result.value, document_of(answer))
            response = Response(200, "application/json", write_json(value))
            return await self._done(attempt, Answer(response), job)
        if result is not None and result.pointer is not None:
            given, named = found_at(result.pointer, document_of(answer)), result.pointer
        elif result is not None and result.append is not None:
            given, named = str(_appended(job.url, result.append)), result.append
        elif result is not None:
            named = result.header or ""
            given = answer.headers.get(named)
        elif 300 <= answer.response.status < 400:  # noqa: PLR2004 - a redirection
            given, named = answer.headers.get("Location"), "Location"
        else:
            return await self._done(attempt, answer, job)
        try:
            url = self._addresses.checked(given, asked, named)
        except AttemptFailedError as error:
            error.job = job
            raise
        return await self._result(attempt, replace(job, result_url=str(url)), url)

    async def _result(self, attempt: Attempt, job: UpstreamJob, url: URL) -> Answer | JobGoesOn:
        answer = await self._answer(attempt, url, attempt.response_place)
        if answer is None or is_not_told(answer):
            return await self._goes_on(attempt, job, answer, "not told")
        return await self._done(attempt, answer, job)

    async def _done(self, attempt: Attempt, answer: Answer, job: UpstreamJob) -> Answer | JobGoesOn:
        """The answer, once it is kept: as long as it cannot be, the job may be asked again."""
        if attempt.response_place is not None:
            try:
                kept = await attempt.response_place.put_away(answer.response)
            except UnavailableError:
                return await self._goes_on(attempt, job, None, "not told")
            answer = replace(answer, response=kept)
        self._polls["ended"].inc()
        progress = None if job.progress is None else MOST_PERCENT
        return replace(answer, job=replace(job, progress=progress))

    def _pause_seconds(self, job: UpstreamJob, answer: Answer | None) -> float:
        return pause_seconds(
            self._poll,
            polls=job.polls,
            upstream_asks_seconds=answer.retry_after_seconds if answer else None,
            jitter=random.random(),  # noqa: S311 - spreads polls
        )


def _appended(url: str, path: str) -> URL:
    address = URL(url, encoded=True)
    return address.with_path(address.raw_path + path, encoded=True, keep_query=True)


def pause_seconds(
    poll: UpstreamPoll, *, polls: int, jitter: float, upstream_asks_seconds: float | None
) -> float:
    """How long until the next poll, so many polls after the job's start.

    What the upstream asks for wins, within an hour; it is not asked more often than the file says.
    Up to a tenth comes on top, so that jobs that began together are not asked for together.
    """
    shortest, longest = poll.every_seconds
    if upstream_asks_seconds is None:
        pause = min(longest, shortest * 2.0 ** min(polls, 60))
    else:
        pause = max(shortest, min(upstream_asks_seconds, LONGEST_RETRY_AFTER_SECONDS))
    return pause * (1 + jitter / 10)
