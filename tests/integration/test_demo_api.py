"""The demo Customer API behind a real uvicorn, called over real connections."""

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import uvloop

from asyncapiproxy.demo.api import create_demo_api
from asynctestkit.calls import caller
from asynctestkit.eventually import PATIENCE_SECONDS

PASSWORD = "correct horse battery"


@asynccontextmanager
async def serving(database: Path, *, http: str) -> AsyncGenerator[httpx.AsyncClient]:
    config = uvicorn.Config(
        create_demo_api(database),
        port=0,
        http=http,
        log_config=None,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    # What serve() does, without the 0.1 s steps in which it looks for its end.
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        async with caller(f"http://127.0.0.1:{port}") as client:
            yield client
            await eventually(lambda: none_in_flight(client))
        await eventually(lambda: not server.server_state.connections)
    finally:
        await server.shutdown()


async def eventually(
    is_so: Callable[[], bool | Awaitable[bool]], *, seconds: float = PATIENCE_SECONDS
) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = is_so()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.005)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "made" / "if" / "missing.db"


@pytest.fixture
async def api(request: pytest.FixtureRequest, database: Path, caplog: pytest.LogCaptureFixture):
    """The API behind uvicorn; no test may leave a warning or an error in the log."""
    caplog.set_level(logging.DEBUG)
    async with serving(database, http=getattr(request, "param", "httptools")) as client:
        yield client
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


over_either_protocol = pytest.mark.parametrize("api", ["httptools", "h11"], indirect=True)


async def post(
    api: httpx.AsyncClient, local_part: str, *, key: str | None = None, name: str = "Ann"
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"email": f"{local_part}@example.com", "name": name, "password": PASSWORD}
    return await api.post("/clients", json=body, headers=headers)


async def stats(api: httpx.AsyncClient) -> dict[str, Any]:
    return (await api.get("/stats")).json()


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    return problem


async def test_a_new_client_is_created_and_found(api: httpx.AsyncClient):
    response = await post(api, "ann+tag")
    assert response.status_code == 201
    client = response.json()
    assert client == {"id": client["id"], "email": "ann+tag@example.com", "name": "Ann"}
    found = await api.get(response.headers["location"])
    assert (found.status_code, found.json()) == (200, client)


async def test_unknown_clients_paths_and_methods_are_problems(api: httpx.AsyncClient):
    assert_problem(await api.get("/clients/0190"), 404)
    assert_problem(await api.get("/nothing"), 404)
    response = await api.put("/clients")
    assert_problem(response, 405)
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"name": "Ann"}, ["/email"]),
        ({"email": "ann", "name": ""}, ["/email", "/name"]),
        ({"email": "a@b.c", "name": "A" * 33, "password": "sesame"}, ["/name", "/password"]),
        ({"email": "a@b.c", "name": 7}, ["/name"]),
        ([], [""]),
    ],
)
async def test_an_invalid_client_is_refused_field_by_field(
    api: httpx.AsyncClient, body: Any, pointers: list[str]
):
    response = await api.post("/clients", json=body)
    problem = assert_problem(response, 422)
    assert [error["pointer"] for error in problem["errors"]] == pointers
    assert "sesame" not in response.text


async def test_a_body_that_is_no_json_is_refused(api: httpx.AsyncClient):
    assert_problem(await api.post("/clients", content=b"{oops"), 400)
    assert_problem(await api.post("/clients", content=b"\xff"), 400)


async def test_a_known_email_is_a_conflict_in_any_case(api: httpx.AsyncClient):
    await post(api, "ann")
    problem = assert_problem(await post(api, "ANN"), 409)
    assert "ANN@example.com" in problem["detail"]


async def test_the_password_is_neither_kept_nor_logged(
    api: httpx.AsyncClient, database: Path, caplog: pytest.LogCaptureFixture
):
    assert PASSWORD not in (await post(api, "ann")).text
    files = list(database.parent.iterdir())
    assert b"ann@example.com" in b"".join(file.read_bytes() for file in files)
    assert all(PASSWORD.encode() not in file.read_bytes() for file in files)
    assert PASSWORD not in caplog.text


async def test_a_key_gets_its_first_answer_again(api: httpx.AsyncClient):
    first = await post(api, "ann", key="k1")
    again = await post(api, "ann", key="k1")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers


async def test_a_conflict_is_a_keys_final_answer_too(api: httpx.AsyncClient):
    await post(api, "ann", key="k1")
    refused = await post(api, "ann", key="k2")
    again = await post(api, "bob", key="k2")
    assert_problem(refused, 409)
    assert (again.status_code, again.content) == (409, refused.content)
    assert (await stats(api))["created"] == 1


async def test_answers_outlive_the_process(database: Path):
    async with serving(database, http="auto") as api:
        first = await post(api, "ann", key="k1")
    async with serving(database, http="auto") as api:
        again = await post(api, "ann", key="k1")
        assert (again.status_code, again.content) == (201, first.content)
        assert (await stats(api))["created"] == 1


@pytest.mark.parametrize("local_part", ["ann", "slow+0.1", "ann.huge+1"])
async def test_concurrent_calls_with_one_key_create_one_client(
    api: httpx.AsyncClient, local_part: str
):
    answers = await asyncio.gather(*(post(api, local_part, key="k1") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    seen = await stats(api)
    assert (seen["calls"], seen["distinct_keys"], seen["duplicate_calls"]) == (20, 1, 19)
    assert (seen["created"], seen["created_by_key_max"]) == (1, 1)
    assert seen["statuses"] == {"201": 20}


async def test_concurrent_calls_for_one_email_create_one_client(api: httpx.AsyncClient):
    answers = await asyncio.gather(*(post(api, "ann", key=f"k{n}") for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert (await stats(api))["created"] == 1


async def test_the_database_itself_refuses_a_second_client_for_a_key(
    api: httpx.AsyncClient, database: Path
):
    await post(api, "ann", key="k1")
    connection = sqlite3.connect(database)
    try:
        with pytest.raises(sqlite3.IntegrityError, match="idempotency_key"):
            connection.execute("INSERT INTO clients VALUES ('x', 'b@example.com', 'Bob', 'k1')")
    finally:
        connection.close()


async def test_slow_waits_and_then_succeeds_and_its_replay_does_not_wait(api: httpx.AsyncClient):
    started = time.monotonic()
    assert (await post(api, "slow+1.5", key="k1")).status_code == 201
    assert time.monotonic() - started >= 1.5
    started = time.monotonic()
    assert (await post(api, "slow+1.5", key="k1")).status_code == 201
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("status", [400, 429, 503, 599])
async def test_fail_answers_its_status_each_time(api: httpx.AsyncClient, status: int):
    for _ in range(3):
        assert_problem(await post(api, f"fail+{status}", key="k1"), status)
    seen = await stats(api)
    assert (seen["created"], seen["statuses"]) == (0, {str(status): 3})


async def test_fail_with_no_failure_status_is_told(api: httpx.AsyncClient):
    problem = assert_problem(await post(api, "fail+200"), 422)
    assert "fail+200" in problem["detail"]


async def test_a_forced_failure_is_not_a_keys_final_answer(api: httpx.AsyncClient):
    assert_problem(await post(api, "fail+503", key="k1"), 503)
    assert (await post(api, "ann", key="k1")).status_code == 201


async def test_flaky_fails_so_often_for_each_key_and_then_succeeds(api: httpx.AsyncClient):
    for key, then in (("k1", 201), ("k2", 409)):
        statuses = [(await post(api, "flaky+2", key=key)).status_code for _ in range(4)]
        assert statuses == [503, 503, then, then]


async def test_flaky_without_a_key_counts_by_email(api: httpx.AsyncClient):
    for local_part in ("ann.flaky+2", "bob.flaky+2"):
        statuses = [(await post(api, local_part)).status_code for _ in range(4)]
        assert statuses == [503, 503, 201, 409]


@over_either_protocol
async def test_drop_closes_the_connection_without_an_answer(api: httpx.AsyncClient):
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await post(api, "drop", key="k1")
    await eventually(lambda: none_in_flight(api))
    seen = await stats(api)
    assert (seen["calls"], seen["drops"], seen["disconnects"]) == (2, 2, 0)
    assert (seen["created"], seen["statuses"]) == (0, {})


def test_drop_works_on_uvloop_too(database: Path, caplog: pytest.LogCaptureFixture):
    async def drop() -> None:
        async with serving(database, http="httptools") as api:
            with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
                await post(api, "drop")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(drop())
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_flaky_says_how_often_the_connection_is_dropped(api: httpx.AsyncClient):
    with pytest.raises(httpx.RemoteProtocolError):
        await post(api, "flaky+1.drop", key="k1")
    assert (await post(api, "flaky+1.drop", key="k1")).status_code == 201


async def test_huge_answers_so_many_megabytes_of_json(api: httpx.AsyncClient):
    response = await post(api, "huge+5", key="k1")
    assert (response.status_code, len(response.content)) == (201, 5_000_000)
    assert json.loads(response.content)["email"] == "huge+5@example.com"
    assert (await post(api, "huge+5", key="k1")).content == response.content


@over_either_protocol
async def test_a_caller_who_leaves_a_huge_answer_ends_it(api: httpx.AsyncClient):
    body = {"email": "huge+100@example.com", "name": "Ann"}
    async with api.stream("POST", "/clients", json=body) as response:
        assert response.status_code == 201
        assert (await stats(api))["in_flight"] == 1
    await eventually(lambda: none_in_flight(api), seconds=30)


@over_either_protocol
async def test_a_caller_who_leaves_a_slow_call_ends_it_and_no_client_is_created(
    api: httpx.AsyncClient, database: Path
):
    call = asyncio.create_task(post(api, "slow+60", key="k1"))
    await eventually(lambda: is_in_flight(api, 1))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually(lambda: none_in_flight(api), seconds=30)
    seen = await stats(api)
    assert (seen["disconnects"], seen["created"], seen["statuses"]) == (1, 0, {})


async def test_a_key_may_be_used_again_after_its_caller_left(api: httpx.AsyncClient):
    with pytest.raises(httpx.ReadTimeout):
        await api.post(
            "/clients",
            json={"email": "slow+60@example.com", "name": "Ann"},
            headers={"Idempotency-Key": "k1"},
            timeout=0.2,
        )
    assert (await post(api, "ann", key="k1")).status_code == 201


async def is_in_flight(api: httpx.AsyncClient, calls: int) -> bool:
    return (await stats(api))["in_flight"] == calls


async def none_in_flight(api: httpx.AsyncClient) -> bool:
    return await is_in_flight(api, 0)


async def test_stats_count_calls_keys_and_statuses(api: httpx.AsyncClient):
    await post(api, "ann", key="k1")
    await post(api, "ann", key="k1")
    await post(api, "bob", key="k2")
    await post(api, "bob")
    await post(api, "fail+500", key="k3")
    assert await stats(api) == {
        "calls": 5,
        "distinct_keys": 3,
        "duplicate_calls": 1,
        "in_flight": 0,
        "in_flight_max": 1,
        "disconnects": 0,
        "drops": 0,
        "statuses": {"201": 3, "409": 1, "500": 1},
        "created": 2,
        "created_by_key_max": 1,
    }


async def test_a_scan_is_told_what_it_is(api: httpx.AsyncClient):
    scan = bytes(range(256)) * 4_000
    sha256 = hashlib.sha256(scan).hexdigest()
    pdf = {"contentType": "application/pdf", "bytes": 1_024_000, "sha256": sha256}
    headers = {
        "Content-Type": "application/pdf",
        "Content-Disposition": 'attachment; filename="a.pdf"',
    }
    alone = await api.post("/scans", content=scan, headers=headers)
    assert (alone.status_code, alone.json()) == (201, {"files": [{"name": "a.pdf", **pdf}]})

    form = await api.post(
        "/scans",
        data={"note": "für Ann"},
        files={"scan": ("a.pdf", scan, "application/pdf"), "empty": ("b.txt", b"", "text/plain")},
    )
    note, first, empty = form.json()["files"]
    assert (note["name"], note["bytes"]) == ("note", 8)
    assert first == {"name": "a.pdf", **pdf}
    assert (empty["name"], empty["bytes"]) == ("b.txt", 0)


async def test_a_form_without_a_boundary_is_refused(api: httpx.AsyncClient):
    headers = {"Content-Type": "multipart/form-data"}
    answer = await api.post("/scans", content=b"x", headers=headers)
    assert answer.status_code == 400


async def test_a_report_takes_its_time_and_is_made_once_for_each_key(tmp_path: Path):
    async with serving(tmp_path / "demo.db", http="h11") as client:
        key = {"Idempotency-Key": "a"}
        started = await client.post("/reports", json={"seconds": 3600}, headers=key)
        address = started.headers["operation-location"]
        assert (started.status_code, started.json()["status"]) == (202, "running")
        again = await client.post("/reports", json={"seconds": 3600}, headers=key)
        assert again.headers["operation-location"] == address
        look = await client.get(address)
        assert (look.status_code, look.json()["percentComplete"]) == (202, 0)
        assert (await client.delete(address)).status_code == 204
        assert (await client.get(address)).status_code == 410
        assert (await client.get("/reports/none")).status_code == 404
        assert (await client.post("/reports", json={"seconds": -1})).status_code == 422


async def test_a_report_that_is_done_is_csv_or_pdf(tmp_path: Path):
    async with serving(tmp_path / "demo.db", http="h11") as client:
        await client.post("/clients", json={"email": "ann@example.com", "name": "Ann (a)"})
        started = await client.post("/reports", json={"seconds": 0})
        address = started.headers["operation-location"]
        text = await client.get(address)
        assert text.headers["content-type"] == "text/csv; charset=utf-8"
        assert text.text.splitlines()[1].endswith(",ann@example.com,Ann (a)")
        document = await client.get(address, headers={"Accept": "application/pdf"})
        assert document.headers["content-type"] == "application/pdf"
        assert document.headers["content-disposition"].endswith('.pdf"')
        assert document.content.startswith(b"%PDF-1.4")
        assert b"(ann@example.com) Tj" in document.content
        start = int(document.content.split(b"startxref\n")[1].split(b"\n")[0])
        assert document.content[start:].startswith(b"xref")
