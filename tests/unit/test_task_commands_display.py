"""How tasks and problems look."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from asyncapiproxy.shown_text import in_short, printable
from asyncapiproxy.task.display import (
    STYLES,
    deliveries_view,
    problem_view,
    task_view,
    tasks_view,
    waiting_view,
    wide_deliveries_view,
    wide_tasks_view,
)
from asynctasks.task import TaskStatus

TASK: dict[str, Any] = {
    "id": "01a20d2b-c3ed-76f0-8622-758cfbed0d1d",
    "operation": "create-client",
    "status": "succeeded",
    "done": True,
    "attempt": 2,
    "countedAttempts": 2,
    "maxAttempts": 5,
    "createdAt": "2026-11-24T10:48:21.741300Z",
    "finishedAt": "2026-11-24T10:48:23.218000Z",
    "attempts": [{"number": 1, "detail": "The upstream answered 503."}, {"number": 2}],
    "arguments": {"email": "ann@example.com"},
    "response": {"status": 201, "contentType": "application/json", "body": {"id": 7}},
    "error": None,
}


def shown(view: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_every_status_has_its_colour():
    assert set(STYLES) == set(TaskStatus)


def test_a_finished_task_shows_its_course_and_its_response():
    text = shown(task_view(TASK))
    assert "status     ● succeeded" in text
    assert "attempt    2 of 5\n           1: The upstream answered 503." in text
    assert "finished   2026-11-24 10:48:23 UTC, after 1.48 s" in text
    assert text.endswith('response   201 application/json\n\n{\n  "id": 7\n}')


@pytest.mark.parametrize(
    ("attempt", "counted", "told"),
    [(3, 2, "3, 2 of 2 counted"), (6, 0, "6, 0 of 2 counted"), (2, 1, "2, 1 of 2 counted")],
)
def test_attempts_that_were_given_back_are_told_apart(attempt: int, counted: int, told: str):
    attempts = {"attempt": attempt, "countedAttempts": counted, "maxAttempts": 2}
    assert f"attempt    {told}" in shown(task_view(TASK | attempts))
    assert told in shown(tasks_view([TASK | attempts]))


def test_a_priority_is_told_where_it_is_not_that_of_most():
    assert "priority   7" in shown(task_view(TASK | {"priority": 7}))
    assert "priority   0" in shown(task_view(TASK | {"priority": 0}))
    assert "priority" not in shown(task_view(TASK | {"priority": 5}))


@pytest.mark.parametrize("body", [None, "", False, 0])
def test_a_response_may_have_any_body(body: Any):
    assert "response   201" in shown(
        task_view(TASK | {"response": TASK["response"] | {"body": body}})
    )


def test_a_failed_task_shows_its_error():
    error = {"title": "The upstream failed", "detail": "It answered 503."}
    task = TASK | {"status": "failed", "response": None, "error": error}
    assert "error      The upstream failed: It answered 503." in shown(task_view(task))


def test_a_watched_task_says_for_how_long_and_what_ctrl_c_does():
    running = TASK | {"status": "running", "done": False, "finishedAt": None, "response": None}
    text = shown(waiting_view(running | {"progress": 40, "message": "step 2"}, seconds=3.2))
    assert "01a20d2b-c3ed-76f0-8622-758cfbed0d1d" in text
    assert "running, 3s, attempt 2 of 5, 40 %, step 2" in text
    assert "Ctrl-C leaves, the task goes on" in text


def test_why_a_task_waits_is_told():
    due_at = (datetime.now(UTC) + timedelta(seconds=90.5)).isoformat()
    queued = TASK | {"status": "queued", "done": False, "finishedAt": None, "response": None}
    queued |= {"nextAttemptAt": due_at, "heldBy": {"kind": "limit", "name": "crm"}}
    queued |= {"message": "as many run as it lets", "cancelRequested": True}
    lines = [" ".join(line.split()) for line in shown(task_view(queued)).splitlines()]
    assert any(line.startswith("next in 90s, 20") for line in lines)
    assert {"held by limit crm", "message as many run as it lets"} <= set(lines)
    assert "cancel asked for; its executor stops it" in lines
    assert "next in 90s, held by limit crm" in shown(waiting_view(queued, seconds=3))


def test_a_long_name_is_folded_and_an_id_never_cut():
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(tasks_view([TASK | {"operation": "a-name-of-more-than-thirty-letters" * 2}]))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert TASK["id"] in lines[1]
    assert "● succeeded" in lines[1]
    assert "2 of 5" in lines[1]
    assert max(map(len, lines)) <= 80


def test_a_wide_line_has_all_of_a_task():
    failed = TASK | {"error": {"title": "No", "detail": "It answered\n503."}, "labels": {"a": "b"}}
    console = Console(file=io.StringIO(), width=1_000, color_system=None)
    console.print(wide_tasks_view([failed | {"principal": "ann", "priority": 7}]))
    assert isinstance(console.file, io.StringIO)
    (line,) = console.file.getvalue().splitlines()[1:]
    for told in (
        TASK["id"],
        "2 of 5",
        "7",
        "2026-11-24 10:48:21 UTC",
        "ann",
        "a=b",
        "It answered 503.",
    ):
        assert told in line


DELIVERY: dict[str, Any] = {
    "number": 12,
    "id": "01a2239d-eb94-7e63-90e5-2456893babb9",
    "url": "https://erp.example.com/hooks/tasks/" + "long/" * 12,
    "event": "succeeded",
    "status": "cancelled",
    "attempts": [{"number": 1, "outcome": "failed", "detail": "The receiver\nanswered 503."}] * 10,
    "createdAt": "2026-11-24T10:48:21.741300Z",
    "finishedAt": "2026-11-24T10:48:23.218000Z",
    "nextAttemptAt": None,
}


def test_a_delivery_fits_into_80_columns_and_says_why_its_last_try_failed():
    due_at = (datetime.now(UTC) + timedelta(minutes=30.5)).isoformat()
    waiting = DELIVERY | {"status": "queued", "nextAttemptAt": due_at}
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(deliveries_view([DELIVERY, waiting, DELIVERY | {"attempts": []}]))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[:5] == ["12", "succeeded", "●", "cancelled", "10"]
    assert sum("answered 503." in line for line in lines) == 2
    (queued,) = (line for line in lines if "● queued" in line)
    assert " in 30m " in queued


def test_a_wide_line_has_all_of_a_delivery():
    console = Console(file=io.StringIO(), width=1_000, color_system=None)
    console.print(wide_deliveries_view([DELIVERY]))
    assert isinstance(console.file, io.StringIO)
    (line,) = console.file.getvalue().splitlines()[1:]
    assert "2026-11-24 10:48:21 UTC  2026-11-24 10:48:23 UTC" in line
    for told in (DELIVERY["id"], DELIVERY["url"], "The receiver answered 503."):
        assert told in line


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d")],
)
def test_times_are_short(seconds: float, told: str):
    assert in_short(seconds) == told


def test_lines_may_end_as_windows_ends_them():
    assert printable("a\r\nb\rc") == "a\nb\N{REPLACEMENT CHARACTER}c"


def test_text_from_elsewhere_steers_neither_terminal_nor_markup():
    body = "\x1b[2J[red]stop[/red] [/nothing]"
    text = shown(task_view(TASK | {"response": TASK["response"] | {"body": body}}))
    assert "�[2J[red]stop[/red] [/nothing]" in text
    assert "�[2J" in shown(problem_view({"title": "\x1b[2J", "status": 500}))


def test_a_huge_body_is_cut():
    text = shown(task_view(TASK | {"response": TASK["response"] | {"body": "x" * 30_000}}))
    assert "(30000 characters; `task response` gives all)" in text


def test_a_problem_shows_each_field_by_its_pointer():
    errors = [{"pointer": "", "detail": '"name" is required'}, {"pointer": "/age", "detail": "no"}]
    problem = {
        "title": "The arguments are not valid",
        "status": 422,
        "detail": "x",
        "errors": errors,
    }
    assert shown(problem_view(problem)).splitlines() == [
        "Error: The arguments are not valid (422)",
        '  /  "name" is required',
        "  /age  no",
    ]
    assert shown(problem_view({"title": "Gone", "status": 410, "detail": "It is gone."})) == (
        "Error: Gone (410)\n  It is gone."
    )


def test_tasks_are_a_line_each():
    lines = shown(tasks_view([TASK, TASK | {"status": "failed"}])).splitlines()
    assert len(lines) == 3
    assert "● failed" in lines[2]
