"""From an operation and a caller's wishes to a new task, and what no door may let in."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from asynctasks.errors import (
    ArgumentsInvalidError,
    SealingKeyMissingError,
    TaskOption,
    TaskOptionsError,
)
from asynctasks.limits.limit import Limit
from asynctasks.operations.fingerprint import fingerprints
from asynctasks.operations.new_task import NewTask, new_task
from asynctasks.operations.operation import Operation
from asynctasks.operations.sealing import Sealing, new_sealing_key
from asynctasks.operations.task_options import MAX_LABELS, MAX_SECONDS, TaskOptions
from asynctasks.task import TaskStatus, new_task_id

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SEALING = Sealing([new_sealing_key()])


def operation(**declared: Any) -> Operation:
    defaults: dict[str, Any] = {
        "name": "create-client",
        "route": "POST /clients",
        "queue": "clients",
        "handler": "asyncio:sleep",
        "retry": {"maxAttempts": 7},
        "arguments": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "password": {"type": "string", "writeOnly": True},
            },
        },
    }
    return Operation.model_validate(defaults | declared)


PLAIN = operation()
LATE = operation(deadlineSeconds=60, delaySeconds=5, labels={"team": "blue", "tier": "1"})


def made(declared: Operation = PLAIN, /, **wishes: Any) -> NewTask:
    """The task of these wishes; what is no option is given as it is."""
    names = TaskOptions.__dataclass_fields__.keys()
    rest = {name: value for name, value in wishes.items() if name not in names}
    options = TaskOptions(**{name: wishes[name] for name in wishes.keys() & names})
    defaults: dict[str, Any] = {
        "arguments": {"name": "Ann"},
        "sealing": SEALING,
        "task_id": new_task_id(),
        "created_at": NOW,
    }
    return new_task(declared, options=options, **(defaults | rest))


def refused(declared: Operation = PLAIN, /, **wishes: Any) -> TaskOptionsError:
    with pytest.raises(TaskOptionsError) as caught:
        made(declared, **wishes)
    return caught.value


def text_of(arguments: Any) -> bytes:
    assert isinstance(arguments, orjson.Fragment)
    return orjson.dumps(arguments)


def test_where_nothing_is_asked_for_the_operation_decides():
    task = made(LATE)
    assert (task.operation, task.queue, task.max_attempts) == ("create-client", "clients", 7)
    assert (task.deadline_seconds, task.delay_seconds) == (60, 5)
    assert task.labels == {"team": "blue", "tier": "1"}
    assert (task.idempotency_key, task.fingerprint, task.deadline) == (None, None, None)


def test_what_is_asked_for_comes_before_what_the_operation_says():
    task = made(LATE, deadline_seconds=90, delay_seconds=0, labels={"tier": "2", "owner": "ann"})
    assert (task.deadline_seconds, task.delay_seconds) == (90, None)
    assert task.labels == {"team": "blue", "tier": "2", "owner": "ann"}


def test_its_priority_is_the_callers_else_the_operations_else_5():
    assert made().priority == 5
    assert made(operation(priority=7)).priority == 7
    assert made(operation(priority=7), priority=0).priority == 0


@pytest.mark.parametrize(
    ("fair_by", "key"),
    [(None, ""), ("principal", "ann"), ("tenant", "red"), ("label:team", "blue"), ("label:x", "")],
)
def test_it_is_for_whoever_shares_the_limits_of_its_operation(fair_by: str | None, key: str):
    mail = Limit.model_validate({"name": "mail", "fairBy": fair_by})
    limits = {"crm": Limit(name="crm"), "mail": mail}
    declared = operation(limits=["crm", "mail"], labels={"team": "red"}).bounded_by(limits)
    task = made(declared, principal="ann", tenant="red", labels={"team": "blue"})
    assert task.fair_key == key


def test_with_limits_it_is_held_where_others_are_published():
    assert made(publish_grace_seconds=3).published
    assert not made(operation(limits=["crm"]), publish_grace_seconds=3).published


def test_an_instant_takes_the_place_of_the_operations_seconds():
    task = made(LATE, deadline=NOW + timedelta(seconds=30))
    assert (task.deadline, task.deadline_seconds) == (NOW + timedelta(seconds=30), None)


@pytest.mark.parametrize(
    ("wishes", "option"),
    [
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "k" * 256}, "idempotency_key"),
        ({"idempotency_key": "schlüssel"}, "idempotency_key"),
        ({"idempotency_key": "a\nb"}, "idempotency_key"),
        ({"deadline_seconds": 0}, "deadline"),
        ({"deadline_seconds": -1}, "deadline"),
        ({"deadline_seconds": math.nan}, "deadline"),
        ({"deadline_seconds": math.inf}, "deadline"),
        ({"deadline_seconds": MAX_SECONDS + 1}, "deadline"),
        ({"deadline": NOW}, "deadline"),
        ({"deadline": NOW + timedelta(seconds=MAX_SECONDS + 1)}, "deadline"),
        ({"delay_seconds": -1}, "delay"),
        ({"delay_seconds": math.nan}, "delay"),
        ({"delay_seconds": MAX_SECONDS + 1}, "delay"),
        ({"priority": -1}, "priority"),
        ({"priority": 10}, "priority"),
        ({"labels": {"": "1"}}, "labels"),
        ({"labels": {"a=b,c": "1"}}, "labels"),
        ({"labels": {"-a": "1"}}, "labels"),
        ({"labels": {"a" * 64: "1"}}, "labels"),
        ({"labels": {"a": "x" * 64}}, "labels"),
        ({"labels": {"a": "b c"}}, "labels"),
        ({"labels": {"a": "b\n"}}, "labels"),
        ({"labels": {"a": "b/c"}}, "labels"),
        ({"labels": {f"l{n}": "" for n in range(MAX_LABELS + 1)}}, "labels"),
    ],
)
def test_what_no_operation_can_grant_is_refused_by_its_option(
    wishes: dict[str, Any], option: TaskOption
):
    assert refused(**wishes).option == option


@pytest.mark.parametrize(
    "wishes",
    [
        {"idempotency_key": "k" * 255},
        {"deadline_seconds": MAX_SECONDS},
        {"deadline_seconds": 0.001},
        {"deadline": NOW + timedelta(seconds=MAX_SECONDS)},
        {"delay_seconds": MAX_SECONDS},
        {"priority": 0},
        {"priority": 9},
        {"labels": {"a" * 63: "x" * 63, "example.com/team": ""}},
        {"labels": {f"l{n}": "" for n in range(MAX_LABELS)}},
    ],
)
def test_the_bounds_themselves_are_granted(wishes: dict[str, Any]):
    task = made(**wishes)
    assert {name: getattr(task, name) for name in wishes} == wishes


def test_the_operations_labels_come_on_top_of_the_most_that_a_caller_may_give():
    assert len(made(LATE, labels={f"l{n}": "" for n in range(MAX_LABELS)}).labels) == 22


@pytest.mark.parametrize(
    ("declared", "wishes"),
    [
        (PLAIN, {"deadline_seconds": 60, "delay_seconds": 60}),
        (PLAIN, {"deadline": NOW + timedelta(seconds=5), "delay_seconds": 5}),
        (LATE, {"deadline_seconds": 5}),
        (LATE, {"delay_seconds": 60}),
    ],
)
def test_a_task_that_could_only_expire_is_refused(declared: Operation, wishes: dict[str, Any]):
    assert refused(declared, **wishes).option == "deadline"


def test_the_option_is_told_before_the_arguments_faults():
    assert refused(arguments=[], delay_seconds=-1).option == "delay"
    with pytest.raises(ArgumentsInvalidError):
        made(arguments=[])


def test_a_wrong_label_is_quoted_in_part():
    expected = refused(labels={"a": "ü" * 1_000_000}).expected
    assert "'a=ü" in expected
    assert len(expected) < 300


def test_secrets_are_sealed_and_a_door_without_a_key_stores_none():
    arguments = {"name": "Ann", "password": "secret"}
    task = made(arguments=arguments)
    assert text_of(task.arguments) == b'{"name":"Ann"}'
    assert SEALING.unseal(task.sealed_arguments) == [(("password",), "secret")]
    assert made().sealed_arguments is None
    with pytest.raises(SealingKeyMissingError):
        made(arguments=arguments, sealing=Sealing(()))


def test_the_fingerprint_is_of_all_arguments_secret_ones_too():
    arguments = {"name": "Ann", "password": "secret"}
    task = made(arguments=arguments, idempotency_key="k")
    assert task.fingerprint == fingerprints(arguments, SEALING.keys)[0]
    assert task.fingerprint != made(idempotency_key="k").fingerprint


@pytest.mark.parametrize(
    ("grace", "delay", "published", "publish_in"),
    [(30, None, True, 30), (30, 5, False, 5), (None, None, False, 0), (None, 5, False, 5)],
)
def test_the_relay_publishes_what_is_late_and_what_nobody_else_does(
    grace: float | None, delay: float | None, published: bool, publish_in: float
):
    task = made(publish_grace_seconds=grace, delay_seconds=delay)
    assert (task.published, task.publish_in_seconds) == (published, publish_in)


def test_what_was_accepted_is_shown_as_its_row_will_stand():
    new = made(LATE, arguments={"name": "Ann", "password": "secret"})
    task = new.as_accepted()
    assert (task.id, task.version, task.status) == (new.id, 1, TaskStatus.QUEUED)
    assert (task.operation, task.queue, task.max_attempts) == ("create-client", "clients", 7)
    assert (task.created_at, task.deadline) == (NOW, NOW + timedelta(seconds=60))
    assert task.run_after == task.next_publish_at == NOW + timedelta(seconds=5)
    assert (made().as_accepted().run_after, task.published) == (None, False)
    assert made(publish_grace_seconds=3).as_accepted().published
    assert (text_of(task.arguments), task.labels) == (b'{"name":"Ann"}', LATE.labels)
    assert (task.attempts, task.response, task.error) == ([], None, None)
    instant = NOW + timedelta(seconds=9)
    assert made(deadline=instant).as_accepted().deadline == instant
