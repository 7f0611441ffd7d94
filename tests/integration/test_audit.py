"""What the audit log tells: one line for each change that a caller has made or was refused."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import SQLModel
from structlog.testing import capture_logs

from asyncproxy.access.access import Access
from asyncproxy.access.audit import Entry
from asyncproxy.access.audit_table import MAX_WAITING, AuditTable
from asyncproxy.access.principal import Principal
from asyncproxy.access.rules import Action, Scope
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.statements.audit_entries import AuditEntries
from asynctasks.task import new_task_id
from asynctestkit.callers import access, proof, rule
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, inside, operation

ANN = Principal(name="ann", tenant="red")
BEA = Principal(name="bea", tenant="blue")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
ENTRIES = SQLModel.metadata.tables["audit_entries"]


@pytest.fixture
def callers() -> Access:
    return access(
        (ANN, BEA), rule(may=(Action.READ,), operations=("other",), tasks=Scope.ALL), rule()
    )


@pytest.fixture
async def client(sqlite_url: str, callers: Access) -> AsyncIterator[httpx.AsyncClient]:
    async with inside(
        operation(), operation("other"), database_url=sqlite_url, broker_url="memory://"
    ) as installation:
        client = await installation.client(await installation.proxy(access=callers))
        client.headers.update(proof(ANN))
        yield client


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    """The audit's entries so far, each without what all here have."""

    def entries() -> list[dict[str, Any]]:
        messages: list[Any] = [one.msg for one in caplog.records if one.name == "audit"]
        found: list[dict[str, Any]] = [{**message} for message in messages]
        for entry in found:
            assert entry.pop("address") == "127.0.0.1"
        return found

    return entries


def refused(event: str, caller: Principal = ANN, **more: Any) -> dict[str, Any]:
    return entry(event, caller, result="refused", **more)


def entry(event: str, caller: Principal = ANN, **more: Any) -> dict[str, Any]:
    defaults = {
        "event": event,
        "actor": caller.name,
        "tenant": caller.tenant,
        "operation": "create-client",
        "task_id": None,
        "target": None,
        "trace_id": None,
        "result": "done",
        "status": None,
    }
    return defaults | more


async def test_each_change_is_told_once_with_who_made_it(client: httpx.AsyncClient, told: Any):
    answer = await client.post("/create-client", json={}, headers={**ASYNC, **TRACED})
    task_id = answer.json()["id"]
    await client.get(f"/tasks/{task_id}")
    await client.get("/tasks")
    for path in ("cancel", "retry", "cancel"):
        await client.post(f"/tasks/{task_id}/{path}")
    await client.delete(f"/tasks/{task_id}", headers=TRACED)
    assert told() == [
        entry("submit", task_id=task_id, trace_id=TRACE),
        entry("cancel", task_id=task_id),
        entry("retry", task_id=task_id),
        entry("cancel", task_id=task_id),
        entry("delete", task_id=task_id, trace_id=TRACE),
    ]


async def test_what_is_refused_is_told_with_its_status(client: httpx.AsyncClient, told: Any):
    answer = await client.post("/create-client", json={}, headers=ASYNC)
    task_id, never = answer.json()["id"], str(new_task_id())
    await client.delete(f"/tasks/{task_id}")
    await client.post(f"/tasks/{task_id}/cancel", headers=proof(BEA))
    await client.post(f"/tasks/{never}/retry")
    await client.post("/other", json={})
    await client.post("/create-client", json={"name": 1})
    await client.post("/create-client", json={}, headers={"Task-Delay": "x"})
    await client.post("/create-client", json={}, headers={"Authorization": "Bearer nobody"})
    await client.post(f"/tasks/{task_id}/cancel", headers={"Authorization": "Bearer nobody"})
    assert told()[1:] == [
        refused("delete", task_id=task_id, status=409),
        refused("cancel", BEA, task_id=task_id, status=404),
        refused("retry", operation=None, task_id=never, status=404),
        refused("submit", operation="other", status=403),
        refused("submit", status=422),
        refused("submit", status=400),
    ]


async def test_a_repeat_makes_nothing_and_is_not_told(client: httpx.AsyncClient, told: Any):
    headers = {**ASYNC, "Idempotency-Key": "one"}
    ids = {
        (await client.post("/create-client", json={}, headers=headers)).json()["id"]
        for _ in range(3)
    }
    reused = await client.post("/create-client", json={"name": "other"}, headers=headers)
    assert reused.status_code == 422
    assert told() == [
        entry("submit", task_id=ids.pop()),
        entry("submit", result="refused", status=422),
    ]
    assert not ids


async def test_a_caller_who_leaves_is_told_of_all_the_same(client: httpx.AsyncClient, told: Any):
    call = asyncio.ensure_future(client.post("/create-client", json={}))

    async def the_task() -> dict[str, Any]:
        tasks = (await client.get("/tasks")).json()["tasks"]
        assert len(tasks) == 1
        return tasks[0]

    task = await eventually(the_task)
    call.cancel()
    await asyncio.wait([call])

    def is_told() -> None:
        assert told() == [entry("submit", task_id=task["id"])]

    await eventually(is_told)


@pytest.mark.parametrize("setting", ["off", None])
async def test_nothing_is_told_where_it_is_off_or_callers_are_not_told_apart(
    sqlite_url: str, callers: Access, told: Any, setting: str | None
):
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        apart: dict[str, Any] = {} if setting is None else {"access": callers, "audit": setting}
        proxy = await installation.proxy(**apart)
        client = await installation.client(proxy)
        answer = await client.post("/create-client", json={}, headers={**ASYNC, **proof(ANN)})
        assert answer.status_code == 202
        await client.post(f"{answer.headers['location']}/cancel", headers=proof(ANN))
        assert told() == []


@pytest.mark.parametrize(
    ("trusted", "address"), [("127.0.0.0/8", "203.0.113.9"), ("10.0.0.0/8", "127.0.0.1")]
)
async def test_an_address_is_the_callers_where_the_proxy_in_front_is_trusted(
    sqlite_url: str,
    callers: Access,
    caplog: pytest.LogCaptureFixture,
    trusted: str,
    address: str,
):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", trusted_proxies=trusted
    ) as installation:
        client = await installation.client(await installation.proxy(access=callers))
        headers = {**proof(ANN), **ASYNC, "X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        await client.post("/create-client", json={}, headers=headers)
        (told,) = [record.msg for record in caplog.records if record.name == "audit"]
        assert isinstance(told, dict)
        assert told["address"] == address


async def test_entries_are_kept_in_the_table_until_their_retention_has_passed(
    database_url: str, callers: Access
):
    async with inside(database_url=database_url, broker_url="memory://", audit="table") as inner:
        proxy = await inner.proxy(access=callers)
        client = await inner.client(proxy)
        client.headers.update(proof(ANN))
        answer = await client.post("/create-client", json={}, headers={**ASYNC, **TRACED})
        task_id = answer.json()["id"]
        await client.post(f"/tasks/{task_id}/cancel", headers=proof(BEA))
        await client.post(f"/tasks/{task_id}/cancel")
        database = proxy.connections.database

        async def kept() -> list[Any]:
            async with database.read() as connection:
                found = await connection.execute(select(ENTRIES).order_by(ENTRIES.c.id))
                return [*found.mappings()]

        async def all_kept() -> list[Any]:
            rows = await kept()
            assert len(rows) == 3
            return rows

        rows = await eventually(all_kept)
        assert {row["address"] for row in rows} == {"127.0.0.1"}
        assert [
            (row["action"], row["actor"], str(row["task_id"]), row["result"], row["status"])
            for row in rows
        ] == [
            ("submit", "ann", task_id, "done", None),
            ("cancel", "bea", task_id, "refused", 404),
            ("cancel", "ann", task_id, "done", None),
        ]
        assert [row["trace_id"] for row in rows] == [TRACE, None, None]
        await client.delete(f"/tasks/{task_id}")
        await proxy.finish()
        assert [row["action"] for row in await kept()] == ["submit", "cancel", "cancel", "delete"]
        entries = AuditEntries(database)
        assert await entries.purge(limit=10, retention_seconds=3_600) == 0
        assert await entries.purge(limit=3, retention_seconds=-1) == 3
        assert [row["action"] for row in await kept()] == ["delete"]


class Away:
    """A table in a database that is away, as long as it is told so."""

    def __init__(self) -> None:
        self.is_away = True
        self.rows: dict[Any, str] = {}

    async def add(self, entries: Any) -> None:
        # It was stored all the same: so a repeat must not store it twice.
        self.rows |= {entry.id: entry.actor for entry in entries}
        if self.is_away:
            raise DatabaseUnavailableError


async def test_entries_wait_for_a_database_that_is_away_the_newest_as_many_as_may():
    away: Any = Away()
    table = AuditTable(away, retention_seconds=1)
    for number in range(MAX_WAITING + 5):
        table.write(Entry(action="cancel", actor=str(number), result="done", **NOBODY))
    with pytest.raises(DatabaseUnavailableError):
        await table.loops[0]._tick()
    away.is_away = False
    with capture_logs() as logs:
        await table.close()
    assert [*away.rows.values()] == [str(number) for number in range(5, MAX_WAITING + 5)]
    assert [log["entries"] for log in logs] == [5]


NOBODY: dict[str, Any] = {
    "tenant": "",
    "operation": None,
    "task_id": None,
    "target": None,
    "address": None,
    "trace_id": None,
}
SCRIPT = """
import sys
from starlette.requests import Request
from asyncproxy.access.audit import Audit, Change
from asyncproxy.access.principal import Principal
from asyncproxy.access.rules import Action
from asynctasks.logs import configure_logging

configure_logging(level="error", log_format=sys.argv[1])
headers = [(b"traceparent", b"\\xff")]
request = Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 1)})
forged = Principal(name="ann\\n2026-01-01 [info] delete actor=bea", tenant="red")
Change(request, forged, Action.CANCEL, audit=Audit()).done()
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_line_is_one_line_whatever_a_name_holds_and_at_any_level(log_format: str):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, log_format], capture_output=True, text=True, check=True
    )
    (line,) = done.stderr.splitlines()
    if log_format == "json":
        told = json.loads(line)
        assert (told["logger"], told["event"], told["result"]) == ("audit", "cancel", "done")
        assert told["address"] == "10.0.0.1"
        assert told["trace_id"] is None
    else:
        assert "cancel" in line
        assert "audit" in line
        assert "10.0.0.1" in line
