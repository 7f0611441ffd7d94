"""Queues, operations and limits over HTTP: how they stand, and what an operator does with them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from asyncproxy.access.principal import Principal
from asyncproxy.access.rules import Action, Scope
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit import Limit
from asynctasks.statements.limit_states import LimitStates
from asynctestkit.callers import EVERYTHING, access, proof, rule
from asynctestkit.eventually import eventually
from asynctestkit.inside import Inside, accepted, held, inside, operation

CRM = Limit.model_validate(
    {"name": "crm", "concurrency": 40, "breaker": {"failures": 3}, "fairBy": "tenant"}
)
OCR = Limit.model_validate({"name": "ocr", "ratePerSecond": 2.5, "burst": 5})
OPERATIONS = (
    operation(limits=["crm", "ocr"]).bounded_by({"crm": CRM, "ocr": OCR}),
    operation("other", limits=["crm"]).bounded_by({"crm": CRM}),
    operation("elsewhere", queue="slow"),
)
ANN = Principal(name="ann", tenant="red")
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def installation(database_url: str) -> AsyncIterator[Inside]:
    async with inside(*OPERATIONS, database_url=database_url, broker_url="memory://") as inner:
        yield inner


@pytest.fixture
async def client(installation: Inside) -> httpx.AsyncClient:
    return await installation.client(await installation.proxy())


async def get(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def post(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.post(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


async def test_limits_are_shown_as_declared_and_as_they_stand(client: httpx.AsyncClient):
    crm, ocr = (await get(client, "/limits"))["limits"]
    assert crm == {
        "name": "crm",
        "operations": ["create-client", "other"],
        "declared": {
            "concurrency": 40,
            "fairBy": "tenant",
            "breaker": {"failures": 3, "withinSeconds": 10, "openSeconds": [5, 300]},
        },
        "changed": {},
        "concurrency": 40,
        "ratePerSecond": None,
        "burst": None,
        "running": 0,
        "held": 0,
        "startsLeft": None,
        "breaker": {"state": "closed", "failures": 0, "openedAt": None, "probeAt": None},
        "paused": None,
    }
    assert (ocr["operations"], ocr["breaker"], ocr["startsLeft"]) == (["create-client"], None, 5)
    assert await get(client, "/limits/crm") == crm
    assert await get(client, "/limits/crm/") == crm
    assert (await client.head("/limits")).status_code == 200


async def test_queues_are_shown_with_each_operation_on_them(
    installation: Inside, client: httpx.AsyncClient
):
    over = asyncio.Event()
    installation.upstream.will(held(over))
    await installation.executor()
    await accepted(client)
    await client.post("/elsewhere", json={}, headers={"Prefer": "respond-async"})

    async def both() -> None:
        clients, slow = (await get(client, "/queues"))["queues"]
        assert clients.pop("operations") == [
            {**task_counts(running=1), "name": "create-client", "limits": ["crm", "ocr"]},
            {**task_counts(), "name": "other", "limits": ["crm"]},
        ]
        assert clients == {
            "name": "clients",
            **counts(running=1),
            "executors": 1,
            "paused": None,
        }
        assert (slow["name"], slow["queued"], slow["executors"]) == ("slow", 1, 0)
        assert [each["name"] for each in slow["operations"]] == ["elsewhere"]
        crm = await get(client, "/limits/crm")
        assert crm["running"] == 1

    await eventually(both)
    over.set()


def counts(**given: int) -> dict[str, int]:
    return {"queued": 0, "held": 0, "published": 0, "running": 0, **given}


def task_counts(**given: int) -> dict[str, Any]:
    return {**counts(**given), "queue": "clients", "paused": None}


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("/queues/clients", PausedKind.QUEUE, "clients"),
        ("/operations/other", PausedKind.OPERATION, "other"),
        ("/limits/crm", PausedKind.LIMIT, "crm"),
    ],
)
async def test_what_is_paused_stays_so_until_it_is_resumed(
    installation: Inside, client: httpx.AsyncClient, path: str, kind: PausedKind, name: str
):
    proxy = await installation.proxy()
    elsewhere = await installation.client(proxy)
    states = LimitStates(proxy.connections.database)
    paused = await post(client, f"{path}/pause")
    assert (paused["name"], paused["paused"]["by"]) == (name, None)
    assert (await post(elsewhere, f"{path}/pause"))["paused"] == paused["paused"]
    found = (await states.read(OPERATIONS)).pauses.of(kind, name)
    assert found is not None
    assert found.paused_at.isoformat().replace("+00:00", "Z") == paused["paused"]["since"]
    assert (await post(elsewhere, f"{path}/resume/"))["paused"] is None
    assert (await post(client, f"{path}/resume"))["paused"] is None
    assert (await states.read(OPERATIONS)).pauses.by_name == {}


async def test_a_limit_is_set_by_a_merge_patch_for_all_at_once(
    installation: Inside, client: httpx.AsyncClient
):
    async def patch(**given: Any) -> Any:
        answer = await client.patch("/limits/ocr", json=given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    changed = await patch(concurrency=3, ratePerSecond=9)
    assert changed["changed"] == {"concurrency": 3, "ratePerSecond": 9}
    assert changed["declared"] == {"ratePerSecond": 2.5, "burst": 5}
    assert (changed["concurrency"], changed["ratePerSecond"], changed["burst"]) == (3, 9, 5)
    assert (await patch(burst=20))["startsLeft"] == 20
    elsewhere = await installation.client(await installation.proxy())
    assert (await get(elsewhere, "/limits/ocr"))["concurrency"] == 3
    back = await patch(concurrency=None, ratePerSecond=None, burst=None)
    assert (back["changed"], back["concurrency"], back["ratePerSecond"]) == ({}, None, 2.5)
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = await client.patch("/limits/ocr", content=b'{"burst": 1}', headers=headers)
    assert answer.json()["burst"] == 1


@pytest.mark.parametrize("media_type", ["application/json-patch+json", "text/plain"])
async def test_another_kind_of_patch_is_told_which_are_taken(
    client: httpx.AsyncClient, media_type: str
):
    answer = await client.patch("/limits/crm", content=b"{}", headers={"Content-Type": media_type})
    assert problem_of(answer) == (415, "unsupported-media-type")
    taken = "application/json, application/merge-patch+json"
    assert answer.headers["accept-patch"] == answer.headers["accept"] == taken
    assert answer.json()["detail"].endswith(f"expected {taken.replace(',', ' or')}.")


@pytest.mark.parametrize("path", ["/limits/crm%2F", "/limits/crm%2f/"])
async def test_a_slash_of_a_name_is_no_slash_of_the_path(client: httpx.AsyncClient, path: str):
    assert (await client.get(path)).status_code == 404
    assert (await client.patch(path, json={"concurrency": 1})).status_code == 404
    for what in ("limits/crm", "queues/clients", "operations/other"):
        assert (await client.post(f"/{what}%2Fpause")).status_code == 404
        assert (await client.post(f"/{what}/pause%2F")).status_code == 404
    crm = await get(client, "/limits/crm")
    assert (crm["changed"], crm["paused"]) == ({}, None)


async def test_a_change_that_makes_no_sense_is_told_by_its_place(client: httpx.AsyncClient):
    answer = await client.patch("/limits/crm", json={"concurrency": 0, "rate": 1})
    assert problem_of(answer) == (422, "limit-invalid")
    assert answer.json()["errors"] == [
        {"pointer": "/concurrency", "detail": "expected greater than or equal to 1"},
        {
            "pointer": "/rate",
            "detail": "unknown key; expected one of burst, concurrency, ratePerSecond",
        },
    ]
    no_object = await client.patch("/limits/crm", json=3)
    assert no_object.json()["detail"] == 'the body: expected a JSON object: {"concurrency": 20}'
    burst = await client.patch("/limits/crm", json={"burst": 2})
    assert (burst.json()["errors"][0]["pointer"], burst.status_code) == ("/burst", 422)
    assert (await get(client, "/limits/crm"))["changed"] == {}


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"{", JSON, (400, "malformed-json")),
        (b"", JSON, (400, "malformed-json")),
        (b"3", JSON, (422, "limit-invalid")),
        (b"{}", {"Content-Type": "text/plain"}, (415, "unsupported-media-type")),
        (b" " * 5_000, JSON, (413, "body-too-large")),
    ],
)
async def test_a_change_that_cannot_be_read_is_refused(
    client: httpx.AsyncClient,
    content: bytes,
    headers: dict[str, str],
    expected: tuple[int, str],
):
    answer = await client.patch("/limits/crm", content=content, headers=headers)
    assert problem_of(answer) == expected


@pytest.mark.parametrize("kind", ["queue", "operation", "limit"])
async def test_what_is_not_there_can_be_neither_paused_nor_resumed(
    client: httpx.AsyncClient, kind: str
):
    for action in ("pause", "resume"):
        answer = await client.post(f"/{kind}s/nobody/{action}")
        assert problem_of(answer) == (404, f"{kind}-not-found")
    if kind == "limit":
        for answer in (await client.get("/limits/nobody"), await client.patch("/limits/nobody")):
            assert problem_of(answer) == (404, "limit-not-found")


@pytest.mark.parametrize("kind", list(PausedKind))
async def test_what_left_the_file_while_it_was_paused_can_be_resumed_once(
    installation: Inside, kind: PausedKind
):
    only_others = Principal(name="bea")
    callers = access(
        (ANN, only_others),
        rule(principals=("ann",), tasks=Scope.ALL),
        rule(operations=("other",), tasks=Scope.ALL),
    )
    proxy = await installation.proxy(access=callers)
    await LimitStates(proxy.connections.database).pause(kind, "gone", by="ann")
    client = await installation.client(proxy)
    path, missing = f"/{kind}s/gone/resume", (404, f"{kind}-not-found")
    client.headers.update(proof(only_others))
    assert problem_of(await client.post(path)) == missing
    client.headers.update(proof(ANN))
    assert problem_of(await client.post(f"/{kind}s/gone/pause")) == missing
    resumed = await post(client, path)
    assert (resumed["name"], resumed["paused"]) == ("gone", None)
    assert problem_of(await client.post(path)) == missing


async def test_who_pauses_is_told_and_the_audit_has_each_change(
    installation: Inside, caplog: pytest.LogCaptureFixture
):
    may = EVERYTHING - {Action.OPERATE}
    callers = access(
        (ANN, Principal(name="bea")),
        rule(principals=("ann",), tasks=Scope.ALL),
        rule(may=may, tasks=Scope.ALL),
    )
    proxy = await installation.proxy(access=callers)
    client = await installation.client(proxy)
    client.headers.update(proof(ANN))
    assert (await post(client, "/queues/clients/pause"))["paused"]["by"] == "ann"
    given = {"concurrency": 5, "burst": None}
    assert (await client.patch("/limits/crm", json=given)).status_code == 200
    await client.patch("/limits/crm", json={"concurrency": "a\nb"})
    await client.post("/limits/nobody/pause")
    client.headers.update(proof(Principal(name="bea")))
    refused = await client.post("/queues/clients/resume")
    assert problem_of(refused) == (403, "forbidden")
    (clients, *_) = (await get(client, "/queues"))["queues"]
    assert clients["paused"]["by"] == "ann"
    told = [one.msg for one in caplog.records if one.name == "audit"]
    assert [
        (one["event"], one["actor"], one["target"], one["result"], one["status"])
        for one in told
        if isinstance(one, dict)
    ] == [
        ("pause", "ann", "queue clients", "done", None),
        ("change", "ann", "limit crm concurrency=5 burst=null", "done", None),
        ("change", "ann", "limit crm", "refused", 422),
        ("pause", "ann", "limit nobody", "refused", 404),
        ("resume", "bea", "queue clients", "refused", 403),
    ]
