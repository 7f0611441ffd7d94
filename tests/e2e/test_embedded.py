"""`asyncapiproxy up`: what a newcomer meets, by HTTP, with everything in one process."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from asynctestkit.calls import PROBLEMS, caller, create_client, finished_task, get_task, new_email
from asynctestkit.processes import Keep, Service, up_service

SECRET = "correct-horse-battery-staple"
DEMO_OPERATIONS = Path(__file__).parents[2] / "cli/asyncapiproxy/operations.yaml"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, keep_in_module: Keep) -> Service:
    return keep_in_module(up_service(tmp_path_factory.mktemp("up"))).start()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with caller(service.url) as client:
        yield client


@pytest.mark.parametrize("path", ["/clients/", "/clients"])
async def test_a_quick_call_is_answered_as_the_upstream_answered(
    client: httpx.AsyncClient, path: str
):
    email = new_email()

    answer = await client.post(path, json={"email": email, "name": "Ann", "password": SECRET})

    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"id", "email", "name"}
    assert (answer.json()["email"], answer.json()["name"]) == (email, "Ann")
    assert "task-id" in answer.headers


async def test_the_task_of_an_answered_call_shows_its_response(client: httpx.AsyncClient):
    answer = await create_client(client, new_email(), password=SECRET)

    task = await get_task(client, answer.headers["task-id"])

    assert (task["status"], task["done"], task["attempt"]) == ("succeeded", True, 1)
    assert task["operation"] == "create-client"
    assert task["arguments"] == {"email": answer.json()["email"], "name": "Ann"}
    assert task["response"] == {
        "status": 201,
        "contentType": "application/json",
        "headers": {"location": [answer.headers["location"]]},
        "body": answer.json(),
    }
    assert task["error"] is None
    assert task["createdAt"] <= task["startedAt"] <= task["finishedAt"]
    assert task["links"]["self"] == f"/tasks/{task['id']}"
    assert (await client.get(task["links"]["self"])).json() == task


async def test_the_demos_location_leads_through_the_proxy(tmp_path: Path, keep: Keep):
    service = keep(up_service(tmp_path, operations=DEMO_OPERATIONS.read_text())).start()
    async with caller(service.url) as client:
        created = await create_client(client, new_email())
        read = await client.get(created.headers["location"])
        assert created.headers["location"] == f"/clients/{created.json()['id']}"
        assert (read.status_code, read.json()) == (200, created.json())
        assert read.headers["task-id"] != created.headers["task-id"]


async def test_a_slow_call_is_answered_202_after_its_wait_and_its_response_comes_later(
    client: httpx.AsyncClient,
):
    email = new_email("slow+5")
    started = time.monotonic()

    accepted = await create_client(client, email, prefer="wait=1")

    assert 0.9 < time.monotonic() - started < 4.5
    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "wait=1"
    assert int(accepted.headers["retry-after"]) >= 1
    task_id = accepted.headers["task-id"]
    assert accepted.headers["location"] == f"/tasks/{task_id}"
    assert accepted.json()["id"] == task_id
    assert accepted.json()["status"] in {"queued", "running"}
    unfinished = await client.get(f"/tasks/{task_id}/response")
    assert unfinished.status_code == 409
    assert unfinished.json()["type"] == f"{PROBLEMS}task-not-finished"
    assert int(unfinished.headers["retry-after"]) >= 1

    task = await finished_task(client, task_id)

    assert task["status"] == "succeeded"
    assert task["response"]["status"] == 201
    assert task["response"]["body"]["email"] == email
    response = await client.get(f"/tasks/{task_id}/response")
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.json() == task["response"]["body"]


async def test_a_refusal_of_the_upstream_is_the_callers_answer_and_the_task_has_failed(
    client: httpx.AsyncClient,
):
    email = new_email()
    await create_client(client, email)

    refused = await create_client(client, email)

    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert email in refused.json()["detail"]
    task = await get_task(client, refused.headers["task-id"])
    assert (task["status"], task["error"], task["attempt"]) == ("failed", None, 1)
    assert task["response"]["status"] == 409
    verbatim = await client.get(f"/tasks/{task['id']}/response")
    assert (verbatim.status_code, verbatim.content) == (409, refused.content)


@pytest.mark.parametrize(
    ("behaviour", "problem", "attempts", "detail"),
    [
        ("fail+503", "upstream-failed", 3, "503"),
        ("drop", "upstream-unreachable", 3, "closed"),
        ("huge+5", "upstream-response-too-large", 1, "1048576 bytes"),
        ("flaky+3", "upstream-failed", 3, "503"),
    ],
)
async def test_an_upstream_that_fails_ends_in_a_problem(
    client: httpx.AsyncClient, behaviour: str, problem: str, attempts: int, detail: str
):
    answer = await create_client(client, new_email(behaviour))

    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    task_id = answer.headers["task-id"]
    assert document["type"] == f"{PROBLEMS}{problem}"
    assert (document["status"], document["taskId"]) == (502, task_id)
    assert detail in document["detail"]
    task = await get_task(client, task_id)
    assert (task["status"], task["attempt"], task["response"]) == ("failed", attempts, None)
    assert task["error"]["type"] == document["type"]
    again = await client.get(f"/tasks/{task_id}/response")
    assert (again.status_code, again.json()) == (502, document)
    assert (await client.get("/ping")).status_code == 200


@pytest.mark.parametrize(
    ("behaviour", "attempts"),
    # What is dropped on a kept connection is sent once more, which costs no attempt.
    [("flaky+2", {3}), ("flaky+2.drop", {2, 3})],
)
async def test_an_upstream_that_recovers_in_time_is_a_success(
    client: httpx.AsyncClient, behaviour: str, attempts: set[int]
):
    answer = await create_client(client, new_email(behaviour))

    assert answer.status_code == 201
    task = await get_task(client, answer.headers["task-id"])
    assert task["status"] == "succeeded"
    assert task["attempt"] in attempts
    outcomes = [attempt["outcome"] for attempt in task["attempts"]]
    assert outcomes == ["failed"] * (task["attempt"] - 1) + ["succeeded"]


async def test_the_password_is_in_no_answer_no_file_and_no_log(
    client: httpx.AsyncClient, service: Service
):
    email = new_email()
    answers = [
        await create_client(client, email, password=SECRET),
        await create_client(client, email, password=SECRET),  # refused: 409
        await create_client(client, new_email("fail+503"), password=SECRET),
        await create_client(client, new_email("drop"), password=SECRET),
        await create_client(client, new_email("slow+1"), password=SECRET, prefer="respond-async"),
        await create_client(client, new_email(), password=[SECRET]),
        await create_client(client, new_email(), password=SECRET, unknown=SECRET),
        await client.post("/clients", content=f'{{"password": "{SECRET}", '),
        await client.post(
            "/clients",
            content=f'{{"password": "{SECRET}", ',
            headers={"Content-Type": "application/json"},
        ),
        await client.post("/clients", json=SECRET),
    ]
    assert [answer.status_code for answer in answers] == [
        *(201, 409, 502, 502, 202),
        *(422, 422, 415, 400, 422),
    ]
    task_ids = [answer.headers["task-id"] for answer in answers if "task-id" in answer.headers]
    await asyncio.gather(*(finished_task(client, task_id) for task_id in task_ids))
    paths = [f"/tasks/{id_}{more}" for id_ in task_ids for more in ("", "/response")]
    answers += [await client.get(path) for path in [*paths, "/tasks?view=full", "/openapi.json"]]
    answers.append(await _health(service, "/metrics"))

    places = {str(file): file.read_bytes() for file in _files(service.log_file.parent)}
    places |= {
        f"{answer.request.method} {answer.url} #{number}": _bytes(answer)
        for number, answer in enumerate(answers)
    }
    # What is stored in the clear is found, so a password would be.
    assert any(email.encode() in held for name, held in places.items() if "tasks.db" in name)
    assert any(email.encode() in held for name, held in places.items() if name.startswith("GET"))
    hidden = (
        SECRET.encode(),
        base64.b64encode(SECRET.encode())[:-4],
        SECRET.encode().hex().encode(),
    )
    assert [name for name, held in places.items() if any(form in held for form in hidden)] == []


async def _health(service: Service, path: str) -> httpx.Response:
    async with caller(service.health_url) as client:
        return await client.get(path)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def _bytes(answer: httpx.Response) -> bytes:
    return str(answer.headers.raw).encode() + answer.content


async def test_an_unchanged_task_is_304_for_its_etag(client: httpx.AsyncClient):
    task_id = (await create_client(client, new_email())).headers["task-id"]
    etag = (await client.get(f"/tasks/{task_id}")).headers["etag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await client.get(f"/tasks/{task_id}", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == etag
    for other in ('"other"', etag.strip('"')):
        answer = await client.get(f"/tasks/{task_id}", headers={"If-None-Match": other})
        assert answer.status_code == 200, other


async def test_an_etag_changes_with_the_task(client: httpx.AsyncClient):
    accepted = await create_client(client, new_email("slow+0.5"), prefer="respond-async")
    task_id = accepted.headers["task-id"]

    await finished_task(client, task_id)

    answer = await client.get(
        f"/tasks/{task_id}", headers={"If-None-Match": accepted.headers["etag"]}
    )
    assert answer.status_code == 200
    assert answer.headers["etag"] != accepted.headers["etag"]


@pytest.mark.parametrize(
    ("prefer", "status", "applied"),
    [
        ("respond-async", 202, "respond-async"),
        ("wait=0", 202, "wait=0"),
        ("respond-async, wait=5", 201, "respond-async, wait=5"),
        ("wait=5", 201, "wait=5"),
        ("wait=100000", 201, "wait=60"),
        ("handling=lenient", 201, None),
        (None, 201, None),
    ],
)
async def test_what_was_done_of_a_preference_is_said(
    client: httpx.AsyncClient, prefer: str | None, status: int, applied: str | None
):
    answer = await create_client(client, new_email("slow+0.2"), prefer=prefer)

    assert answer.status_code == status
    assert answer.headers.get("preference-applied") == applied


async def test_ping_tells_what_is_available_and_how_fast_it_answers(client: httpx.AsyncClient):
    answer = await client.get("/ping")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    timing = dict(re.findall(r"(\w+);dur=([0-9.]+)", answer.headers["server-timing"]))
    for part in ("proxy", "database", "broker"):
        assert answer.json()[part]["available"] is True
        assert float(timing[part]) == answer.json()[part]["responseTimeMs"] >= 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_is_told_on_its_own_port_and_not_on_the_callers(
    client: httpx.AsyncClient, service: Service, path: str
):
    assert (await _health(service, path)).status_code == 200
    assert (await client.get(path)).status_code == 404
    assert service.health_url.replace("127.0.0.1", "localhost") in service.log


async def test_openapi_is_valid_and_has_the_operations_own_schema(client: httpx.AsyncClient):
    answer = await client.get("/openapi.json")

    document: dict[str, Any] = answer.json()
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    referred = set(re.findall(r'"\$ref":"#/components/schemas/([^"/]+)', answer.text))
    assert len(referred) > 20
    assert referred - document["components"]["schemas"].keys() == set()
    operation = document["paths"]["/clients"]["post"]
    assert operation["operationId"] == "create-client"
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/CreateClientArguments"}
    arguments = document["components"]["schemas"]["CreateClientArguments"]
    assert arguments["required"] == ["email", "name"]
    assert arguments["properties"]["password"] == {
        "type": "string",
        "minLength": 8,
        "writeOnly": True,
    }
    assert {"202", "422", "502"} <= operation["responses"].keys()
    renaming = document["paths"]["/clients/{clientNumber}"]["patch"]
    assert renaming["parameters"][0]["name"] == "clientNumber"
    assert renaming["parameters"][0]["schema"] == {"type": "integer", "minimum": 1}


async def test_the_page_for_people_needs_nothing_from_elsewhere(client: httpx.AsyncClient):
    page = await client.get("/docs")

    assert page.status_code == 200
    # Whole URLs would also be wrong behind a front that speaks TLS or has a path of its own.
    assert re.findall(r"""["'](?:https?:)?//[^"']+""", page.text) == []
    loaded = re.findall(r"""(?:src|href)="([^"]+)""", page.text)
    assert any(path.endswith(".js") for path in loaded)
    assert any(path.endswith(".css") for path in loaded)
    for path in [*loaded, "openapi.json"]:
        assert (await client.get(page.url.join(path))).status_code == 200, path
    assert '"openapi.json"' in page.text or "'openapi.json'" in page.text
    root = await client.get("/", follow_redirects=True)
    assert root.url.path == "/docs"


def test_nothing_of_all_this_was_a_fault(service: Service):
    assert service.is_running
    assert service.faults == []
