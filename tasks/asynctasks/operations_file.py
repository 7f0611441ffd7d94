"""Reads the operations file. What is wrong is told by line, key and what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from asynctasks.errors import OperationsFileError
from asynctasks.operation import NAME, Operation, Operations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Key = tuple[str | int, ...]


def load_operations(file: Path) -> Operations:
    """The operations by name; raises OperationsFileError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise OperationsFileError(f"{file}: cannot be read: {reason}") from error
    return parse_operations(text, name=str(file))


def parse_operations(text: str, *, name: str) -> Operations:
    """The operations in the text of the file called `name`; raises OperationsFileError."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines = dict(_lines(node, ())) if node else {}
        document: Any = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise OperationsFileError(
            f"{name}:{line}: no YAML: {error.problem or error.context}"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise OperationsFileError(f"{name}: no YAML: {error}") from error
    finally:
        loader.dispose()
    report = _Report(name, lines)
    operations = _operations(document, report)
    report.raise_if_any()
    return operations


class _Report:
    """Collects all that is wrong with one file, so that it is mended in one go."""

    def __init__(self, name: str, lines: dict[Key, int]) -> None:
        self._name = name
        self._lines = lines
        self._faults: list[tuple[int, str]] = []

    def add(self, key: Key, expected: str) -> None:
        known = key
        while known and known not in self._lines:
            known = known[:-1]
        line = self._lines.get(known, 1)
        where = ".".join(map(str, key)) or "the file"
        self._faults.append((line, f"{self._name}:{line}: {where}: {expected}"))

    def raise_if_any(self) -> None:
        if self._faults:
            raise OperationsFileError("\n".join(text for _, text in sorted(self._faults)))


def _operations(document: Any, report: _Report) -> Operations:
    declared = document.get("operations") if isinstance(document, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(declared, dict) or not declared:
        report.add((), "expected `operations:` with at least one operation below it")
        return {}
    for key in document:  # pyright: ignore[reportUnknownVariableType]
        if key != "operations":
            report.add((key,), "unknown key; expected only `operations`")  # pyright: ignore[reportUnknownArgumentType]
    operations: Operations = {}
    routes: dict[tuple[str, str], str] = {}
    for name, declaration in declared.items():  # pyright: ignore[reportUnknownVariableType]
        operation = _operation(name, declaration, report)
        if operation is None:
            continue
        operations[operation.name] = operation
        other = routes.setdefault((operation.method, operation.path), operation.name)
        if other != operation.name:
            report.add(("operations", operation.name, "route"), f"{other} has this route already")
    return operations


def _operation(name: Any, declaration: Any, report: _Report) -> Operation | None:
    key = ("operations", name)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        report.add(key, "an operation's name is made of a-z, 0-9 and -, 63 at most: create-client")
        return None
    if not isinstance(declaration, dict):
        report.add(key, "expected the operation's settings: route, arguments, upstream, …")
        return None
    if "name" in declaration:
        report.add((*key, "name"), "unknown key; the name is the key above")
        return None
    try:
        return Operation.model_validate({**declaration, "name": name})
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            report.add((*key, *fault["loc"]), _expected(fault))
        return None


def _expected(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return "unknown key"
    if fault["type"] == "missing":
        return "is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    given = fault["input"]
    return message if isinstance(given, dict | list) else f"{message} (it is {given!r})"


def _lines(
    node: yaml.Node, key: Key, above: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[Key, int]]:
    """The line of each key; raises ValueError for a repeated key or a node inside itself."""
    if node in above:
        raise ValueError(f"line {node.start_mark.line + 1}: an alias that contains itself")
    if key == ():
        yield key, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            name = str(key_node.value)
            if name in seen:
                raise ValueError(f"line {key_node.start_mark.line + 1}: {name!r} stands here twice")
            seen.add(name)
            yield (*key, name), key_node.start_mark.line + 1
            yield from _lines(value_node, (*key, name), (*above, node))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*key, index), item.start_mark.line + 1
            yield from _lines(item, (*key, index), (*above, node))
