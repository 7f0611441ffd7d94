"""What the chaos test says of callbacks, by what the database and the receivers know."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asyncapiproxy import CallbackEvent, TaskState
from asynctestkit.chaos.callbacks import REASONS, Callbacks, Delivered
from asynctestkit.chaos.receivers import Receivers

TASK = "01a2239d-e763-74bb-98ed-8968143a932d"


def event(delivery_id: str, status: str = "succeeded", task: str = TASK) -> CallbackEvent:
    return CallbackEvent(
        id=delivery_id,
        type=f"dev.asyncapiproxy.task.{status}",
        source="/operations/create-client",
        time=datetime(2026, 11, 28, tzinfo=UTC),
        task=TaskState({"id": task, "operation": "create-client", "status": status}),
        links={},
        response=None,
    )


@pytest.fixture
def callbacks(tmp_path: Path) -> Callbacks:
    """A run in which one end was told, and each receiver behaved as it uses to."""
    tried = [Delivered(TASK, habit, "succeeded", (why,)) for habit, why in REASONS.items()]
    clean = Callbacks(Receivers(tmp_path), ends={TASK: "succeeded"}, deliveries=tried)
    clean.receivers.accepted["d-1"] = event("d-1")
    return clean


def test_a_run_in_which_each_end_was_told_is_clean(callbacks: Callbacks):
    assert list(callbacks.faults()) == []


def test_an_end_that_nobody_was_told_is_a_fault(callbacks: Callbacks):
    """As where a delivery is acknowledged and was not made."""
    callbacks.receivers.accepted.clear()
    assert list(callbacks.faults()) == [("nobody was told that it is succeeded", TASK)]


def test_an_end_that_was_told_by_two_ids_or_otherwise_than_it_was_is_a_fault(callbacks: Callbacks):
    callbacks.receivers.accepted["d-2"] = event("d-2")
    assert list(callbacks.faults()) == [("its end was told by 2 ids", TASK)]
    callbacks.receivers.accepted = {"d-1": event("d-1", "failed")}
    assert list(callbacks.faults()) == [("it is succeeded, and failed was told", TASK)]


def test_an_end_of_no_task_a_failed_delivery_and_what_came_astray_are_faults(callbacks: Callbacks):
    callbacks.receivers.accepted["d-2"] = event("d-2", task="never")
    callbacks.deliveries[0] = replace(callbacks.deliveries[0], status="failed")
    callbacks.receivers.astray.append("127.1.0.1:8080")
    callbacks.receivers.unfit.append("steady: No key has signed this id, time and body.")
    assert list(callbacks.faults()) == [
        ("an end was told of a task that is not there", "never"),
        ("a delivery is failed", TASK),
        ("steady: No key has signed this id, time and body.", ""),
        ("127.1.0.1:8080 was called", ""),
    ]


def test_a_run_in_which_a_receiver_was_always_well_says_nothing(callbacks: Callbacks):
    callbacks.deliveries = [each for each in callbacks.deliveries if each.habit != "down"]
    ((fault, _),) = callbacks.faults()
    assert "down" in fault
