"""By HTTP or by kubectl, the same wishes are granted, refused and stored alike."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from asyncoperator.cluster.neighbours import Neighbours
from asyncoperator.mirror.asynctask import AsyncTaskSpec
from asyncoperator.mirror.submitter import FIELDS, Refusal, Submitter
from asyncproxy.options_headers import HEADERS
from asynctasks.callbacks.allow import AllowedUrls
from asynctasks.errors import TaskOption
from asynctasks.instants import utc_now
from asynctasks.operations.callback import EVENTS, Callback
from asynctasks.operations.operation import Operation
from asynctasks.task import Task
from asynctestkit.inside import ASYNC, inside, operation
from asynctestkit.mirrored import seen

YEAR = 366 * 86_400
PLAIN = operation("plain")
LATE = operation("late", deadlineSeconds=3_600, delaySeconds=60)
LABELLED = operation("labelled", labels={"team": "blue", "tier": "1"}, queue="default")
REPORT = operation(
    "report",
    route="GET /reports/{year}",
    parameters=[{"name": "X-Format", "in": "header", "argument": "format"}],
    arguments={
        "type": "object",
        "required": ["year"],
        "properties": {"year": {"type": "integer"}, "format": {"type": "string"}},
    },
    upstream={"url": "{UPSTREAM}/clients", "forwardHeaders": ["Accept"]},
    coalesce=True,
)
URGENT = operation("urgent", priority=8)
NAMED = {
    "erp": Callback(url="https://hooks.example.com/erp", events=("failed",), include="response"),
    "elsewhere": Callback(url="https://example.org/hooks"),
}
TELLING = operation("telling", callbacks={"url": "https://audit.example.com/ends"})
OPERATIONS = {
    each.name: each.knows_callbacks(NAMED)
    for each in (PLAIN, LATE, LABELLED, REPORT, URGENT, TELLING)
}
CALLABLE = ("https://*.example.com", "https://erp.example.com:8443/hooks/*")
MOST_LABELS = {f"l{n}": str(n) for n in range(20)}


@dataclass(frozen=True)
class Wish:
    """What somebody asks for, and which option is wrong with it."""

    operation: Operation = PLAIN
    deadline: int | None = None
    delay: int | None = None
    priority: int | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    arguments: dict[str, Any] = field(default_factory=lambda: {"name": "Ann"})
    callback: str | None = None
    wrong: TaskOption | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The wish as a caller of the proxy writes it."""
        given = {
            "Task-Deadline": self.deadline,
            "Task-Delay": self.delay,
            "Task-Priority": self.priority,
            "Task-Labels": ", ".join(f"{name}={value}" for name, value in self.labels.items()),
            "Task-Callback": self.callback,
        }
        return {name: str(value) for name, value in given.items() if value not in (None, "")}

    @property
    def spec(self) -> AsyncTaskSpec:
        """The wish as `kubectl apply` brings it."""
        return AsyncTaskSpec(
            operation=self.operation.name,
            arguments=self.arguments,
            deadline_seconds=self.deadline,
            delay_seconds=self.delay,
            priority=self.priority,
            labels=self.labels or None,
            callback=self.callback,
        )


GRANTED = [
    Wish(),
    Wish(arguments={}),
    Wish(deadline=60),
    Wish(deadline=YEAR),
    Wish(delay=0),
    Wish(delay=60),
    Wish(delay=YEAR),
    Wish(deadline=61, delay=60),
    Wish(deadline=YEAR, delay=YEAR - 1),
    Wish(priority=0),
    Wish(priority=9),
    Wish(URGENT),
    Wish(URGENT, priority=5),
    Wish(labels={"team": "red"}),
    Wish(labels={"example.com/team": "red", "empty": ""}),
    Wish(labels={"a" * 63: "x" * 63, "A.b_c-d/E": "1.2_3-4"}),
    Wish(labels=MOST_LABELS),
    Wish(deadline=600, delay=60, labels={"team": "red"}),
    Wish(LATE),
    Wish(LATE, deadline=61),
    Wish(LATE, delay=0),
    Wish(LATE, delay=0, deadline=990),
    Wish(LATE, delay=3_599),
    Wish(LATE, deadline=YEAR, delay=7_200),
    Wish(LATE, labels={"team": "red"}),
    Wish(LABELLED),
    Wish(LABELLED, labels={"tier": "2", "owner": "ann"}),
    Wish(LABELLED, labels=MOST_LABELS),
    Wish(LABELLED, deadline=600, delay=60),
    Wish(TELLING),
    Wish(callback="https://hooks.example.com/tasks?to=ann"),
    Wish(callback="HTTPS://Hooks.EXAMPLE.com.:443"),
    Wish(callback="https://erp.example.com:8443/hooks/ann"),
    Wish(callback="erp"),
    Wish(TELLING, callback="https://hooks.example.com/tasks"),
    Wish(TELLING, callback="erp", delay=60, labels={"team": "red"}),
]
UNCALLABLE = (
    "https://example.org/hooks",
    "https://example.com/hooks",
    "https://hooks.example.com:8443/hooks",
    "http://hooks.example.com/tasks",
    "https://ann:secret@hooks.example.com/",
    "https://hooks.example.com/a/../b",
    "https://127.0.0.1/",
    "https://0x7f000001/",
    "https://hooks.example.com/" + "a" * 2_048,
    "ftp://hooks.example.com/",
    "nobody",
    "elsewhere",
)
REFUSED = [
    Wish(deadline=0, wrong="deadline"),
    Wish(deadline=YEAR + 1, wrong="deadline"),
    Wish(delay=YEAR + 1, wrong="delay"),
    Wish(deadline=1, delay=60, wrong="deadline"),
    Wish(deadline=60, delay=60, wrong="deadline"),
    Wish(LATE, deadline=60, wrong="deadline"),
    Wish(LATE, delay=3_600, wrong="deadline"),
    Wish(LABELLED, deadline=5, delay=6, wrong="deadline"),
    Wish(priority=10, wrong="priority"),
    Wish(priority=-1, wrong="priority"),
    Wish(labels={"": "1"}, wrong="labels"),
    Wish(labels={"a=b,c": "x=y, z"}, wrong="labels"),
    Wish(labels={"-a": "1"}, wrong="labels"),
    Wish(labels={"a.": "1"}, wrong="labels"),
    Wish(labels={"a b": "1"}, wrong="labels"),
    Wish(labels={"a" * 64: "1"}, wrong="labels"),
    Wish(labels={"a": "b c"}, wrong="labels"),
    Wish(labels={"a": "b/c"}, wrong="labels"),
    Wish(labels={"a": "-"}, wrong="labels"),
    Wish(labels={"a": "x" * 64}, wrong="labels"),
    Wish(labels=MOST_LABELS | {"one": "more"}, wrong="labels"),
    Wish(LABELLED, labels={"täm": "1"}, wrong="labels"),
    # What is wrong with how it is to be run comes before what is wrong with its arguments.
    Wish(delay=YEAR + 1, arguments={"name": 1}, wrong="delay"),
    *(Wish(callback=callback, wrong="callback") for callback in UNCALLABLE),
    Wish(TELLING, callback="https://example.org/hooks", wrong="callback"),
]


class Doors:
    """Both ways in to one task database."""

    def __init__(self, client: httpx.AsyncClient, parts: Any) -> None:
        self._client = client
        self._store = parts.store
        kube: Any = _Kube()
        self._submitter = Submitter(
            parts.store,
            OPERATIONS,
            kube,
            Neighbours(kube, "mine"),
            callback_urls=AllowedUrls.of(CALLABLE),
        )

    async def http(self, wish: Wish, **more: str) -> httpx.Response:
        given = {**ASYNC, **wish.headers, **more}
        headers = [(name.encode(), value.encode()) for name, value in given.items()]
        return await self._client.post(wish.operation.path, json=wish.arguments, headers=headers)

    async def kubectl(self, wish: Wish) -> UUID | Refusal:
        one = seen(
            name="mine",
            uid=str(uuid4()),
            created_at=utc_now(),
            is_ours=False,
            task_id=None,
            task_status=None,
            request=wish.spec,
        )
        return await self._submitter.submit(one)

    async def stored(self, task_id: UUID | str | Refusal) -> dict[str, Any]:
        """Of the row what does not depend on the door."""
        assert not isinstance(task_id, Refusal), task_id
        return _alike(await self._store.find(UUID(str(task_id))))


class _Kube:
    namespace: Any = "default"


def _alike(task: Task) -> dict[str, Any]:
    return {
        **task.model_dump(
            include={
                "operation",
                "queue",
                "principal",
                "priority",
                "sealed_arguments",
                "labels",
                "status",
                "max_attempts",
                "callbacks",
            }
        ),
        "arguments": orjson.dumps(task.arguments),
        # Instants are by two clocks, and the doors are asked one after the other.
        **{
            name: value and round((value - task.created_at).total_seconds() / 30)
            for name, value in (("deadline", task.deadline), ("run_after", task.run_after))
        },
    }


@pytest.fixture
async def doors(parts: Any, database_url: str) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        settings = {
            "database_url": database_url,
            "broker_url": "memory://",
            "callback_allow": ",".join(CALLABLE),
        }
        installation = await stack.enter_async_context(inside(*OPERATIONS.values(), **settings))
        yield Doors(await installation.client(await installation.proxy()), parts)


async def test_what_is_granted_at_one_door_is_at_the_other_and_is_stored_alike(doors: Doors):
    for wish in GRANTED:
        answer = await doors.http(wish)
        keyed = await doors.http(wish, **{"Idempotency-Key": f"key-{uuid4()}"})
        assert (answer.status_code, keyed.status_code) == (202, 202), (wish, answer.text)
        by_http = await doors.stored(answer.json()["id"])
        assert by_http == await doors.stored(keyed.json()["id"]), wish
        assert by_http == await doors.stored(await doors.kubectl(wish)), wish


async def test_what_is_refused_at_one_door_is_at_the_other_each_in_its_words(doors: Doors):
    for wish in REFUSED:
        assert wish.wrong is not None
        answer, refusal = await doors.http(wish), await doors.kubectl(wish)
        assert answer.status_code == 400, (wish, answer.text)
        assert answer.json()["detail"].startswith(f"{HEADERS[wish.wrong]}: expected "), wish
        assert isinstance(refusal, Refusal), wish
        assert refusal.reason == "OptionsInvalid"
        assert refusal.message.startswith(f"{FIELDS[wish.wrong]}: expected "), wish


async def test_whom_a_caller_may_not_name_no_object_may_name_for_the_same_reason(doors: Doors):
    for callback in UNCALLABLE:
        wish = Wish(callback=callback)
        answer, refusal = await doors.http(wish), await doors.kubectl(wish)
        assert isinstance(refusal, Refusal), wish
        told = answer.json()["detail"].removeprefix("Task-Callback: ")
        assert refusal.message == f"spec.callback: {told}", wish
        assert "secret" not in told


async def test_both_doors_tell_whom_the_operation_and_whom_the_caller_names(doors: Doors):
    stored = await doors.stored(await doors.kubectl(Wish(TELLING, callback="erp")))
    assert [(each["url"], each["events"], each["include"]) for each in stored["callbacks"]] == [
        ("https://audit.example.com/ends", [*EVENTS], "nothing"),
        ("https://hooks.example.com/erp", ["failed"], "response"),
    ]


async def test_arguments_that_do_not_fit_are_refused_with_the_same_reasons(doors: Doors):
    wish = Wish(arguments={"name": 1})
    answer, refusal = await doors.http(wish), await doors.kubectl(wish)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/name")
    assert refusal == Refusal("ArgumentsInvalid", answer.json()["detail"])


@pytest.mark.parametrize("levels", [300, 249])
async def test_arguments_that_no_row_can_hold_are_refused(doors: Doors, levels: int):
    """An object that ended the mirror's loop would end it again and again."""
    deep: Any = None
    for _ in range(levels):
        deep = [deep]
    wish = Wish(arguments={"deep": deep})
    answer, refusal = await doors.http(wish), await doors.kubectl(wish)
    assert (answer.status_code, "nested" in answer.json()["detail"]) == (400, True)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, "nested" in refusal.message) == ("ArgumentsInvalid", True)


async def test_by_kubectl_arguments_are_enough_wherever_callers_of_http_give_them(doors: Doors):
    wish = Wish(REPORT, arguments={"year": 2020, "format": "csv"})
    first, second = await doors.kubectl(wish), await doors.kubectl(wish)
    stored = await doors.stored(first)
    assert stored["arguments"] == b'{"year":2020,"format":"csv"}'
    assert await doors.stored(second) == stored
    assert first != second
    refused = await doors.kubectl(Wish(REPORT, arguments={"year": "x"}))
    assert isinstance(refused, Refusal)
    assert refused.message == '/year: the value is not of type "integer"'
