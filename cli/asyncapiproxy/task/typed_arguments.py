"""Arguments as a person types them: `name=value` by the schema's type, `name:=json` as it stands.

No error here quotes a value: it may be a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from asynctasks.errors import AsyncApiProxyError
from asynctasks.json_values import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OF_JSON = {"integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
_STRUCTURED = {"array", "object"}


class ArgumentTextError(AsyncApiProxyError):
    """An argument on the command line cannot be read."""


def arguments_from_text(texts: Sequence[str], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name; raises ArgumentTextError.

    What does not fit the schema's type stays a string: the proxy tells what is wrong with it.
    """
    arguments: dict[str, Any] = {}
    for number, text in enumerate(texts, start=1):
        name, equals, value = text.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise ArgumentTextError(f"argument {number}: expected name=value or name:=json")
        if name in arguments:
            raise ArgumentTextError(f"{name} is given twice")
        arguments[name] = _json(name, value) if is_json else _typed(name, value, schemas.get(name))
    return arguments


def arguments_from_json(text: str) -> dict[str, Any]:
    """The arguments of a JSON object; raises ArgumentTextError."""
    arguments = _json("--arguments", text)
    if not isinstance(arguments, dict):
        raise ArgumentTextError("--arguments: expected one JSON object")
    return arguments  # pyright: ignore[reportUnknownVariableType] - JSON's keys are strings


def _json(name: str, text: str) -> Any:
    try:
        return read_json(text)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ArgumentTextError(f"{name}: no JSON at {where}: {error.msg}") from error


def _typed(name: str, text: str, schema: Any) -> Any:
    types = _types(schema)
    if not types or "string" in types:
        return text
    if types <= _STRUCTURED:
        raise ArgumentTextError(f"{name} is an {min(types)}: give it as JSON, {name}:=…")
    try:
        value = read_json(text)
    except orjson.JSONDecodeError:
        return text
    fits = any(_is_of_type(value, kind) for kind in types)
    return value if fits else text


def _is_of_type(value: Any, kind: str) -> bool:
    """Whether a JSON value has the JSON type; Python's booleans are integers, JSON's are not."""
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _OF_JSON.get(kind, ()))


def _types(schema: Any) -> set[str]:
    """The JSON types a schema names; none where it leaves that open or says it in another way."""
    named: str | list[str] = schema.get("type", []) if isinstance(schema, dict) else []  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - a schema of the proxy
    return {named} if isinstance(named, str) else set(named)  # pyright: ignore[reportUnknownArgumentType]
