"""One action on many tasks by the proxy's API: the same tasks as the list's, and whose they are."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from asyncproxy.access.access import Access
from asyncproxy.access.principal import Principal
from asyncproxy.access.quota import Quota
from asyncproxy.access.rules import Action, Scope
from asynctasks.task import new_task_id
from asynctestkit.callers import EVERYTHING, access, proof, rule
from asynctestkit.calls import PROBLEMS, get_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, accepted, inside, operation

ANN = Principal(name="ann", tenant="red")
ROB = Principal(name="rob", tenant="red")
BEA = Principal(name="bea", tenant="blue")
QUICK: dict[str, Any] = {"broker_url": "memory://", "relay_interval_seconds": 0.05}


async def asked(
    client: httpx.AsyncClient, action: str, *, of: dict[str, Any] | None = None, **more: Any
) -> httpx.Response:
    return await client.post("/tasks:batch", json={"action": action, "filter": of or {}, **more})


async def ended(client: httpx.AsyncClient, made: httpx.Response) -> dict[str, Any]:
    """The batch once it has finished."""
    assert made.status_code == 202, made.text
    path = made.headers["location"]
    assert path == f"/batches/{made.json()['id']}"

    async def finished() -> dict[str, Any]:
        batch = (await client.get(path)).json()
        assert batch["finishedAt"] is not None, batch
        return batch

    return await eventually(finished)


async def cancelled(client: httpx.AsyncClient, **headers: str) -> str:
    task_id = await accepted(client, **headers)
    await client.post(f"/tasks/{task_id}/cancel", headers=headers)
    return task_id


async def listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    page = await client.get("/tasks", params=query)
    assert page.status_code == 200, page.text
    return [task["id"] for task in page.json()["tasks"]]


async def test_the_list_the_dry_run_and_the_batch_mean_the_same_tasks(
    sqlite_url: str, postgresql_url: str
):
    for database_url in (sqlite_url, postgresql_url):
        async with inside(
            operation(), operation("other"), database_url=database_url, **QUICK
        ) as installation:
            client = await installation.client(await installation.proxy())
            blue = await cancelled(client, **{"Task-Labels": "team=blue, tier=1"})
            red = await cancelled(client, **{"Task-Labels": "team=red", "Task-Batch": "b"})
            other = (await client.post("/other", json={}, headers=ASYNC)).json()["id"]
            await client.post(f"/tasks/{other}/cancel")
            middle = await get_task(client, red)
            filters: list[tuple[dict[str, Any], list[str]]] = [
                # First, as they finish anew by what the others do.
                ({"finished_after": middle["finishedAt"]}, [other]),
                ({"finished_before": middle["finishedAt"]}, [blue]),
                ({}, [other, red, blue]),
                ({"status": "cancelled"}, [other, red, blue]),
                ({"status": "expired"}, []),
                ({"operation": "create-client"}, [red, blue]),
                ({"label": ["team=blue"]}, [blue]),
                ({"label": ["team=green"]}, []),
                ({"label": ["team=blue", "tier=1"]}, [blue]),
                ({"label": ["team=red", "tier=1"]}, []),
                ({"batch": "b"}, [red]),
                ({"batch": "b", "label": ["team=blue"]}, []),
                ({"error_type": "task-cancelled"}, [other, red, blue]),
                ({"error_type": f"{PROBLEMS}task-cancelled", "operation": "other"}, [other]),
                ({"error_type": "upstream-timeout"}, []),
                ({"created_after": middle["createdAt"]}, [other]),
                ({"created_before": middle["createdAt"]}, [blue]),
                ({"principal": "ann"}, []),
                ({"tenant": "red"}, []),
                ({"operation": "create-client", "label": ["team=red"]}, [red]),
            ]
            for words, ids in filters:
                assert await listed(client, **words) == ids, words
                dry = await asked(client, "retry", of=words, dryRun=True)
                assert (dry.status_code, dry.json()) == (
                    200,
                    {
                        "action": "retry",
                        "matched": len(ids),
                        "statuses": {"cancelled": len(ids)} if ids else {},
                        "isComplete": True,
                    },
                )
                batch = await ended(client, await asked(client, "retry", of=words))
                assert batch["status"] == "succeeded"
                assert batch["filter"].keys() == words.keys()
                assert (batch["counts"]["matched"], batch["counts"]["done"]) == (len(ids),) * 2
                assert await listed(client, status="queued") == ids, words
                for task_id in ids:
                    await client.post(f"/tasks/{task_id}/cancel")


@pytest.fixture
async def client(installation: Inside) -> httpx.AsyncClient:
    return await installation.client(await installation.proxy())


INSTANTS = ("created_after", "created_before", "finished_after", "finished_before")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"created_after": "2026-01-01T00:00:00"}, "expected a time zone, such as Z"),
        *(({name: "soon"}, "expected RFC 3339") for name in INSTANTS),
        ({"label": ["=1"]}, "such as team=a"),
        ({"label": ["a=1", "a=2"]}, "several named a"),
        ({"batch": "no such"}, "expected a name of letters"),
        ({"error_type": "no such"}, "such as upstream-timeout"),
        ({"operation": "a\0b"}, "such as create-client"),
        ({"principal": "a\0b"}, "expected a name"),
        ({"status": "done"}, "expected 'queued'"),
    ],
)
async def test_a_filter_that_means_nothing_is_told_as_of_the_list(
    client: httpx.AsyncClient, words: dict[str, Any], told: str
):
    answer = await asked(client, "delete", of=words)
    assert (answer.status_code, answer.json()["type"]) == (422, f"{PROBLEMS}batch-invalid")
    (error,) = answer.json()["errors"]
    (name,) = words
    assert error["pointer"].removesuffix("/0") == f"/filter/{name}"
    assert told in error["detail"]
    of_list = (await client.get("/tasks", params=words)).json()["errors"]
    assert of_list == [{"parameter": name, "detail": error["detail"]}]
    assert (await client.get("/batches")).json()["batches"] == []


async def test_what_is_no_json_or_too_much_is_refused(client: httpx.AsyncClient):
    json = {"Content-Type": "application/json"}
    answers = [
        await client.post("/tasks:batch", content=b"{", headers=json),
        await client.post("/tasks:batch", content=b"{}"),
        await client.post("/tasks:batch", content=b" " * 20_000, headers=json),
    ]
    assert [answer.status_code for answer in answers] == [400, 415, 413]


async def test_a_batch_is_found_again_and_cancelled_by_whoever_asked_for_it(
    client: httpx.AsyncClient,
):
    made = [await asked(client, "cancel") for _ in range(3)]
    ids = [(await ended(client, one))["id"] for one in made]
    page = (await client.get("/batches?page_size=2")).json()
    assert [batch["id"] for batch in page["batches"]] == [ids[2], ids[1]]
    rest = (await client.get(f"/batches?page_token={page['nextPageToken']}")).json()
    assert [batch["id"] for batch in rest["batches"]] == [ids[0]]
    assert rest["nextPageToken"] is None
    answer = await client.post(f"/batches/{ids[0]}/cancel")
    assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEMS}batch-finished")
    for path in (f"/batches/{new_task_id()}", "/batches/x"):
        for answer in (await client.get(path), await client.post(f"{path}/cancel")):
            assert (answer.status_code, answer.json()["type"]) == (
                404,
                f"{PROBLEMS}batch-not-found",
            )


async def test_a_batch_is_cancelled_before_its_first_step(sqlite_url: str):
    slow = {"broker_url": "memory://", "relay_interval_seconds": 60}
    async with inside(database_url=sqlite_url, **slow) as installation:
        client = await installation.client(await installation.proxy())
        task_id = await accepted(client)
        made = (await asked(client, "cancel")).json()
        assert (made["status"], made["finishedAt"]) == ("queued", None)
        answer = await client.post(made["links"]["cancel"])
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert (await get_task(client, task_id))["status"] == "queued"


RED_ONES = rule(principals=("ann",), operations=("create-client",), tasks=Scope.TENANT)
READ_ONLY = rule(principals=("ann",), may={Action.READ, Action.SUBMIT}, tasks=Scope.ALL)


@pytest.fixture
def callers() -> Access:
    """Ann may do everything with her tenant's, and see all others'; each other with its own."""
    return access((ANN, ROB, BEA), RED_ONES, READ_ONLY, rule())


@pytest.fixture
async def of_ann(sqlite_url: str, callers: Access) -> AsyncIterator[httpx.AsyncClient]:
    async with inside(
        operation(), operation("other"), database_url=sqlite_url, **QUICK
    ) as installation:
        client = await installation.client(await installation.proxy(access=callers))
        client.headers.update(proof(ANN))
        yield client


async def test_it_is_done_with_those_tasks_alone_with_which_its_caller_may_do_it(
    of_ann: httpx.AsyncClient,
):
    for caller in (ANN, ROB, BEA):
        await accepted(of_ann, **proof(caller))
    other = await of_ann.post("/other", json={}, headers=ASYNC)
    assert (other.status_code, len(await listed(of_ann, operation="other"))) == (202, 1)

    dry = (await asked(of_ann, "cancel", dryRun=True)).json()
    batch = await ended(of_ann, await asked(of_ann, "cancel"))

    assert dry["statuses"] == {"queued": 2}
    assert (batch["counts"]["matched"], batch["counts"]["done"]) == (2, 2)
    assert (batch["principal"], batch["tenant"]) == ("ann", "red")
    tasks = (await of_ann.get("/tasks", headers=proof(BEA))).json()["tasks"]
    assert [task["status"] for task in tasks] == ["queued"]
    tasks = (await of_ann.get("/tasks", headers=proof(ROB))).json()["tasks"]
    assert [task["status"] for task in tasks] == ["cancelled"]
    assert len(await listed(of_ann, operation="other", status="queued")) == 1
    for more in ({}, {"dryRun": True}):
        refused = await asked(of_ann, "cancel", of={"operation": "other"}, **more)
        assert (refused.status_code, refused.json()["type"]) == (403, f"{PROBLEMS}forbidden")


async def test_it_goes_by_the_rules_as_they_were_when_it_was_asked_for(sqlite_url: str):
    may = access((ANN, ROB), rule(tasks=Scope.TENANT))
    slow = {"broker_url": "memory://", "relay_interval_seconds": 1.5}
    async with inside(database_url=sqlite_url, **slow) as installation:
        client = await installation.client(await installation.proxy(access=may))
        client.headers.update(proof(ANN))
        task_id = await accepted(client, **proof(ROB))
        made = await asked(client, "cancel")
        assert made.json()["status"] == "queued"
        less = access((ANN, ROB), rule(may=EVERYTHING - {Action.CANCEL}))
        may.replace(less._authenticator, less._rules, ())
        assert (await ended(client, made))["counts"]["done"] == 1
        assert (await asked(client, "cancel")).status_code == 403
        found = (await client.get(f"/tasks/{task_id}", headers=proof(ROB))).json()
        assert found["status"] == "cancelled"


async def test_the_audit_tells_of_a_batch_when_it_is_asked_for_and_of_what_came_of_it(
    of_ann: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
):
    for _ in range(3):
        await accepted(of_ann)
    caplog.clear()
    words = {"operation": "create-client", "status": "queued"}
    batch = await ended(of_ann, await asked(of_ann, "cancel", of=words))
    await asked(of_ann, "delete", of={"operation": "other"})
    await of_ann.post(f"/batches/{batch['id']}/cancel", headers=proof(BEA))
    told = [
        tuple(one.msg[key] for key in ("event", "actor", "operation", "result", "status"))  # type: ignore[index, call-overload]
        for one in caplog.records
        if one.name == "audit"
    ]
    targets = [str(one.msg["target"]) for one in caplog.records if one.name == "audit"]  # type: ignore[index, call-overload]
    assert told == [
        ("cancel", "ann", "create-client", "done", None),
        ("cancel", "ann", "create-client", "done", None),
        ("delete", "ann", "other", "refused", 403),
        ("cancel", "bea", None, "refused", 404),
    ]
    asked_for, outcome, *_ = targets
    assert asked_for == f"batch {batch['id']} status=queued operation=create-client"
    assert outcome == f"batch {batch['id']} matched=3 done=3 skipped=0 failed=0"


async def test_no_more_are_retried_than_their_owners_quota_has_room_for(database_url: str):
    quotas = [Quota.model_validate({"per": "tenant", "queued": 3})]
    callers = access((ANN, BEA), rule(tasks=Scope.ALL), quotas=quotas)
    async with inside(database_url=database_url, **QUICK) as installation:
        client = await installation.client(await installation.proxy(access=callers))
        client.headers.update(proof(ANN))
        for caller in (ANN, ANN, BEA):
            await cancelled(client, **proof(caller))
        await accepted(client)
        await accepted(client)
        batch = await ended(client, await asked(client, "retry"))
        assert batch["counts"] == {"matched": 3, "done": 2, "skipped": 0, "failed": 1}
        assert batch["failures"] == {"quota-exceeded": 1}
        assert len(await listed(client, tenant="red", status="queued")) == 3
        # What was retried counts.
        refused = await client.post("/create-client", json={}, headers=ASYNC)
        assert refused.status_code == 429
