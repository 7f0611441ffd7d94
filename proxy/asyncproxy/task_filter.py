"""Which tasks a caller means: the words of `GET /tasks`, and of a batch's `filter`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from asynctasks.operations.task_options import BATCH, BATCH_NAME, MAX_LABELS
from asynctasks.response import TYPE_PREFIX
from asynctasks.statements.pages import Filter
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asynctasks.statements.owners import Listed

LABEL = r"""^[^="\\\x00]+=[^=\x00]*$"""
"""What neither database takes for a part of a path or for no text at all."""
ERROR_TYPE = rf"^({re.escape(TYPE_PREFIX)})?[a-z]+(-[a-z]+)*$"
"""The name of a problem of ours, or the URI that it is shown by."""
BATCH_OF_TASKS = rf"^{BATCH_NAME.pattern}$"
_NAME = r"^[^\x00]*$"


def _in_utc(text: Any) -> datetime:
    """Of the text, since a number alone is not read as seconds."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError("expected RFC 3339, such as 2026-01-31T12:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError("expected a time zone, such as Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is beyond the calendar") from None


def _in_words(pattern: str, expected: str) -> BeforeValidator:
    """Tell a person what the pattern tells a program."""
    compiled = re.compile(pattern)

    def check(text: Any) -> str:
        if not isinstance(text, str) or compiled.search(text) is None:
            raise ValueError(f"expected {expected}")
        return text

    return BeforeValidator(check)


def _by_name(labels: list[str]) -> list[str]:
    """Refuse two labels of one name, both of which no task has."""
    names = [label.partition("=")[0] for label in labels]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"expected each label once, and there are several named {name}")
    return labels


_Operation = Annotated[
    str, Field(pattern=_NAME), _in_words(_NAME, "an operation's name, such as create-client")
]
_Owner = Annotated[str, Field(pattern=_NAME), _in_words(_NAME, "a name")]


_Label = Annotated[
    str, Field(pattern=LABEL), _in_words(LABEL, "a label's name=value, such as team=a")
]
_Batch = Annotated[str, Field(pattern=BATCH_OF_TASKS), _in_words(BATCH_OF_TASKS, BATCH)]
_ErrorType = Annotated[
    str,
    Field(pattern=ERROR_TYPE),
    _in_words(ERROR_TYPE, "a problem's name, such as upstream-timeout, or its URI"),
    AfterValidator(lambda text: text.removeprefix(TYPE_PREFIX)),
]
_Instant = Annotated[datetime, BeforeValidator(_in_utc)]


class TaskFilter(BaseModel):
    """Tasks to which all that is given applies."""

    model_config = ConfigDict(frozen=True)

    status: TaskStatus | None = None
    operation: _Operation | None = None
    label: Annotated[
        list[_Label],
        Field(default_factory=list, max_length=MAX_LABELS, examples=[["team=a"]]),
        AfterValidator(_by_name),
    ]
    batch: _Batch | None = None
    error_type: _ErrorType | None = None
    created_after: _Instant | None = None
    created_before: _Instant | None = None
    finished_after: _Instant | None = None
    finished_before: _Instant | None = None
    principal: _Owner | None = None
    tenant: _Owner | None = None

    def which(self, listed: Sequence[Listed] | None) -> Filter:
        """The same for the database, of what is listed alone."""
        return Filter(
            status=self.status,
            operation=self.operation,
            principal=self.principal,
            tenant=self.tenant,
            labels=dict(label.split("=", 1) for label in self.label),
            batch=self.batch,
            error_type=self.error_type,
            created_after=self.created_after,
            created_before=self.created_before,
            finished_after=self.finished_after,
            finished_before=self.finished_before,
            listed=listed,
        )
