"""How operations look to a person who wants to submit one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from asyncapiproxy.shown_text import facts_table, list_table, plain, printable
from asynctasks.json_values import as_array, as_object, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType
    from rich.table import Table

    from asyncapiproxy.client.declared_operation import DeclaredOperation

_BOUNDS = (
    *("format", "minLength", "maxLength", "minimum", "maximum", "pattern", "minItems", "maxItems"),
    *("enum", "default"),
)


def operations_view(operations: Iterable[DeclaredOperation]) -> RenderableType:
    """A line for each."""
    table = list_table("operation")
    table.add_column("call", overflow="fold")
    table.add_column("summary", overflow="fold")
    for operation in operations:
        call = f"{operation.method} {operation.path}"
        table.add_row(plain(operation.name), plain(call), plain(_summary(operation)))
    return table


def declared_view(operation: DeclaredOperation, *, command: str) -> RenderableType:
    """An operation: its call, its arguments, and what one would type after the command."""
    facts = facts_table()
    facts.add_row("operation", plain(operation.name))
    if summary := _summary(operation):
        facts.add_row("summary", plain(summary))
    facts.add_row("call", plain(f"{operation.method} {operation.path}"))
    if operation.content_types:
        facts.add_row("body", plain(", ".join(operation.content_types)))
    parts: list[RenderableType] = [facts]
    if operation.schemas:
        parts += ["", _arguments(operation)]
    return Group(*parts, "", Text(_example(operation, command), style="dim"))


def _arguments(operation: DeclaredOperation) -> Table:
    table = list_table("argument")
    for title in ("in", "type", "what it may be"):
        table.add_column(title, overflow="fold")
    for name, schema in operation.schemas.items():
        told = as_object(schema) or {}
        required = "" if name in operation.required else " (optional)"
        table.add_row(
            plain(name),
            plain(operation.place_of(name)),
            plain(_type(told) + required),
            plain(_told(told)),
        )
    return table


def _type(schema: dict[str, Any]) -> str:
    named = schema.get("type", "any")
    return " or ".join(map(str, as_array(named) or [named]))


def _told(schema: dict[str, Any]) -> str:
    told = [f"{key} {_text(schema[key])}" for key in _BOUNDS if key in schema]
    if schema.get("writeOnly"):
        told.append("kept sealed, never shown")
    if "description" in schema:
        told.append(str(schema["description"]))
    return ", ".join(told)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else write_json(value).decode()


def _summary(operation: DeclaredOperation) -> str:
    return "" if operation.summary == operation.name else operation.summary


def _example(operation: DeclaredOperation, command: str) -> str:
    typed = [f"{name}=…" for name in operation.schemas if name in operation.required]
    body = ["--body FILE"] if operation.content_types else []
    words = (command, "task submit", operation.name, *typed, *body)
    return printable(" ".join(words))
