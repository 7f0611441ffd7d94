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
from asynctasks.operations.callback import Callback
from asynctasks.operations.delivery_operation import NAME as DELIVERIES
from asynctasks.operations.delivery_operation import QUEUE as QUEUE_OF_DELIVERIES
from asynctasks.operations.operation import (
    NAME,
    NAME_RULE,
    Operation,
    Operations,
)
from asynctasks.operations.schema_keywords import schemas_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
        if key not in {"operations", "limits", "callbacks"}:
            report.add((key,), "unknown key; expected `operations`, `limits` or `callbacks`")
    limits = _limits(top.get("limits"), report)
    callbacks = _callbacks(top.get("callbacks"), report)
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
        operation.bounded_by(_bounding(operation, limits, report)).knows_callbacks(callbacks)
        operations[name] = operation
        other = served.setdefault((operation.method, operation.served_path), name)
        if other != name:
            report.add(("operations", name, "route"), f"{other} has this route already")
    return operations


def _limits(declared: Any, report: Report) -> DeclaredLimits:
    found: DeclaredLimits = dict.fromkeys(as_object(declared) or ())
    for name, settings in _named(
        "limits",
        declared,
        report,
        example="crm: {concurrency: 40}",
        what="what it limits: concurrency, ratePerSecond, breaker, …",
    ):
        key = ("limits", name)
        if "name" in settings:
            report.add((*key, "name"), "unknown key; the name is the key above")
            continue
        try:
            limit = Limit.model_validate({**settings, "name": name})
        except ValidationError as error:
            report.add_all(error, Limit, at=key, hidden=frozenset({"name"}))
        else:
            report.add_empty(settings, at=key)
            found[name] = limit
    return found


def _callbacks(declared: Any, report: Report) -> dict[str, Callback]:
    """Those that callers may ask for by their names."""
    found: dict[str, Callback] = {}
    for name, settings in _named(
        "callbacks",
        declared,
        report,
        example="erp: {url: https://…}",
        what="who is told: url, events, include",
    ):
        key = ("callbacks", name)
        try:
            found[name] = Callback.model_validate(settings)
        except ValidationError as error:
            report.add_all(error, Callback, at=key)
        else:
            report.add_empty(settings, at=key)
    return found


def _named(
    section: str, declared: Any, report: Report, *, example: str, what: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is declared by names in a section beside the operations, as far as it is well-formed."""
    declarations = as_object(declared)
    if declarations is None:
        if declared is not None:
            report.add((section,), f"expected {section} by their names: {example}")
        return
    for name, declaration in declarations.items():
        settings = as_object(declaration)
        if not NAME.fullmatch(name):
            report.add(
                (section, name),
                f"a {section.removesuffix('s')}'s name is made of {NAME_RULE}: "
                f"{example.partition(':')[0]}",
            )
        elif settings is None:
            report.add((section, name), f"expected {what}")
        else:
            yield name, settings


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
            f"an operation's name is made of {NAME_RULE}: create-client",
        )
        return None
    settings = as_object(declaration)
    if settings is None:
        report.add(key, "expected the operation's settings: route, arguments, upstream, …")
        return None
    if (taken := _taken(name, settings)) is not None:
        place, fault = taken
        report.add((*key, *place), fault)
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


def _taken(name: str, settings: dict[str, Any]) -> tuple[tuple[str, ...], str] | None:
    """What of it is ours to give, and where it stands below the operation."""
    if "name" in settings:
        return ("name",), "unknown key; the name is the key above"
    if name == DELIVERIES:
        return (), "the operation of this name is built in: it makes callbacks"
    if settings.get("queue") == QUEUE_OF_DELIVERIES:
        return ("queue",), "the queue of this name is that of callbacks alone"
    return None


def _warn_of_booleans(operation: Operation) -> None:
    """Helm reads values by YAML 1.1, where `n`, `y`, `on` and `off` are booleans, as keys too."""
    for place, part in schemas_in(operation.arguments):
        for name in {"true", "false"} & (as_object(part.get("properties")) or {}).keys():
            log.warning(
                "a property is named as a boolean: was it n, y, no, yes, off or on without quotes?",
                place=operation.place("arguments", *place, "properties", name),
            )
