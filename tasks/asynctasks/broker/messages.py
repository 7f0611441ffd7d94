"""What travels on the broker: a hint that a task is due, and the reply to the proxy that waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import orjson

from asynctasks.errors import MalformedMessageError
from asynctasks.response import Problem, Response
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

MAX_REPLY_BODY_BYTES = 128 * 1024
"""A larger response is left to the row: the broker is no place for bulk."""
MAX_PACK_BYTES = 256 * 1024
"""Replies to one proxy that travel together are at most so long, but for a single one."""


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """Says that a task may be due. All that matters about the task is in its row."""

    task_id: UUID
    operation: str

    def encode(self) -> bytes:
        """The message's body."""
        return orjson.dumps({"task": str(self.task_id), "operation": self.operation})

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message of a body; raises MalformedMessageError."""
        try:
            fields = orjson.loads(body)
            return cls(UUID(fields["task"]), _text(fields["operation"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedMessageError(
                'expected {"task": "<uuid>", "operation": "<name>"}, '
                f"found {body[:80]!r} ({type(error).__name__})"
            ) from error


@dataclass(frozen=True, slots=True)
class Reply:
    """How a task ended, for the proxy whose caller waits for it."""

    task_id: UUID
    status: TaskStatus
    response: Response | None = None
    error: Problem | None = None

    @property
    def leaves_body_to_row(self) -> bool:
        """Whether the response is too large to travel, so that the proxy reads the row."""
        return self.response is not None and len(self.response.body) > MAX_REPLY_BODY_BYTES

    def encode(self) -> bytes:
        """One line of JSON, then the response's body as it is."""
        head: dict[str, Any] = {"task": str(self.task_id), "status": self.status.value}
        body = b""
        if self.leaves_body_to_row:
            head["inRow"] = True
        elif self.response is not None:
            head["response"] = [self.response.status, self.response.content_type]
            body = self.response.body
            if self.response.headers:
                head["headers"] = self.response.headers
            if self.response.blob is not None:
                head["blob"] = self.response.blob
        if self.error is not None:
            head["error"] = self.error.to_json()
        return orjson.dumps(head) + b"\n" + body

    @classmethod
    def decode(cls, encoded: bytes) -> Self | ReplyInRow:
        """The reply; raises MalformedMessageError."""
        line, _, body = encoded.partition(b"\n")
        try:
            head = orjson.loads(line)
            task_id = UUID(head["task"])
            if head.get("inRow"):
                return ReplyInRow(task_id)
            response = head.get("response")
            error = head.get("error")
            return cls(
                task_id,
                TaskStatus(head["status"]),
                _response(*response, headers=head.get("headers"), body=body, blob=head.get("blob"))
                if response
                else None,
                _problem(**error) if error else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedMessageError(f"no reply: {line[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class ReplyInRow:
    """Says that the task has ended and that its response is to be read from the row."""

    task_id: UUID


def packed(replies: Iterable[bytes]) -> Generator[bytes]:
    """The encoded replies in as few messages as hold them, each behind its length in 4 bytes."""
    pack = b""
    for reply in replies:
        if pack and len(pack) + len(reply) > MAX_PACK_BYTES:
            yield pack
            pack = b""
        pack += len(reply).to_bytes(4) + reply
    if pack:
        yield pack


def unpacked(pack: bytes) -> Generator[bytes]:
    """The encoded replies of a message; raises MalformedMessageError after the last whole one."""
    start = 0
    while start < len(pack):
        length = int.from_bytes(pack[start : start + 4])
        start += 4
        if start + length > len(pack):
            raise MalformedMessageError(f"a reply of {length} bytes is cut off at byte {len(pack)}")
        yield pack[start : start + length]
        start += length


def _response(status: Any, content_type: Any, *, headers: Any, body: bytes, blob: Any) -> Response:
    kept = tuple([(_text(name), _text(value)) for name, value in headers]) if headers else ()
    name = None if blob is None else _text(blob)
    return Response(_integer(status), _text(content_type), body, kept, blob=name)


def _problem(*, type: Any, title: Any, status: Any, detail: Any) -> Problem:  # noqa: A002 - RFC 9457
    return Problem(_text(type), _text(title), _integer(status), _text(detail))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:  # True is an int, too
        raise TypeError("expected an integer")
    return value
