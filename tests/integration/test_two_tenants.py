"""Two tenants who call at random, on each other's ids, keys and pages: neither learns anything."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import pytest

from asyncproxy.access.principal import Principal
from asyncproxy.access.rules import Scope
from asynctasks.task import new_task_id
from asynctestkit.callers import access, proof, rule
from asynctestkit.inside import ASYNC, Inside, inside, operation

CALLERS = [
    Principal(name=f"{name}-{tenant}", tenant=tenant)
    for tenant in ("red", "blue")
    for name in ("ann", "rob")
]
EVERYONE = Principal(name="everyone's")
CALLS_OF_EACH = 120
OF_ONE: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("GET", "/tasks/{id}", {}),
    ("HEAD", "/tasks/{id}", {}),
    ("GET", "/task/{id}", {}),
    ("GET", "/tasks/{id}", {"Prefer": "wait=1"}),
    ("GET", "/tasks/{id}", {"If-None-Match": '"1"'}),
    ("GET", "/tasks/{id}/response", {}),
    ("GET", "/tasks/{id}/response?wait=1", {}),
    ("GET", "/tasks/{id}/operation", {}),
    ("GET", "/tasks/{id}/events", {"Last-Event-ID": "1"}),
    ("POST", "/tasks/{id}/cancel", {}),
    ("POST", "/tasks/{id}/retry", {}),
    ("DELETE", "/tasks/{id}", {}),
)


@dataclass
class Ledger:
    """Whose each task is, what was done to it by whom it may be, and how often others tried."""

    owners: dict[str, Principal] = field(default_factory=dict[str, Principal])
    done: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    tried: int = 0


@dataclass(frozen=True)
class Walker:
    """One caller who does what chance says."""

    caller: Principal
    clients: list[httpx.AsyncClient]
    chance: Random
    scope: Scope
    ledger: Ledger

    async def walk(self) -> None:
        for _ in range(CALLS_OF_EACH):
            (step,) = self.chance.choices((self.submit, self.look_through, self.ask), (2, 1, 5))
            await step()

    async def submit(self) -> None:
        """What a key came with is the same for all: only whose it is keeps the calls apart."""
        headers = ASYNC if self.chance.random() < 0.7 else {"Prefer": "wait=2"}
        if self.chance.random() < 0.5:
            headers = {**headers, "Idempotency-Key": self.chance.choice("abc")}
        path = self.chance.choice(("/create-client", "/other"))
        answer = await self.request("POST", path, headers, json={"name": "Ann"})
        assert answer.status_code in {201, 202, 409}, answer.text
        task_id = answer.headers["task-id"]
        assert self.ledger.owners.setdefault(task_id, self.caller) is self.caller

    async def look_through(self) -> None:
        query: dict[str, str] = {"page_size": str(self.chance.randint(1, 20))}
        for name, values in (
            ("page_token", [self.any_id()]),
            ("principal", [caller.name for caller in CALLERS]),
            ("tenant", ["red", "blue"]),
            ("status", ["queued", "running", "succeeded", "cancelled"]),
        ):
            if self.chance.random() < 0.3:
                query[name] = self.chance.choice(values)
        answer = await self.request("GET", "/tasks", {}, params=query)
        assert answer.status_code == 200, answer.text
        ids = [task["id"] for task in answer.json()["tasks"]]
        assert answer.json()["nextPageToken"] in {None, *ids}
        for task in answer.json()["tasks"]:
            assert self.may_see(Principal(name=task["principal"], tenant=task["tenant"]))

    async def ask(self) -> None:
        task_id = self.any_id()
        owner = self.ledger.owners.get(task_id)
        method, path, headers = self.chance.choice(OF_ONE)
        if owner is None or not self.may_see(owner):
            self.ledger.tried += owner is not None
            told = await self.told(method, path, task_id, headers)
            assert told == await self.told(method, path, str(new_task_id()), headers), (owner, path)
            assert told[0] == 404
        elif not path.endswith("/events"):  # which would last
            status, _, _ = await self.told(method, path, task_id, headers)
            if method in {"POST", "DELETE"} and status < 300:
                self.ledger.done[task_id].add(
                    path.rpartition("/")[2] if method == "POST" else method
                )

    def may_see(self, owner: Principal) -> bool:
        if self.scope is Scope.TENANT:
            return owner.tenant == self.caller.tenant
        return owner.name == self.caller.name

    def any_id(self) -> str:
        known = [*self.ledger.owners]
        is_known = known and self.chance.random() < 0.95
        return self.chance.choice(known) if is_known else str(new_task_id())

    async def told(
        self, method: str, path: str, task_id: str, headers: Mapping[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """All that the answer tells, without its date and the id."""
        answer = await self.request(method, path.replace("{id}", task_id), headers)
        told = [(name, value) for name, value in answer.headers.multi_items() if name != "date"]
        return answer.status_code, told, answer.content.replace(task_id.encode(), b"<id>")

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], **more: Any
    ) -> httpx.Response:
        client = self.chance.choice(self.clients)
        return await client.request(method, path, headers={**proof(self.caller), **headers}, **more)


@pytest.fixture
async def installation(postgresql_url: str) -> AsyncIterator[Inside]:
    async with inside(
        operation(),
        operation("other", queue="idle"),
        database_url=postgresql_url,
        broker_url="memory://",
        watch_interval_seconds=0.05,
        relay_interval_seconds=0.05,
    ) as installation:
        yield installation


@pytest.mark.parametrize("scope", [Scope.OWN, Scope.TENANT])
async def test_whatever_tenants_ask_they_are_told_nothing_of_each_other(
    installation: Inside, scope: Scope
):
    known = access(
        (*CALLERS, EVERYONE),
        rule(principals=(EVERYONE.name,), tasks=Scope.ALL),
        rule(tasks=scope),
    )
    clients = [await installation.client(await installation.proxy(access=known)) for _ in range(2)]
    await installation.executor()
    ledger = Ledger()
    async with asyncio.TaskGroup() as walking:
        for caller in CALLERS:
            walker = Walker(caller, clients, Random(caller.name), scope, ledger)
            walking.create_task(walker.walk())
    assert ledger.tried > 50
    assert {owner.name for owner in ledger.owners.values()} == {one.name for one in CALLERS}
    await is_as_it_was_left(clients[0], ledger)


async def is_as_it_was_left(client: httpx.AsyncClient, ledger: Ledger) -> None:
    """Nothing was changed but by those who were told so."""
    query = {"page_size": "1000"}
    answer = await client.get("/tasks", params=query, headers=proof(EVERYONE))
    left = {task["id"]: task for task in answer.json()["tasks"]}
    for task_id, owner in ledger.owners.items():
        done = ledger.done[task_id]
        assert (task_id in left) is ("DELETE" not in done)
        if task_id in left:
            task = left[task_id]
            assert (task["principal"], task["tenant"]) == (owner.name, owner.tenant)
            assert task["status"] != "cancelled" or "cancel" in done
