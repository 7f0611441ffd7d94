"""How tasks and problems look."""

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from asyncapiproxy.task.display import (
    STYLES,
    problem_view,
    progress_view,
    task_view,
    tasks_view,
)
from asynctasks.task import TaskStatus

TASK: dict[str, Any] = {
    "id": "01a20d2b-c3ed-76f0-8622-758cfbed0d1d",
    "operation": "create-client",
    "status": "succeeded",
    "done": True,
    "attempt": 2,
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
    assert "watched for 3 s; Ctrl-C leaves" in shown(progress_view(running, seconds=3.2))
    assert "watched" not in shown(progress_view(TASK, seconds=3.2))


def test_text_from_elsewhere_steers_neither_terminal_nor_markup():
    body = "\x1b[2J[red]stop[/red] [/nothing]"
    text = shown(task_view(TASK | {"response": TASK["response"] | {"body": body}}))
    assert "�[2J[red]stop[/red] [/nothing]" in text
    assert "�[2J" in shown(problem_view({"title": "\x1b[2J", "status": 500}))


def test_a_huge_body_is_cut():
    text = shown(task_view(TASK | {"response": TASK["response"] | {"body": "x" * 30_000}}))
    assert "(30000 characters; --json shows all)" in text


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
