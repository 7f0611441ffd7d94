"""A revision tells whether two files declare the same, and who may run a task of it."""

from dataclasses import replace
from typing import Any

import pytest

from asyncexecutor.misses import pause_seconds
from asynctasks.operations.operation import Operation
from asynctasks.operations.operations_file import parse_operations
from asynctasks.statements.claims import Claimable
from asynctasks.statements.unclaimed import Refusal, UnclaimedTask, refusal
from asynctasks.task import TaskStatus

DECLARED: dict[str, Any] = {
    "name": "create-client",
    "route": "POST /clients",
    "arguments": {"type": "object", "properties": {"age": {"type": "integer"}}, "minProperties": 1},
    "upstream": {"url": "https://clients.example.com", "headers": {"A": "1", "B": "2"}},
    "retry": {"maxAttempts": 3, "onStatus": [503, 429, 408]},
}


def revision(**changed: Any) -> str:
    return Operation.model_validate(DECLARED | changed).revision


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"waitSeconds": 10, "queue": "default"},  # the defaults
        {"retry": {"onStatus": [408, 429, 503], "maxAttempts": 3, "backoffSeconds": [1, 60]}},
        {"retentionSeconds": {"failed": 86_400}},  # nobody runs it otherwise
        {"arguments": dict(reversed(DECLARED["arguments"].items()))},
    ],
)
def test_what_declares_the_same_is_one_revision(same: dict[str, Any]):
    assert revision(**same) == revision()


@pytest.mark.parametrize(
    "other",
    [
        {"name": "create-person"},
        {"route": "PUT /clients"},
        {"queue": "clients"},
        {"waitSeconds": 5},
        {"retry": {"maxAttempts": 3, "onStatus": [503, 429]}},
        {"upstream": {"url": "https://clients.example.com", "headers": {"A": "1", "B": "3"}}},
        {"arguments": {"type": "object", "properties": {"age": {"type": "number"}}}},
        {"arguments": {"type": "object", "maximum": 2**70}},
    ],
)
def test_what_declares_something_else_is_another_revision(other: dict[str, Any]):
    assert revision(**other) != revision()


def test_a_revision_is_short_and_the_same_in_every_process():
    text = "operations: {a: {route: POST /a, handler: 'a:b', retry: {onStatus: [503, 500, 429]}}}"
    assert parse_operations(text, name="x")["a"].revision == "60f7876d1e6e16eb"


CLAIMABLE = Claimable("clients", {"create-client": "own"}, {"met"})
WAITING: dict[str, Any] = {
    "status": TaskStatus.QUEUED,
    "queue": "clients",
    "operation": "create-client",
    "revision": "other",
    "age_seconds": 1.0,
    "is_due": True,
    "has_job": False,
    "is_older": False,
    "is_published": True,
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Refusal.UNKNOWN_REVISION),
        ({"is_older": True}, Refusal.OLDER_REVISION),
        ({"revision": "own"}, Refusal.NO_LONGER),
        ({"revision": "met"}, Refusal.NO_LONGER),
        ({"revision": None}, Refusal.NO_LONGER),
        ({"operation": "new"}, Refusal.UNKNOWN_OPERATION),
        ({"operation": "new", "is_older": True}, Refusal.UNKNOWN_OPERATION),
        ({"operation": "new", "revision": None}, Refusal.UNKNOWN_OPERATION),
        ({"queue": "others", "operation": "new"}, Refusal.OTHER_QUEUE),
        ({"is_due": False, "queue": "others"}, Refusal.NOT_WAITING),
        ({"status": TaskStatus.RUNNING, "operation": "new"}, Refusal.NOT_WAITING),
        ({"status": TaskStatus.SUCCEEDED, "queue": "others"}, Refusal.NOT_WAITING),
    ],
)
def test_why_a_claim_found_nothing(changed: dict[str, Any], expected: Refusal):
    assert refusal(UnclaimedTask(**(WAITING | changed)), CLAIMABLE) is expected


LIMITED = replace(CLAIMABLE, limited=["create-client"])
PAUSED = replace(CLAIMABLE, held=lambda: ["create-client"])


@pytest.mark.parametrize(
    ("claimable", "changed", "expected"),
    [
        (LIMITED, {"is_published": False}, Refusal.NOT_RELEASED),
        (LIMITED, {"is_published": False, "has_job": True}, Refusal.UNKNOWN_REVISION),
        (LIMITED, {"revision": "own"}, Refusal.NO_LONGER),
        (PAUSED, {}, Refusal.HELD),
        (PAUSED, {"has_job": True, "revision": "own"}, Refusal.NO_LONGER),
        (PAUSED, {"operation": "new"}, Refusal.UNKNOWN_OPERATION),
    ],
)
def test_what_limits_and_pauses_hold_is_refused_but_for_polls(
    claimable: Claimable, changed: dict[str, Any], expected: Refusal
):
    assert refusal(UnclaimedTask(**(WAITING | changed)), claimable) is expected


def test_a_task_that_is_gone_is_no_task():
    assert refusal(None, CLAIMABLE) is Refusal.NO_SUCH_TASK


@pytest.mark.parametrize(
    ("age", "pause"), [(-5, 2), (0, 2), (10, 3), (100, 12), (280, 30), (1e9, 30)]
)
def test_a_task_is_offered_again_soon_and_then_less_often(age: float, pause: float):
    assert pause_seconds(age_seconds=age) == pause
