"""What an AsyncTask says, and how a row is shown in it."""

from typing import Any

from asyncoperator.mirror.asynctask import (
    MESSAGE_BYTES,
    mirrored_object,
    parse,
    parse_known,
    refused_status,
    task_status,
)
from asynctasks.task import TaskStatus
from asynctestkit.mirrored import NOW, row, seen, task_id


def body(spec: dict[str, Any], status: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "mine",
            "uid": "uid-0",
            "resourceVersion": "7",
            "generation": 2,
            "creationTimestamp": "2026-01-31T11:59:00Z",
        },
        "spec": spec,
        "status": status or {},
    }


def mirrored(status: dict[str, Any]) -> dict[str, Any]:
    made = mirrored_object(row(), installation="shop", owner=None)
    found = body(made["spec"], status)
    return found | {"metadata": found["metadata"] | made["metadata"]}


def shown(number: int = 0, **values: Any) -> dict[str, Any]:
    return task_status(
        row(number, **values),
        seen(),
        installation="shop",
        now=NOW,
        public_url="https://shop.example",
    )


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


def test_a_running_task():
    status = shown()
    assert (status["taskStatus"], status["version"], status["taskId"]) == (
        "Running",
        2,
        str(task_id(0)),
    )
    assert (status["installation"], status["finished"]) == ("shop", False)
    assert conditions(status) == {
        "Accepted": ("True", "Submitted"),
        "Succeeded": ("Unknown", "Running"),
        "Finished": ("False", "Running"),
        "Ready": ("False", "Running"),
        "Reconciling": ("True", "Running"),
        "Stalled": ("False", "Running"),
    }
    assert "finishedAt" not in status
    assert "responseURL" not in status


def test_finished_tasks_fulfil_their_conditions():
    succeeded = shown(status=TaskStatus.SUCCEEDED, response_status=200)
    assert succeeded["responseURL"] == f"https://shop.example/tasks/{task_id(0)}/response"
    assert succeeded["finished"]
    assert conditions(succeeded) == {
        "Accepted": ("True", "Submitted"),
        "Succeeded": ("True", "Succeeded"),
        "Finished": ("True", "Succeeded"),
        "Ready": ("True", "Succeeded"),
        "Reconciling": ("False", "Succeeded"),
        "Stalled": ("False", "Succeeded"),
    }
    assert conditions(shown(status=TaskStatus.EXPIRED)) == {
        "Accepted": ("True", "Submitted"),
        "Succeeded": ("False", "Expired"),
        "Finished": ("True", "Expired"),
        "Ready": ("False", "Expired"),
        "Reconciling": ("False", "Expired"),
        "Stalled": ("True", "Expired"),
    }


def test_a_condition_keeps_its_time_while_its_status_stays():
    earlier = "2026-01-31T10:00:00Z"
    known = seen(conditions={"Finished": ("False", earlier), "Succeeded": ("True", earlier)})
    status = task_status(row(), known, installation="shop", now=NOW, public_url="")
    times = {one["type"]: one["lastTransitionTime"] for one in status["conditions"]}
    assert (times["Finished"], times["Succeeded"]) == (earlier, "2026-01-31T12:00:00Z")


def test_a_condition_that_was_only_a_default_begins_when_it_is_first_written():
    default = {
        "type": "Finished",
        "status": "False",
        "reason": "Pending",
        "message": "No operator has seen it yet.",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }
    known = parse(body({"operation": "create-client"}, {"conditions": [default]}))
    status = task_status(row(), known, installation="shop", now=NOW, public_url="")
    assert {one["lastTransitionTime"] for one in status["conditions"]} == {"2026-01-31T12:00:00Z"}


def test_a_message_is_bounded():
    error = {"title": "The upstream failed", "detail": "ü" * 5000}
    message = shown(status=TaskStatus.FAILED, error=error)["message"]
    assert message.startswith("The upstream failed: ü")
    assert len(message.encode()) <= MESSAGE_BYTES


def test_what_an_attempt_tells_is_shown_until_the_task_has_ended():
    running = shown(progress=40, message="step 2")
    assert (running["progress"], running["message"]) == (40, "step 2")
    ended = shown(status=TaskStatus.SUCCEEDED, response_status=200, message="step 9")
    assert ended["message"] == "The upstream answered 200."


def test_what_is_written_is_read_again():
    status = shown(status=TaskStatus.FAILED)
    found = parse(mirrored(status))
    assert (found.task_id, found.task_status, found.version, found.is_ours) == (
        task_id(0),
        TaskStatus.FAILED,
        2,
        True,
    )
    assert (found.finished_at, found.is_final, found.request) == (NOW, True, None)
    assert found.conditions["Succeeded"] == ("False", "2026-01-31T12:00:00Z")


def test_a_persons_object_asks_until_it_is_a_task_or_refused():
    spec = {"operation": "create-client", "arguments": {"name": "Ann"}, "delaySeconds": 3}
    asking = parse(body(spec))
    assert asking.request is not None
    assert (asking.request.arguments, asking.request.delay_seconds) == ({"name": "Ann"}, 3)
    assert (asking.is_ours, asking.is_final, asking.generation) == (False, False, 2)
    assert parse(body(spec, shown(asynctask="default/mine/uid-0"))).request is None
    refused = parse(
        body(spec, refused_status(asking, installation="shop", reason="X", message="no", now=NOW))
    )
    assert (refused.request, refused.is_refused, refused.is_final) == (None, True, True)


def test_an_object_that_names_a_task_is_the_mirrors_once_its_status_says_so_too():
    """Who may create objects writes any label and spec, and no status."""
    claiming = parse(mirrored({}))
    assert (claiming.is_stray, claiming.is_ours, claiming.task_id) == (True, False, None)
    assert claiming.request is None
    unlabelled = parse(body(mirrored({})["spec"]))
    assert (unlabelled.is_stray, unlabelled.request is None) == (False, False)
    of_another = parse(mirrored(shown(1)))
    assert (of_another.is_stray, of_another.is_ours) == (True, False)
    ours = parse(mirrored(shown()))
    assert (ours.is_stray, ours.is_ours, ours.installation) == (False, True, "shop")


def test_what_took_an_object_counts_before_what_it_asks_for():
    asking = parse(body({"operation": "create-client", "installation": "bakery"}))
    assert asking.installation == "bakery"
    taken = parse(body({"operation": "create-client", "installation": "bakery"}, shown()))
    assert taken.installation == "shop"
    assert parse(body({"operation": "create-client"})).installation is None


def test_an_object_that_came_past_the_schema_is_left_out():
    assert parse_known(body({"operation": "create-client"}, {"taskStatus": "Lost"})) is None
    assert parse_known(body({"operation": "create-client"})) is not None


def test_a_refusal_ends_every_wait():
    status = refused_status(
        seen(), installation="shop", reason="ArgumentsInvalid", message="/email: no", now=NOW
    )
    assert conditions(status) == {
        "Accepted": ("False", "ArgumentsInvalid"),
        "Succeeded": ("False", "ArgumentsInvalid"),
        "Finished": ("True", "ArgumentsInvalid"),
        "Ready": ("False", "ArgumentsInvalid"),
        "Reconciling": ("False", "ArgumentsInvalid"),
        "Stalled": ("True", "ArgumentsInvalid"),
    }
    assert status["finished"]


def test_the_mirrors_own_object_names_its_task_and_owner():
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "operator", "uid": "1"}
    made = mirrored_object(row(), installation="shop", owner=owner)
    assert made["metadata"]["name"] == f"t-{task_id(0)}"
    assert made["metadata"]["ownerReferences"] == [owner]
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "asyncapiproxy-operator",
        "asyncapiproxy.dev/installation": "shop",
    }
    assert made["spec"] == {
        "taskId": str(task_id(0)),
        "operation": "create-client",
        "queue": "clients",
    }
