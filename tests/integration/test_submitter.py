"""From a person's object to a task, exactly once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from asyncoperator.cluster.kube_errors import KubeUnavailableError
from asyncoperator.cluster.neighbours import Neighbours
from asyncoperator.mirror.asynctask import AsyncTaskSpec, ObservedTask
from asyncoperator.mirror.submitter import Refusal, Submitter, task_id_of
from asynctasks.operations.operations_file import parse_operations
from asynctasks.task import TaskStatus
from asynctestkit.inside import operation
from asynctestkit.mirrored import NOW, seen
from asynctestkit.processes import FAST_OPERATIONS
from asynctestkit.recorded_spans import RecordedSpans, place

OPERATIONS = parse_operations(FAST_OPERATIONS, name="operations.yaml")
ANN = {"email": "ann@example.com", "name": "Ann"}


class FakeKube:
    namespace = "default"

    def __init__(self) -> None:
        self.is_there = True
        self.owners_there: set[str] = set()
        self.is_away = False
        self.leases = {"asyncapiproxy"}

    async def installations(self) -> set[str]:
        return self.leases

    async def namespace_is_there(self) -> bool:
        if self.is_away:
            raise KubeUnavailableError
        return self.is_there

    async def owner_is_there(self, reference: dict[str, Any]) -> bool:
        return reference["uid"] in self.owners_there


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def submitter(parts: Any, kube: FakeKube) -> Submitter:
    fake: Any = kube
    return Submitter(parts.store, OPERATIONS, fake, Neighbours(fake, "asyncapiproxy"))


def asking(arguments: dict[str, Any] | None = None, **spec: Any) -> ObservedTask:
    given: dict[str, Any] = {
        "operation": "create-client",
        "arguments": ANN if arguments is None else arguments,
    }
    request = AsyncTaskSpec(**given | spec)
    return seen(
        name="mine", uid="uid-1", is_ours=False, task_id=None, task_status=None, request=request
    )


async def test_an_object_is_one_task_however_often_it_is_seen(parts: Any, submitter: Submitter):
    one = asking(labels={"team": "a"}, delay_seconds=60, deadline_seconds=90)
    first = await submitter.submit(one)
    assert await submitter.submit(one) == first
    task = await parts.store.find(first)
    assert (orjson.loads(orjson.dumps(task.arguments)), task.labels, task.asynctask) == (
        ANN,
        {"team": "a"},
        "default/mine/uid-1",
    )
    assert (task.status, task.published) == (TaskStatus.QUEUED, False)
    assert (task.deadline - task.run_after).total_seconds() == pytest.approx(30, abs=0.1)


async def test_without_a_delay_the_relay_may_publish_it_at_once(parts: Any, submitter: Submitter):
    task = await parts.store.find(await submitter.submit(asking()))
    assert task.run_after is None
    assert task.next_publish_at is not None


async def test_an_object_begins_a_trace(parts: Any, kube: FakeKube):
    fake: Any = kube
    neighbours, spans = Neighbours(fake, "asyncapiproxy"), RecordedSpans()
    traced = Submitter(parts.store, OPERATIONS, fake, neighbours, traces=spans.traces)
    task = await parts.store.find(await traced.submit(asking()))
    (sent,) = spans.named("send clients")
    assert sent.parent is None
    assert task.traceparent.split("-")[1:3] == [*place(sent)]


async def test_faults_are_told_by_their_places(submitter: Submitter):
    refusal = await submitter.submit(asking({"name": ""}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "ArgumentsInvalid"
    assert "/name" in refusal.message
    assert "email" in refusal.message


async def test_secrets_are_refused_and_not_repeated(submitter: Submitter):
    refusal = await submitter.submit(asking({**ANN, "password": "tell-nobody"}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "WriteOnlyArguments"
    assert refusal.message.startswith("/password: ")
    assert "tell-nobody" not in refusal.message


async def test_an_operation_with_a_body_of_its_own_is_for_http_alone(parts: Any, kube: FakeKube):
    scan = operation("scan", arguments={"type": "object"}, body={"contentTypes": ["image/*"]})
    fake: Any = kube
    neighbours = Neighbours(fake, "asyncapiproxy")
    refusal = await Submitter(parts.store, {"scan": scan}, fake, neighbours).submit(
        asking({}, operation="scan")
    )
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, "by HTTP" in refusal.message) == ("BodyNeeded", True)


async def test_unknown_operations_and_other_queues_are_refused(submitter: Submitter):
    unknown = await submitter.submit(asking(operation="drop-client"))
    assert isinstance(unknown, Refusal)
    assert (unknown.reason, "create-client" in unknown.message) == ("OperationUnknown", True)
    elsewhere = await submitter.submit(asking(queue="orders"))
    assert isinstance(elsewhere, Refusal)
    assert elsewhere.reason == "QueueUnknown"


async def test_where_nothing_may_be_called_no_object_names_a_callback(submitter: Submitter):
    refusal = await submitter.submit(asking(callback="https://hooks.example.com/"))
    assert refusal == Refusal(
        "OptionsInvalid", "spec.callback: expected none: this installation makes no callbacks."
    )


def test_ids_are_of_the_objects_time_and_uid():
    one = task_id_of("uid-1", NOW)
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert one.int >> 80 == int(NOW.timestamp() * 1000)
    assert one == task_id_of("uid-1", NOW)
    assert one != task_id_of("uid-2", NOW)
    assert one < task_id_of("uid-1", NOW + timedelta(seconds=1))


async def test_cancelling_what_has_ended_or_never_was_is_no_error(parts: Any, submitter: Submitter):
    task_id: Any = await submitter.submit(asking())
    assert await submitter.cancel(task_id)
    assert not await submitter.cancel(task_id)
    assert not await submitter.cancel(task_id_of("never", NOW))
    assert (await parts.store.find(task_id)).status is TaskStatus.CANCELLED


async def test_only_what_people_deleted_ends_a_task(submitter: Submitter, kube: FakeKube):
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "operator", "uid": "owner"}
    mirrored = seen(owners=(owner,))
    mine = replace(mirrored, name="mine", uid="mine", is_ours=False)
    kube.owners_there = {"owner"}
    assert await submitter.ended_by_people([mirrored, mine]) == [mirrored, mine]
    kube.owners_there = set()
    assert await submitter.ended_by_people([mirrored, mine]) == [mine]
    kube.is_there = False
    assert await submitter.ended_by_people([mirrored, mine]) == []
    kube.is_there, kube.is_away = True, True
    assert await submitter.ended_by_people([mirrored, mine]) == []


@pytest.mark.parametrize("number", [1 << 64, -(1 << 63) - 1])
async def test_what_the_store_cannot_hold_is_refused_as_by_http(submitter: Submitter, number: int):
    refusal = await submitter.submit(asking({**ANN, "name": "Ann", "n": number}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "ArgumentsInvalid"
    assert refusal.message.startswith("/n: is an integer of more than 64 bits")


async def test_a_person_names_no_task(submitter: Submitter):
    refusal = await submitter.submit(asking(task_id="01a20d31-d3a4-76ba-b9b9-5230a7b10230"))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "TaskIdGiven"


async def test_whatever_is_wrong_with_one_object_is_its_own(
    parts: Any, submitter: Submitter, monkeypatch: pytest.MonkeyPatch
):
    async def fail(_: object) -> None:
        raise RuntimeError("tell-nobody")

    monkeypatch.setattr(parts.store, "add", fail)
    refusal = await submitter.submit(asking())
    assert refusal == Refusal("SubmissionFailed", "It cannot be stored: RuntimeError.")


async def test_an_object_that_may_be_anothers_is_refused(submitter: Submitter, kube: FakeKube):
    kube.leases = {"asyncapiproxy", "bakery"}
    refusal = await submitter.submit(replace(asking(), installation=None))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "InstallationAmbiguous"
    assert "(asyncapiproxy, bakery)" in refusal.message
    assert not isinstance(await submitter.submit(asking()), Refusal)


async def test_where_there_is_one_installation_an_object_need_not_name_it(submitter: Submitter):
    assert not isinstance(await submitter.submit(replace(asking(), installation=None)), Refusal)
