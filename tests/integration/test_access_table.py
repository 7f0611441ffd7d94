"""The table of docs/access-rules.md, walked against a running proxy."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from asyncproxy.access.principal import Principal
from asyncproxy.access.rules import Action, Scope
from asynctasks.limits.limit import Limit
from asynctasks.task import TaskStatus
from asynctestkit.callers import EVERYTHING, access, proof, rule
from asynctestkit.inside import ASYNC, Inside, Stoppable, inside, operation
from asynctestkit.served_routes import served_routes

TABLE = Path(__file__).parents[2] / "docs/access-rules.md"
ANN = Principal(name="ann", tenant="red")
ROB = Principal(name="rob", tenant="red")
BEA = Principal(name="bea", tenant="blue")
UNKNOWN = Principal(name="whoever")
SUBMITTING = {
    "an operation's route": "POST /create-client",
    "an operation's route and `:batch": "POST /create-client:batch",
}
RECEIVER = "https://erp.example.com"
"""Whom each task's end would be told, if there were an executor for that."""
NAMES = ("create-client", "other")


@dataclass(frozen=True)
class Row:
    """What the table says of one route."""

    method: str
    path: str
    action: str
    own: str
    tenants: str
    foreign: str
    without_action: str
    without_proof: str


@dataclass(frozen=True)
class SharedRow:
    """What it says of one route to what is everyone's."""

    method: str
    path: str
    action: str
    with_all: str
    without: str
    without_action: str
    without_proof: str


@dataclass(frozen=True)
class BatchRow:
    """What it says of one route to batches."""

    method: str
    path: str
    own: str
    foreign: str
    without_action: str
    without_proof: str


def table() -> list[Row]:
    return [Row(*cells) for cells in cells_of_tables(7)]


def shared_table() -> list[SharedRow]:
    return [SharedRow(*cells) for cells in cells_of_tables(6)]


def batch_table() -> list[BatchRow]:
    return [BatchRow(*cells) for cells in cells_of_tables(5)]


def cells_of_tables(width: int) -> Iterator[list[str]]:
    """Of each row of the tables with so many columns, the route in two."""
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if len(cells) == width and cells[0] not in {"route", "---"}:
            route = SUBMITTING.get(cells[0], cells[0])
            yield [*route.split(), *cells[1:]]


def routes() -> set[tuple[str, str]]:
    """As the table names them: HEAD is as GET, and a slash at the end changes nothing."""
    calls = (("POST", "/create-client"), ("POST", "/create-client:batch"))
    return {
        ("GET" if method == "HEAD" else method, path.rstrip("/") or "/")
        for method, path in served_routes(*calls)
    }


def test_every_route_is_in_the_table_and_none_that_is_not_served():
    rows = [*table(), *shared_table(), *batch_table()]
    assert {(row.method, row.path) for row in rows} == routes()
    assert len(rows) == len({(row.method, row.path) for row in rows})


@dataclass(frozen=True)
class Walk:
    """One proxy, and what asks it as ann."""

    installation: Inside
    proxy: Stoppable
    client: httpx.AsyncClient
    may: Any

    async def task(self, owner: Principal) -> str:
        """A task of the owner's, cancelled: it has an answer, can be retried and forgotten."""
        answer = await self.client.post(
            "/create-client", json={}, headers={**proof(owner), **ASYNC, "Task-Callback": RECEIVER}
        )
        task_id = answer.json()["id"]
        done = await self.client.post(f"/tasks/{task_id}/cancel", headers=proof(owner))
        assert done.json()["status"] == TaskStatus.CANCELLED
        return task_id

    async def ask(self, row: Row, task_id: str, caller: Principal | None = ANN) -> int:
        path = row.path.replace("{task_id}", task_id).replace("{number}", "1")
        path = path.replace("/swagger", "/swagger/swagger-ui.css").replace("/ui/{name}", "/ui/task")
        headers = {**proof(caller), **ASYNC, "Content-Type": "application/x-ndjson"}
        return (await self.client.request(row.method, path, headers=headers)).status_code

    async def lists(self, task_id: str) -> bool:
        page = await self.client.get("/tasks?page_size=1000", headers=proof(ANN))
        assert page.status_code == 200
        return task_id in {task["id"] for task in page.json()["tasks"]}

    async def ask_of_shared(self, row: SharedRow, caller: Principal | None = ANN) -> int:
        of = {"queues": "clients", "operations": "other", "limits": "crm"}
        path = row.path.replace("{name}", of[row.path.split("/")[1]])
        content = b"{}" if row.method == "PATCH" else b""
        headers = {**proof(caller), "Content-Type": "application/json"}
        answer = await self.client.request(row.method, path, content=content, headers=headers)
        return answer.status_code

    async def batch(self, owner: Principal, action: str = "delete") -> httpx.Response:
        """One that finds nothing at all."""
        order = {"action": action, "filter": {"label": ["of=nobody"]}}
        return await self.client.post("/tasks:batch", json=order, headers=proof(owner))

    async def ask_of_batch(
        self, row: BatchRow, batch: dict[str, Any], caller: Principal | None = ANN
    ) -> str:
        """As the table says it."""
        if row.path == "/tasks:batch":
            order: dict[str, Any] = {"action": batch["action"], "filter": {}, "dryRun": True}
            answer = await self.client.post(row.path, json=order, headers=proof(caller))
        else:
            path = row.path.replace("{batch_id}", batch["id"])
            answer = await self.client.request(row.method, path, headers=proof(caller))
        if row.path == "/batches" and answer.is_success:
            ids = {one["id"] for one in answer.json()["batches"]}
            return "listed" if batch["id"] in ids else "not listed"
        # One that has finished meanwhile is no longer cancelled.
        is_there = answer.status_code not in {401, 403, 404}
        return "yes" if is_there else str(answer.status_code)

    async def finds(self, row: SharedRow, told: str) -> None:
        """Ann gets what is told."""
        if told not in {"listed", "not listed"}:
            assert is_as_told(told, await self.ask_of_shared(row)), row
            return
        page = (await self.client.get(row.path, headers=proof(ANN))).json()
        shown = {each["name"] for (each,) in zip(*page.values(), strict=True)}
        assert bool(shown & {"clients", "crm"}) is (told == "listed"), row


@pytest.fixture(params=Scope)
async def scope(request: pytest.FixtureRequest) -> Scope:
    return request.param


@pytest.fixture
async def walk(scope: Scope, sqlite_url: str) -> AsyncIterator[Walk]:
    crm = {"crm": Limit(name="crm", concurrency=40)}
    operations = [operation(name, limits=["crm"]).bounded_by(crm) for name in NAMES]
    given = {"database_url": sqlite_url, "broker_url": "memory://", "callback_allow": RECEIVER}
    async with inside(*operations, **given) as installation:
        callers = access((ANN, ROB, BEA), rule(principals=("ann",), tasks=scope), rule())
        proxy = await installation.proxy(access=callers)
        yield Walk(installation, proxy, await installation.client(proxy), callers)


def expected(row: Row, owner: Principal, scope: Scope) -> str:
    """The table's cell, as the sentence below it says for other scopes."""
    if owner is ANN or scope is Scope.ALL:
        return row.own
    return row.tenants if owner is ROB and scope is Scope.TENANT else row.foreign


def is_as_told(told: str, status: int) -> bool:
    return str(status) == told if told.isdigit() else status not in {401, 403, 404}


async def test_each_route_answers_each_caller_as_the_table_says(walk: Walk, scope: Scope):
    walked = 0
    for row in table():
        for owner in (ANN, ROB, BEA):
            task_id = await walk.task(owner)
            told = expected(row, owner, scope)
            status = await walk.ask(row, task_id)
            if told in {"listed", "not listed"}:
                assert await walk.lists(task_id) is (told == "listed"), (row, owner)
            else:
                # The cancelled task's own answer is a problem, and a stranger's is its absence.
                assert is_as_told(told, status), (row, owner, status)
            walked += 1
    assert walked == 3 * (len(routes()) - len(shared_table()) - len(batch_table()))


async def test_what_is_everyones_is_shown_to_who_may_read_all_that_share_it(
    walk: Walk, scope: Scope
):
    for row in shared_table():
        expected = row.with_all if scope is Scope.ALL else row.without
        await walk.finds(row, expected)
        full = access((ANN, ROB, BEA), rule(operations=("create-client",), tasks=Scope.ALL))
        walk.may.replace(full._authenticator, full._rules, ())
        # Of the operations that share it one is not the caller's to read.
        await walk.finds(row, row.without)
        full = access((ANN, ROB, BEA), rule(tasks=scope))
        walk.may.replace(full._authenticator, full._rules, ())


async def test_what_is_everyones_takes_the_action_and_a_proof(walk: Walk):
    for row in shared_table():
        less = access((ANN, ROB, BEA), rule(may=EVERYTHING - {Action(row.action)}, tasks=Scope.ALL))
        for nobody in (None, UNKNOWN):
            assert is_as_told(row.without_proof, await walk.ask_of_shared(row, nobody)), row
        walk.may.replace(less._authenticator, less._rules, ())
        await walk.finds(row, row.without_action)


async def test_a_batch_is_its_callers_own_and_takes_the_action_and_a_proof(
    walk: Walk, scope: Scope
):
    of_ann, of_rob = [(await walk.batch(owner)).json() for owner in (ANN, ROB)]
    for row in batch_table():
        if row.path == "/tasks:batch":
            await changes_as_told(walk, row, scope)
        else:
            assert await walk.ask_of_batch(row, of_ann) == row.own, row
            assert await walk.ask_of_batch(row, of_rob) == row.foreign, row
        for nobody in (None, UNKNOWN):
            assert await walk.ask_of_batch(row, of_ann, nobody) == row.without_proof, row
    for action in ("cancel", "retry", "delete"):
        less = access((ANN, ROB, BEA), rule(may=EVERYTHING - {Action(action)}, tasks=scope))
        walk.may.replace(less._authenticator, less._rules, ())
        for row in batch_table():
            asked = {**of_ann, "action": action}
            assert await walk.ask_of_batch(row, asked) == row.without_action, row


async def changes_as_told(walk: Walk, row: BatchRow, scope: Scope) -> None:
    """By the scope, as of the call for one task."""
    of_scope = {Scope.OWN: (ANN,), Scope.TENANT: (ANN, ROB), Scope.ALL: (ANN, ROB, BEA)}
    for owner in (ANN, ROB, BEA):
        task_id = await walk.task(owner)
        order = {"action": "delete", "filter": {"principal": owner.name}, "dryRun": True}
        counted = await walk.client.post(row.path, json=order, headers=proof(ANN))
        told = "done" if counted.json()["matched"] else "not done"
        assert told == (row.own if owner in of_scope[scope] else row.foreign), (row, owner)
        await walk.client.delete(f"/tasks/{task_id}", headers=proof(owner))


async def test_each_route_answers_who_may_not_act_or_has_no_proof_as_the_table_says(walk: Walk):
    for row in table():
        task_id = await walk.task(ANN)
        for nobody in (None, UNKNOWN):
            assert is_as_told(row.without_proof, await walk.ask(row, task_id, nobody)), row
        if not row.action:
            continue
        less = access((ANN, ROB, BEA), rule(may=EVERYTHING - {Action(row.action)}), rule())
        walk.may.replace(less._authenticator, less._rules, ())
        status = await walk.ask(row, task_id)
        if row.without_action == "not listed":
            assert not await walk.lists(task_id)
        else:
            assert is_as_told(row.without_action, status), (row, status)
        full = access((ANN, ROB, BEA))
        walk.may.replace(full._authenticator, full._rules, ())


async def test_without_a_proof_nothing_is_said_of_the_request(walk: Walk):
    for path in ("/tasks?page_size=0", f"/tasks/{uuid4()}/response?wait=x", "/tasks/no-id"):
        answer = await walk.client.get(path)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (
            401,
            "unauthenticated",
        )
