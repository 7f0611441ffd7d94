"""What of a task's row its callers are shown: its bodies as text, and nothing sealed.

Arguments as Python's values take 25 times their text and, of a row full of small ones, longer to
make than an event loop may stand still; whoever shows them only passes them on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Text,
    TypeDecorator,
    case,
    cast,
    func,
    literal,
    null,
)
from sqlalchemy import type_coerce as as_type

from asynctasks.statements.conditions import tasks

if TYPE_CHECKING:
    from sqlalchemy import Dialect

_NOT_SHOWN = frozenset({"sealed_arguments", "sealed_headers", "body_headers", "body", "tracestate"})
_LARGE = frozenset({"arguments", "response_headers", "response_body"})


class View(StrEnum):
    """How much of each task a list shows."""

    SUMMARY = "summary"
    """No arguments, and of the response neither headers nor body: nothing that can be large."""
    FULL = "full"
    """What a task shows by itself."""


class _WrittenJson(TypeDecorator[orjson.Fragment]):
    """JSON as its text."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> orjson.Fragment:
        """Raise ValueError where it is none."""
        del dialect
        if value is None:
            raise ValueError("no JSON")
        return orjson.Fragment(value)


def shown_columns(dialect: str, view: View = View.FULL) -> list[ColumnElement[Any]]:
    """The columns of a `Task` that is only shown.

    `arguments` as an `orjson.Fragment`, and as None in a summary, which reads nothing large.
    """
    shown = [column for column in tasks.c if column.name not in _NOT_SHOWN]
    if view is View.SUMMARY:
        small = [column for column in shown if column.name not in _LARGE]
        return [*small, null().label("arguments")]
    text: ColumnElement[Any] = cast(tasks.c.arguments, Text)
    if dialect == "sqlite":  # which lets anything be written there
        text = case((func.json_valid(text), text))
    arguments = as_type(text, _WrittenJson).label("arguments")
    return [arguments if column.name == "arguments" else column for column in shown]


def shown_bytes(dialect: str, view: View) -> ColumnElement[int]:
    """How large what is shown of a row's arguments, headers and body is."""
    if view is View.SUMMARY:
        return literal(0)
    if dialect == "sqlite":
        sizes = [
            func.length(cast(column, LargeBinary))
            for column in (tasks.c.arguments, tasks.c.response_headers, tasks.c.response_body)
        ]
    else:
        sizes = [
            func.octet_length(cast(tasks.c.arguments, Text)),
            func.octet_length(cast(tasks.c.response_headers, Text)),
            func.octet_length(tasks.c.response_body),
        ]
    arguments, headers, body = (func.coalesce(size, 0) for size in sizes)
    return arguments + headers + body
