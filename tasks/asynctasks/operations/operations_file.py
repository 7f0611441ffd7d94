"""Reads the operations file. What is wrong is told by line, key and what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import structlog
from pydantic import BaseModel, ValidationError

from asynctasks.errors import OperationsFileError, in_our_words
from asynctasks.json_values import as_object
from asynctasks.operations.declared import SCHEMA_FAULT, UNQUOTED
from asynctasks.operations.operation import (
    NAME,
    Operation,
    Operations,
)
from asynctasks.operations.schema_keywords import schemas_in
from asynctasks.operations.yaml_lines import Key, YamlError, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

log = structlog.get_logger(__name__)

LONGEST_QUOTE = 80
"""As much of a wrong value as a message repeats."""

_EXPECTED = {
    "missing": "is missing",
    "model_type": "expected keys and values below it",
    "dict_type": "expected keys and values below it",
    "tuple_type": "expected a list",
    "frozen_set_type": "expected a list",
    "list_type": "expected a list",
    "too_short": "expected at least one",
    "string_type": "expected text",
}
"""Where pydantic's words are Python's, not YAML's."""


def load_operations(file: Path) -> Operations:
    """The operations by name; raises OperationsFileError."""
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OperationsFileError(f"{file}: cannot be read: {reason}") from error
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise OperationsFileError(f"{file}:{line}: cannot be read: it is not UTF-8 text") from error
    return parse_operations(text, name=str(file))


def parse_operations(text: str, *, name: str) -> Operations:
    """The operations in the text of the file called `name`; raises OperationsFileError."""
    try:
        document, lines = parse_yaml(text)
    except YamlError as error:
        raise OperationsFileError(f"{name}:{error.line}: {error}") from error
    report = _Report(name, lines)
    operations = _operations(document, report)
    report.raise_if_any()
    for operation in operations.values():
        _warn_of_booleans(operation)
    return operations


class _Report:
    """Collects all that is wrong with one file, so that it is mended in one go."""

    def __init__(self, name: str, lines: Mapping[Key, int]) -> None:
        self._name = name
        self._lines = lines
        self._faults: list[tuple[int, str]] = []

    def add(self, key: Key, expected: str) -> None:
        self._faults.append((self._line(key), f"{self.place(key)}: {expected}"))

    def place(self, key: Key) -> str:
        where = ".".join(map(str, key)) or "the file"
        return f"{self._name}:{self._line(key)}: {where}"

    def _line(self, key: Key) -> int:
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def raise_if_any(self) -> None:
        if self._faults:
            raise OperationsFileError("\n".join(text for _, text in sorted(self._faults)))


def _operations(document: Any, report: _Report) -> Operations:
    top = as_object(document) or {}
    declared = as_object(top.get("operations"))
    if not declared:
        report.add((), "expected `operations:` with at least one operation below it")
        return {}
    for key in top:
        if key != "operations":
            report.add((key,), "unknown key; expected only `operations`")
    operations: Operations = {}
    served: dict[tuple[str, str], str] = {}
    for name, declaration in declared.items():
        operation = _operation(name, declaration, report)
        if operation is None:
            continue
        operations[name] = operation
        other = served.setdefault((operation.method, operation.served_path), name)
        if other != name:
            report.add(("operations", name, "route"), f"{other} has this route already")
    return operations


def _operation(name: str, declaration: Any, report: _Report) -> Operation | None:
    key = ("operations", name)
    if not NAME.fullmatch(name):
        report.add(
            key,
            "an operation's name is made of a-z, 0-9 and -, begins with a letter, "
            "63 at most: create-client",
        )
        return None
    settings = as_object(declaration)
    if settings is None:
        report.add(key, "expected the operation's settings: route, arguments, upstream, …")
        return None
    if "name" in settings:
        report.add((*key, "name"), "unknown key; the name is the key above")
        return None
    try:
        operation = Operation.model_validate({**settings, "name": name})
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            for within, expected in _told(fault):
                report.add((*key, *fault["loc"], *within), expected)
        return None
    return operation.stands_at(report.place)


def _warn_of_booleans(operation: Operation) -> None:
    """Helm reads values by YAML 1.1, where `n`, `y`, `on` and `off` are booleans, as keys too."""
    for place, part in schemas_in(operation.arguments):
        for name in {"true", "false"} & (as_object(part.get("properties")) or {}).keys():
            log.warning(
                "a property is named as a boolean: was it n, y, no, yes, off or on without quotes?",
                place=operation.place("arguments", *place, "properties", name),
            )


def _told(fault: Any) -> list[tuple[Key, str]]:
    """Where below its place, and what was expected there."""
    if fault["type"] == SCHEMA_FAULT:
        return fault["ctx"]["faults"]
    return [((), _expected(fault))]


def _model_at(key: Key) -> type[BaseModel]:
    """What may stand below the key of an operation."""
    model: type[BaseModel] = Operation
    for name in key:
        (field,) = [one for one in model.model_fields.values() if one.validation_alias == name]
        (model,) = _models_in(field.annotation)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _expected(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        keys = tuple(key for key in fault["loc"][:-1] if isinstance(key, str))
        fields = _model_at(keys).model_fields
        hidden = {"name"} if not keys else set[str]()
        names = (field.validation_alias for name, field in fields.items() if name not in hidden)
        return "unknown key; expected one of " + ", ".join(sorted(map(str, names)))
    if fault["type"] == UNQUOTED:
        return str(fault["msg"])
    message: str = _EXPECTED.get(fault["type"], in_our_words(str(fault["msg"])))
    if fault["type"] == "missing" or isinstance(fault["input"], dict | list):
        return message
    return f"{message} (it is {_quoted(fault['input'])})"


def _quoted(value: Any) -> str:
    quoted = repr(value)
    return quoted if len(quoted) <= LONGEST_QUOTE else quoted[: LONGEST_QUOTE - 1] + "…"
