"""How queues, operations and limits look to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncapiproxy.shown_text import facts_table, instant, list_table, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType
    from rich.table import Table

    from asyncapiproxy.client.task_state import Document

_COUNTS = ("queued", "held", "published", "running")
_BREAKERS = {"open": "red", "recovering": "yellow"}


def queues_view(queues: Iterable[Document]) -> RenderableType:
    """A line for each queue, and below it one for each operation that runs on it."""
    table = list_table("queue", *_COUNTS, "executors", "paused")
    for queue in queues:
        _add_counted(table, queue, queue["name"], str(queue["executors"]))
        for operation in queue["operations"]:
            _add_counted(table, operation, f"  {operation['name']}", "")
    return table


def operation_view(operation: Document) -> RenderableType:
    """One line for the operation."""
    table = list_table("operation", "queue", *_COUNTS, "paused")
    counts = (str(operation[what]) for what in _COUNTS)
    table.add_row(
        plain(operation["name"]),
        plain(operation["queue"] or ""),
        *counts,
        _pause(operation["paused"]),
    )
    return table


def limits_view(limits: Iterable[Document]) -> RenderableType:
    """A line for each limit, which names what was set in place of the file's."""
    table = list_table("limit", "running", "held", "rate", "breaker", "paused", "changed")
    for limit in limits:
        table.add_row(
            plain(limit["name"]),
            _running(limit),
            str(limit["held"]),
            _rate(limit),
            _breaker_state(limit["breaker"]),
            _pause(limit["paused"]),
            ", ".join(name for key, name in _BOUNDS.items() if key in limit["changed"]),
        )
    return table


def limit_view(limit: Document) -> RenderableType:
    """A limit: what it bounds, what of that is used, and whether its upstream is up."""
    facts = facts_table()
    for name, told in _facts(limit):
        if told:
            facts.add_row(name, plain(told) if isinstance(told, str) else told)
    return facts


def _facts(limit: Document) -> Iterator[tuple[str, Any]]:
    yield "limit", limit["name"]
    yield "operations", ", ".join(limit["operations"])
    for key, name in _BOUNDS.items():
        yield name, _bound(limit, key)
    declared = limit["declared"]
    yield "each has", _told(declared.get("perKey"))
    yield "shared by", declared.get("fairBy")
    yield "weights", _told(declared.get("weights"))
    yield "running", str(limit["running"])
    yield "held", str(limit["held"])
    yield "starts left", "" if limit["startsLeft"] is None else str(limit["startsLeft"])
    yield "breaker", _breaker(limit["breaker"])
    yield "it opens by", _told(declared.get("breaker"))
    yield "paused", _pause(limit["paused"])


_BOUNDS = {"concurrency": "concurrency", "ratePerSecond": "rate per second", "burst": "burst"}


def _told(declared: Document | None) -> str:
    """What the file says, as it says it."""
    return ", ".join(f"{name}: {_value(value)}" for name, value in (declared or {}).items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"  # pyright: ignore[reportUnknownArgumentType] - of JSON
    return _number(value) if isinstance(value, float) else str(value)


def _bound(limit: Document, key: str) -> str:
    """What holds, and what the file says where that is another."""
    if limit[key] is None:
        return ""
    if key not in limit["changed"]:
        return _number(limit[key])
    declared = limit["declared"].get(key)
    of_file = "none" if declared is None else _number(declared)
    return f"{_number(limit[key])} (in the file: {of_file})"


def _running(limit: Document) -> str:
    concurrency = limit["concurrency"]
    return str(limit["running"]) if concurrency is None else f"{limit['running']} of {concurrency}"


def _rate(limit: Document) -> str:
    if limit["ratePerSecond"] is None:
        return ""
    return f"{_number(limit['ratePerSecond'])} a second, {limit['burst']} at once"


def _breaker_state(breaker: Document | None) -> Any:
    if breaker is None:
        return ""
    state = plain(breaker["state"])
    state.style = _BREAKERS.get(breaker["state"], "")
    return state


def _breaker(breaker: Document | None) -> str:
    if breaker is None:
        return ""
    failures = breaker["failures"]
    told = [breaker["state"], f"{failures} failure{'' if failures == 1 else 's'} in a row"]
    if breaker["openedAt"] is not None:
        told.append(f"since {instant(breaker['openedAt'])}")
    if breaker["probeAt"] is not None:
        told.append(f"next probe {instant(breaker['probeAt'])}")
    return ", ".join(told)


def _pause(pause: Document | None) -> Any:
    if pause is None:
        return ""
    by = f" by {pause['by']}" if pause["by"] else ""
    return plain(f"since {instant(pause['since'])}{by}")


def _number(value: float) -> str:
    return f"{value:.15g}"


def _add_counted(table: Table, counted: Document, name: str, executors: str) -> None:
    counts = (str(counted[what]) for what in _COUNTS)
    table.add_row(plain(name), *counts, executors, _pause(counted["paused"]))
