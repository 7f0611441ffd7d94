"""Reads the operations file. What is wrong is told by line, key and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from asynctasks.declarations.declared_file import parse_text, read_text
from asynctasks.errors import OperationsFileError
from asynctasks.json_values import as_object
from asynctasks.limits.limit import Limit
from asynctasks.operations.operation import (
    NAME,
    Operation,
    Operations,
)
from asynctasks.operations.schema_keywords import schemas_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asynctasks.declarations.declared_file import Read, Report

DeclaredLimits = dict[str, Limit | None]
"""By name; None where its declaration is at fault."""

log = structlog.get_logger(__name__)


def load_operations(file: Path, *, read: Read = Path.read_bytes) -> Operations:
    """The operations by name; raises OperationsFileError."""
    text = read_text(file, error=OperationsFileError, read=read)
    return parse_operations(text, name=str(file))


def parse_operations(text: str, *, name: str) -> Operations:
    """The operations in the text of the file called `name`; raises OperationsFileError."""
    document, report = parse_text(text, name=name, error=OperationsFileError)
    operations = _operations(document, report)
    report.raise_if_any()
    for operation in operations.values():
        _warn_of_booleans(operation)
    named = {limit for operation in operations.values() for limit in operation.limits}
    for limit in (as_object(document.get("limits")) or {}).keys() - named:
        log.warning("no operation names this limit: it bounds nothing", limit=limit)
    return operations


def _operations(document: Any, report: Report) -> Operations:
    top = as_object(document) or {}
    for key in top:
        if key not in {"operations", "limits"}:
            report.add((key,), "unknown key; expected `operations` or `limits`")
    limits = _limits(top.get("limits"), report)
    declared = as_object(top.get("operations"))
    if not declared:
        report.add((), "expected `operations:` with at least one operation below it")
        return {}
    operations: Operations = {}
    served: dict[tuple[str, str], str] = {}
    for name, declaration in declared.items():
        operation = _operation(name, declaration, report)
        if operation is None:
            continue
        operations[name] = operation.bounded_by(_bounding(operation, limits, report))
        other = served.setdefault((operation.method, operation.served_path), name)
        if other != name:
            report.add(("operations", name, "route"), f"{other} has this route already")
    return operations


def _limits(declared: Any, report: Report) -> DeclaredLimits:
    if declared is None:
        return {}
    declarations = as_object(declared)
    if declarations is None:
        report.add(("limits",), "expected limits by their names: crm: {concurrency: 40}")
        return {}
    return {name: _limit(name, each, report) for name, each in declarations.items()}


def _limit(name: str, declaration: Any, report: Report) -> Limit | None:
    key = ("limits", name)
    settings = as_object(declaration)
    if not NAME.fullmatch(name):
        report.add(
            key,
            "a limit's name is made of a-z, 0-9 and -, begins with a letter, 63 at most: crm",
        )
    elif settings is None:
        report.add(key, "expected what it limits: concurrency, ratePerSecond, breaker, …")
    elif "name" in settings:
        report.add((*key, "name"), "unknown key; the name is the key above")
    else:
        try:
            limit = Limit.model_validate({**settings, "name": name})
        except ValidationError as error:
            report.add_all(error, Limit, at=key, hidden=frozenset({"name"}))
        else:
            report.add_empty(settings, at=key)
            return limit
    return None


def _bounding(operation: Operation, limits: DeclaredLimits, report: Report) -> dict[str, Limit]:
    """Those of the limits that it names; of one that is at fault itself that is told already."""
    found: dict[str, Limit] = {}
    for index, name in enumerate(operation.limits):
        key = ("operations", operation.name, "limits", index)
        if name not in limits:
            report.add(key, f"there is no {name!r} below `limits`")
        elif name in operation.limits[:index]:
            report.add(key, f"{name} stands here twice")
        elif (limit := limits[name]) is not None:
            found[name] = limit
    _check_fairness(operation, found.values(), report)
    return found


def _check_fairness(operation: Operation, limits: Iterable[Limit], report: Report) -> None:
    """A task waits in one line for all its limits, so they agree on whose line that is."""
    shared = [limit for limit in limits if limit.fair_by is not None]
    for limit in shared[1:]:
        if limit.fair_by != shared[0].fair_by:
            report.add(
                ("operations", operation.name, "limits", operation.limits.index(limit.name)),
                f"{limit.name} is shared by {limit.fair_by}, {shared[0].name} by "
                f"{shared[0].fair_by}; expected limits with the same `fairBy`",
            )


def _operation(name: str, declaration: Any, report: Report) -> Operation | None:
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
        report.add_all(error, Operation, at=key, hidden=frozenset({"name"}))
        return None
    # In a JSON Schema null is a value as any.
    stated: dict[str, Any] = {**settings, "arguments": {}}
    if response := as_object(settings.get("response")):
        stated["response"] = {**response, "schema": {}}
    report.add_empty(stated, at=key)
    return operation.stands_at(report.place)


def _warn_of_booleans(operation: Operation) -> None:
    """Helm reads values by YAML 1.1, where `n`, `y`, `on` and `off` are booleans, as keys too."""
    for place, part in schemas_in(operation.arguments):
        for name in {"true", "false"} & (as_object(part.get("properties")) or {}).keys():
            log.warning(
                "a property is named as a boolean: was it n, y, no, yes, off or on without quotes?",
                place=operation.place("arguments", *place, "properties", name),
            )
