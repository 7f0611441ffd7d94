"""Everything that can go wrong and that we can name. A docstring is its error's default message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


_SIZE = re.compile("^[A-Z][a-z]+ should have ")
"""How pydantic begins to say how long a list or a text may be."""


class AsyncApiProxyError(Exception):
    """Something went wrong in AsyncApiProxy."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class SettingsError(AsyncApiProxyError):
    """A setting has a value that cannot be used."""


class OperationsFileError(AsyncApiProxyError):
    """The operations file cannot be used."""


class AccessFileError(AsyncApiProxyError):
    """The access file cannot be used."""


class SealingKeyMissingError(SettingsError):
    """An operation has arguments or headers to seal, and no key for that is set."""


class SealedArgumentsError(AsyncApiProxyError):
    """They were sealed with a key that is not among ASYNCAPIPROXY_SEALING_KEYS."""


class SchemaInvalidError(AsyncApiProxyError):
    """The arguments' JSON Schema cannot be used."""

    def __init__(self, path: Sequence[str | int], expected: str) -> None:
        super().__init__(expected)
        self.path = tuple(path)
        """Where in the schema."""
        self.faults = [self]
        """This one and all others of the schema."""

    @classmethod
    def of(cls, faults: Sequence[Self]) -> Self:
        """The first of them, which has them all."""
        faults[0].faults = list({fault.path: fault for fault in reversed(faults)}.values())
        return faults[0]


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where the arguments do not fit. It never quotes the value, which may be secret."""

    pointer: str
    """A JSON Pointer (RFC 6901) into the arguments; empty for the whole, and for a parameter."""
    detail: str
    parameter: str | None = None
    """The parameter by which a caller gives, or has to give, that part of them."""

    @property
    def place(self) -> str:
        """Where it does not fit, for people."""
        return self.parameter or self.pointer


class ArgumentsInvalidError(AsyncApiProxyError):
    """The arguments do not fit the operation's schema."""

    whole = "the arguments"
    """What does not fit where no place in it is to blame."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(f"{v.place or self.whole}: {v.detail}" for v in violations))
        self.violations = violations


class ParametersInvalidError(ArgumentsInvalidError):
    """What is given outside the body does not fit the operation's parameters."""


class LimitInvalidError(ArgumentsInvalidError):
    """What is to be set of a limit is not valid."""

    whole = "the body"


class BatchInvalidError(ArgumentsInvalidError):
    """What is to be done with many tasks, or with which, is not valid."""

    whole = "the body"


TaskOption = Literal[
    "idempotency_key", "deadline", "delay", "priority", "labels", "batch", "callback"
]


class TaskOptionsError(AsyncApiProxyError):
    """The task cannot be run in the way that is asked for."""

    def __init__(self, option: TaskOption, expected: str) -> None:
        super().__init__(f"{option}: expected {expected}.")
        self.option: TaskOption = option
        self.expected = expected


class CallbackUrlError(AsyncApiProxyError):
    """A URL may not be called to tell of a task's end."""

    def __init__(self, expected: str) -> None:
        super().__init__(f"The callback's URL: expected {expected}.")
        self.expected = expected


class TaskNotFoundError(AsyncApiProxyError):
    """There is no such task: it never was, was deleted, or its retention has passed."""

    def __init__(self, task_id: UUID | str) -> None:
        super().__init__(
            f"There is no task {task_id}: it never was, was deleted, or its retention has passed."
        )
        self.task_id = task_id


class DeliveryNotFoundError(AsyncApiProxyError):
    """The task has no delivery of that number."""

    def __init__(self, task_id: UUID, number: int | str) -> None:
        super().__init__(f"The task {task_id} has no delivery {number}.")


class BatchNotFoundError(AsyncApiProxyError):
    """There is no such batch: it never was, is another caller's, or its retention has passed."""


class BatchFinishedError(AsyncApiProxyError):
    """The batch has finished already."""


class TaskUnreadableError(AsyncApiProxyError):
    """The task's row holds what cannot be read: somebody edited it, or a later version wrote it."""

    def __init__(self, task_id: UUID) -> None:
        super().__init__(f"The row of task {task_id} holds what cannot be read.")
        self.task_id = task_id


class TaskNotFinishedError(AsyncApiProxyError):
    """The task has not finished yet."""


class TaskFinishedError(AsyncApiProxyError):
    """The task has finished already."""


class IdempotencyKeyReusedError(AsyncApiProxyError):
    """The idempotency key belongs to an earlier call with other arguments."""


class UnavailableError(AsyncApiProxyError):
    """Something that the services stand on does not answer."""

    def __init__(self, message: str | None = None, *, reason: object = None) -> None:
        self.public = message or (type(self).__doc__ or "").strip()
        """What may be told to anybody. The reason, which names hosts and roles, is the log's."""
        if reason is not None:
            told = str(reason) or type(reason).__name__
            message = f"{self.public.removesuffix('.')}: {told}"
        super().__init__(message)


class DatabaseUnavailableError(UnavailableError):
    """The task database does not answer."""


class StatementRefusedError(AsyncApiProxyError):
    """The task database refuses a statement: either it or a value in it is wrong."""

    def __init__(self, name: str, sqlstate: str) -> None:
        super().__init__(f"The task database refuses a statement: {name} ({sqlstate})")
        self.sqlstate = sqlstate


class BlobStoreUnavailableError(UnavailableError):
    """The blob store, where large bodies are kept, does not answer."""


class BlobLostError(AsyncApiProxyError):
    """The body is gone: it is too large for its task's row, and the blob store has lost it."""


class ReadTooLongError(AsyncApiProxyError):
    """Looking through the tasks took too long: narrow it by `operation`, `status` or a time."""


class SchemaOutdatedError(AsyncApiProxyError):
    """The task database lacks migrations that this version needs: run `asyncapiproxy migrate`."""


class SchemaNotOursError(AsyncApiProxyError):
    """The database has a table of our name that is another application's."""


class SchemaNotWritableError(AsyncApiProxyError):
    """The database lets its user make no table."""


class ServiceRoleError(AsyncApiProxyError):
    """The role by which services use the database cannot be made, or given its rights."""


class QuotaExceededError(AsyncApiProxyError):
    """Its caller has, or asks for, as much as it may."""

    def __init__(
        self,
        policy: str,
        *,
        limit: int,
        window_seconds: int | None = None,
        retry_after_seconds: int = 1,
    ) -> None:
        within = "" if window_seconds is None else f" in {window_seconds} s"
        super().__init__(f"The quota {policy} of {limit}{within} is used up.")
        self.policy = policy
        self.limit = limit
        self.window_seconds = window_seconds
        self.retry_after_seconds = retry_after_seconds


class BrokerUnavailableError(UnavailableError):
    """The broker does not answer, or did not confirm a message in time."""


class MessageReturnedError(BrokerUnavailableError):
    """The broker had no queue for the message and returned it."""


class MalformedMessageError(AsyncApiProxyError):
    """A message on the queue is not one that AsyncApiProxy publishes."""


def in_our_words(message: str) -> str:
    """A message of pydantic's as ours begin: with what was expected."""
    told = message.removeprefix("Value error, ").replace("Input should be", "expected", 1)
    return _SIZE.sub("expected ", told).replace(" after validation, not ", ", not ", 1)
