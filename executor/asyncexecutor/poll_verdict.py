"""What an upstream's answer says of its job. Decides only: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from asyncexecutor.job_addresses import document_of
from asynctasks.json_values import found_at

if TYPE_CHECKING:
    from asyncexecutor.runner import Answer
    from asynctasks.operations.upstream_poll import PollUntil, UpstreamPoll

ASK_AGAIN = frozenset({408, 425, 429})
"""Refusals of a poll that are no word about the job, as 5xx are."""
MOST_PERCENT = 100
STATE_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The job has not ended."""

    state: str | None = None
    progress: int | None = None
    lacks: str | None = None
    """The pointer at which it should say how it stands, where nothing stands there."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The job has succeeded."""

    state: str | None = None
    progress: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The job has failed, or cannot be asked for any more."""

    detail: str
    state: str | None = None
    is_answer: bool = False
    """Whether that is what the answer says of the job, so that people should see it."""


@dataclass(frozen=True, slots=True)
class NotTold:
    """The upstream could not say; it may the next time."""


def is_not_told(answer: Answer) -> bool:
    """Whether it is no word about what was asked for."""
    status = answer.response.status
    return status in ASK_AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def verdict(poll: UpstreamPoll, answer: Answer) -> GoesOn | Ended | Failed | NotTold:
    """What the answer to a poll says."""
    status = answer.response.status
    if poll.until.status is not None and status in poll.until.status:
        return Ended(str(status), _progress(poll, document_of(answer)))
    if is_not_told(answer):
        return NotTold()
    if status >= HTTPStatus.BAD_REQUEST:
        return Failed(f"The upstream answered {status} where its job is asked for.")
    document = document_of(answer)
    if poll.until.status is not None:
        return GoesOn(str(status), _progress(poll, document))
    return _by_member(poll, poll.until, status, document)


def _by_member(
    poll: UpstreamPoll, until: PollUntil, status: int, document: Any
) -> GoesOn | Ended | Failed:
    if status == HTTPStatus.SEE_OTHER:
        return Ended(str(status))
    if status >= HTTPStatus.MULTIPLE_CHOICES or document is None:
        return Failed(f"The upstream answered {status} without JSON where its job is asked for.")
    value = found_at(until.pointer or "", document)
    state, progress = _text(value), _progress(poll, document)
    if (why := _why_failed(until, document, value, state)) is not None:
        return Failed(f"The upstream's job has failed: {why}.", state, is_answer=True)
    if _is_among(until.succeeded, value):
        return Ended(state, progress)
    return GoesOn(state, progress, lacks=until.pointer if value is None else None)


def _why_failed(until: PollUntil, document: Any, value: Any, state: str | None) -> str | None:
    if until.error is not None and found_at(until.error, document) is not None:
        return f"its answer has {until.error}"
    return f"{until.pointer} is {state}" if _is_among(until.failed, value) else None


def _is_among(values: list[Any], value: Any) -> bool:
    """Whether it is one of them; `true` is not 1."""
    return any(one == value and isinstance(one, bool) is isinstance(value, bool) for one in values)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value[:STATE_CHARACTERS].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return orjson.dumps(value).decode() if isinstance(value, bool | int) else None


def _progress(poll: UpstreamPoll, document: Any) -> int | None:
    if poll.progress is None:
        return None
    value = found_at(poll.progress.pointer, document)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value <= MOST_PERCENT else None
