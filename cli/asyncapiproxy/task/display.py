"""How tasks and problems look to a person. What came from elsewhere is shown, never interpreted."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Group
from rich.highlighter import JSONHighlighter
from rich.text import Text

from asyncapiproxy.shown_text import (
    age,
    due,
    facts_table,
    in_short,
    instant,
    list_table,
    plain,
    printable,
)
from asynctasks.json_values import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType
    from rich.table import Table

    from asyncapiproxy.client.task_state import Document

STYLES: dict[str, str] = {
    "queued": "yellow",
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
    "expired": "red",
}
DEFAULT_PRIORITY = 5
"""Which most tasks have, and which is not worth a line."""
LONGEST_BODY = 20_000
"""Characters of a response that are shown; all of it is at `task response`."""


def task_view(task: Document) -> RenderableType:
    """A task: where it stands, its attempts, its response or error."""
    parts: list[RenderableType] = [
        _facts(task["status"], (*_origin(task), *_course(task), *_outcome(task)))
    ]
    response: Document | None = task.get("response")
    if response is not None and response.get("body") is not None:
        parts += ["", _body(response["body"])]
    return Group(*parts)


def waiting_view(task: Document, *, seconds: float) -> RenderableType:
    """A task that a person waits for, for so long now: where it stands, on a few lines."""
    from rich.spinner import Spinner  # noqa: PLC0415 - only a terminal needs it

    told = [f"{task['status']}, {in_short(seconds)}", *_while_waiting(task)]
    spinner = Spinner("dots", text=Text.assemble(" ", ", ".join(map(printable, told))))
    leaving = Text("  Ctrl-C leaves, the task goes on", style="dim")
    return Group(Text.assemble(("task ", "dim"), task["id"]), spinner, leaving)


def _while_waiting(task: Document) -> Iterator[str]:
    if task.get("attempt", 0) > 1 or task.get("nextAttemptAt"):
        yield f"attempt {_attempt(task)}"
    if task.get("nextAttemptAt"):
        yield f"next {due(task['nextAttemptAt']).partition(',')[0]}"
    if held := task.get("heldBy"):
        yield f"held by {held['kind']} {held['name']}"
    if task.get("progress") is not None:
        yield f"{task['progress']} %"
    if task.get("message"):
        yield task["message"]


def _attempt(task: Document) -> str:
    """Which attempt it is, of how many; those that were given back count in no maximum."""
    number, counted, most = task["attempt"], task["countedAttempts"], task["maxAttempts"]
    return f"{number} of {most}" if counted == number else f"{number}, {counted} of {most} counted"


def tasks_view(tasks: Iterable[Document]) -> RenderableType:
    """A line for each task, within 80 columns: a long operation is folded, an id never cut."""
    table = list_table("task")
    table.add_column("operation", overflow="fold")
    for title in ("status", "attempt", "age"):
        table.add_column(title, no_wrap=True)
    for task in tasks:
        table.add_row(
            plain(task["id"]),
            plain(task["operation"]),
            _status(task["status"]),
            plain(_attempt(task)),
            plain(age(task["createdAt"])),
        )
    return table


def wide_tasks_view(tasks: Iterable[Document]) -> RenderableType:
    """A line for each task, with all that fits into one."""
    titles = ("task", "operation", "status", "attempt", "priority", "created", "finished")
    table = list_table(*titles, "principal", "labels", "batch", "message")
    for task in tasks:
        cells = (
            _attempt(task),
            str(task.get("priority", "")),
            instant(task["createdAt"]),
            instant(task["finishedAt"]) if task.get("finishedAt") else "",
            task.get("principal") or "",
            _labels(task),
            task.get("batch") or "",
            (_message(task) or _problem_detail(task)).replace("\n", " "),
        )
        table.add_row(
            plain(task["id"]), plain(task["operation"]), _status(task["status"]), *map(plain, cells)
        )
    return table


def batch_view(batch: Document) -> RenderableType:
    """A batch: what is done with which tasks, and how far that has come."""
    pairs = (
        ("batch", batch["id"]),
        ("action", batch["action"]),
        ("tasks", _filter(batch)),
        ("created", instant(batch["createdAt"])),
        ("finished", instant(batch["finishedAt"]) if batch.get("finishedAt") else ""),
        *((name, str(count)) for name, count in batch["counts"].items()),
        *((f"  {name}", str(count)) for name, count in batch["failures"].items()),
    )
    return _facts(batch["status"], pairs)


def batches_view(batches: Iterable[Document]) -> RenderableType:
    """A line for each batch."""
    table = list_table("batch", "action", "status")
    table.add_column("tasks", overflow="fold")
    for title in (*_COUNTS, "age"):
        table.add_column(title, no_wrap=True)
    for batch in batches:
        counts = (str(batch["counts"][name]) for name in _COUNTS)
        table.add_row(
            plain(batch["id"]),
            plain(batch["action"]),
            _status(batch["status"]),
            plain(_filter(batch)),
            *counts,
            plain(age(batch["createdAt"])),
        )
    return table


_COUNTS = ("done", "skipped", "failed")


def _filter(batch: Document) -> str:
    pairs = (
        f"{name}={word}"
        for name, given in batch["filter"].items()
        for word in ([given] if isinstance(given, str) else given)
    )
    return ", ".join(pairs) or "all"


def deliveries_view(deliveries: Iterable[Document]) -> RenderableType:
    """A line for each delivery, and below its URL why the last try of one was none."""
    table = list_table("no.", "event", "status", "tries", "next")
    table.add_column("url", overflow="fold")
    for delivery in deliveries:
        table.add_row(
            str(delivery["number"]),
            plain(delivery["event"]),
            _status(delivery["status"]),
            str(len(delivery["attempts"])),
            plain(_next_try(delivery)),
            plain("\n".join(filter(None, (delivery["url"], _why_not(delivery))))),
        )
    return table


def wide_deliveries_view(deliveries: Iterable[Document]) -> RenderableType:
    """A line for each delivery, with all that fits into one."""
    titles = ("no.", "delivery", "event", "status", "tries", "created", "finished", "next")
    table = list_table(*titles, "url", "message")
    for delivery in deliveries:
        cells = (
            instant(delivery["createdAt"]),
            instant(delivery["finishedAt"]) if delivery.get("finishedAt") else "",
            _next_try(delivery),
            delivery["url"],
            _why_not(delivery).replace("\n", " "),
        )
        table.add_row(
            str(delivery["number"]),
            plain(delivery["id"]),
            plain(delivery["event"]),
            _status(delivery["status"]),
            str(len(delivery["attempts"])),
            *map(plain, cells),
        )
    return table


def problem_view(problem: Document) -> RenderableType:
    """A problem: what was wrong, and where."""
    title = f"{problem.get('title', 'Problem')} ({problem.get('status', '?')})"
    lines = [Text.assemble(("Error: ", "bold red"), printable(title))]
    errors: list[Document] = problem.get("errors") or []
    if not errors:
        lines.append(plain(f"  {problem.get('detail', '')}"))
    lines += [
        Text.assemble(
            "  ", (printable(error.get("pointer") or error.get("parameter") or "/"), "bold"), "  "
        )
        + plain(error.get("detail", ""))
        for error in errors
    ]
    return Group(*lines)


def _facts(status: str, pairs: Iterable[tuple[str, str]]) -> Table:
    """The status, and what of the rest is there."""
    facts = facts_table()
    facts.add_row("status", _status(status))
    for name, text in pairs:
        if text:
            facts.add_row(name, plain(text))
    return facts


def _origin(task: Document) -> Iterator[tuple[str, str]]:
    """What was asked for."""
    yield "task", task["id"]
    yield "operation", task["operation"]
    if task.get("arguments"):
        yield "arguments", write_json(task["arguments"]).decode()
    if task.get("principal"):
        yield "principal", task["principal"]
    if task.get("priority") not in (None, DEFAULT_PRIORITY):
        yield "priority", str(task["priority"])
    yield "labels", _labels(task)
    yield "batch", task.get("batch") or ""


def _course(task: Document) -> Iterator[tuple[str, str]]:
    """How it went so far."""
    if task.get("createdAt"):
        yield "created", instant(task["createdAt"])
    if task.get("deadline"):
        yield "deadline", instant(task["deadline"])
    if task.get("maxAttempts"):
        yield "attempt", _attempt(task)
    attempts: list[Document] = task.get("attempts") or []
    for attempt in attempts:
        if attempt.get("detail"):
            yield "", f"{attempt['number']}: {attempt['detail']}"
    if task.get("nextAttemptAt"):
        yield "next", due(task["nextAttemptAt"])
    if held := task.get("heldBy"):
        yield "held by", f"{held['kind']} {held['name']}"
    if task.get("cancelRequested") and not task["done"]:
        yield "cancel", "asked for; its executor stops it"
    if task.get("progress") is not None:
        yield "progress", f"{task['progress']} %"
    yield "message", _message(task)


def _outcome(task: Document) -> Iterator[tuple[str, str]]:
    """How it ended."""
    if task.get("finishedAt"):
        yield "finished", f"{instant(task['finishedAt'])}, {_took(task)}"
    if error := task.get("error"):
        yield "error", f"{error['title']}: {error['detail']}"
    if response := task.get("response"):
        yield "response", f"{response['status']} {response['contentType']}"


def _body(body: Any) -> RenderableType:
    text = body if isinstance(body, str) else write_json(body, orjson.OPT_INDENT_2).decode()
    if len(text) > LONGEST_BODY:
        return plain(f"{text[:LONGEST_BODY]}…\n({len(text)} characters; `task response` gives all)")
    return plain(text) if isinstance(body, str) else JSONHighlighter()(Text(text))


def _status(status: str) -> Text:
    return Text(f"● {printable(status)}", style=STYLES.get(status, ""))


def _next_try(delivery: Document) -> str:
    return due(delivery["nextAttemptAt"]).partition(",")[0] if delivery.get("nextAttemptAt") else ""


def _why_not(delivery: Document) -> str:
    """Why the last try that has ended did not succeed."""
    return delivery["attempts"][-1].get("detail", "") if delivery["attempts"] else ""


def _labels(task: Document) -> str:
    labels: dict[str, str] = task.get("labels") or {}
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def _message(task: Document) -> str:
    return task.get("message") or ""


def _problem_detail(task: Document) -> str:
    error: Document = task.get("error") or {}
    return error.get("detail", "")


def _took(task: Document) -> str:
    took = datetime.fromisoformat(task["finishedAt"]) - datetime.fromisoformat(task["createdAt"])
    return f"after {max(0.0, took.total_seconds()):.2f} s"
