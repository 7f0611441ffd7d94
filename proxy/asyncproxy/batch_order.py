"""What a caller wants done with many tasks, as the body of `POST /tasks:batch` says it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator

from asyncproxy.task_filter import TaskFilter
from asynctasks.batch import BatchAction
from asynctasks.declarations.declared import Declared, did_you_mean
from asynctasks.errors import BatchInvalidError, Violation, in_our_words
from asynctasks.json_values import write_json
from asynctasks.statements.batch_search import FITTING

EXAMPLE: dict[str, Any] = {"action": "retry", "filter": {"status": "failed"}, "dryRun": True}


class BatchFilter(TaskFilter):
    """The words of `GET /tasks` and no other: a misspelt one would mean all tasks."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _has_value(cls, value: Any) -> Any:
        """Refuse what a script has from an empty variable: it would mean all tasks, too."""
        if value is None or value == []:
            raise ValueError("expected a value; leave it out for tasks of any")
        return value


class BatchOrder(Declared):
    """One action, on all tasks that fit the filter."""

    action: BatchAction
    filter: BatchFilter
    dry_run: bool = Field(default=False, strict=True)

    @property
    def words(self) -> dict[str, str | list[str]]:
        """The filter as it is kept and shown."""
        return self.filter.model_dump(mode="json", exclude_defaults=True)

    @property
    def pairs(self) -> list[str]:
        """Each word of it alone: `status=failed`, `label=team=a`, `label=tier=1`."""
        return [
            f"{name}={word}"
            for name, given in self.words.items()
            for word in ([given] if isinstance(given, str) else given)
        ]


def read_order(given: Any) -> BatchOrder:
    """The order that JSON gives; raises BatchInvalidError."""
    try:
        order = BatchOrder.model_validate(given)
    except ValidationError as error:
        raise BatchInvalidError(list(map(_violation, error.errors()))) from error
    status, fitting = order.filter.status, FITTING[order.action]
    if status is not None and status not in fitting:
        *others, last = fitting
        expected = f"expected {', '.join(others)} or {last}, to {order.action} it"
        raise BatchInvalidError([Violation("/filter/status", expected)])
    return order


def _violation(fault: Any) -> Violation:
    *place, last = fault["loc"] or ("",)
    pointer = "".join(f"/{part}" for part in fault["loc"])
    match fault["type"]:
        case "extra_forbidden":
            known = sorted(BatchFilter.model_fields) if place else sorted(EXAMPLE)
            said = f"unknown key; expected one of {', '.join(known)}"
            return Violation(pointer, said + did_you_mean(str(last), known))
        case "missing":
            example = write_json(EXAMPLE[str(last)]).decode()
            return Violation(pointer, f"it is missing; expected such as {example}")
        case "model_type":
            return Violation(pointer, "expected a JSON object")
        case _:
            return Violation(pointer, in_our_words(str(fault["msg"])))
