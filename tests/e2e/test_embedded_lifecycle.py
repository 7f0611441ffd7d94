"""`asyncapiproxy up` as a process: how it starts, refuses to start, stops, and dies."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asynctestkit.calls import caller, create_client, finished_task, get_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.ports import is_listening
from asynctestkit.processes import FAST_OPERATIONS, Keep, Service, up_service

SECRET = "correct-horse-battery-staple"


async def test_tasks_of_a_killed_process_finish_after_its_restart(tmp_path: Path, keep: Keep):
    service = keep(up_service(tmp_path, lease_seconds=2, concurrency=1)).start()
    async with caller(service.url) as client:
        running = await create_client(client, new_email("slow+1"), prefer="respond-async")
        queued = await create_client(
            client, new_email("slow+1"), prefer="respond-async", password=SECRET
        )
        finished = await create_client(client, new_email(), prefer="respond-async")
        task_ids = [answer.headers["task-id"] for answer in (running, queued, finished)]

        async def one_is_running() -> None:
            tasks = [await get_task(client, task_id) for task_id in task_ids]
            assert [task["status"] for task in tasks].count("running") == 1

        await eventually(one_is_running)
    service.kill()
    service.start()

    async with caller(service.url) as client:
        tasks = [await finished_task(client, task_id) for task_id in task_ids]

    assert [task["status"] for task in tasks] == ["succeeded"] * 3
    assert max(task["attempt"] for task in tasks) == 2


async def test_a_parked_caller_is_given_its_task_when_the_process_is_asked_to_stop(
    tmp_path: Path, keep: Keep
):
    service = keep(up_service(tmp_path, lease_seconds=2, drain_seconds=0.5)).start()
    async with caller(service.url) as client, asyncio.TaskGroup() as callers:
        call = callers.create_task(create_client(client, new_email("slow+30"), prefer="wait=30"))
        await eventually(lambda: _has_a_running_task(service))
        stopped_at = time.monotonic()
        service.signal(signal.SIGTERM)
        answer = await call

    assert answer.status_code == 202
    assert "task-id" in answer.headers
    assert service.wait() == 0
    assert time.monotonic() - stopped_at < 15
    assert service.faults == []


async def _has_a_running_task(service: Service) -> None:
    async with caller(service.url) as client:
        page = (await client.get("/tasks?status=running")).json()
    assert page["tasks"] if "tasks" in page else page["items"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_without_work_stops_at_once(
    tmp_path: Path, keep: Keep, number: signal.Signals
):
    service = keep(up_service(tmp_path)).start()
    asked_at = time.monotonic()

    service.signal(number)

    assert service.wait() == 0
    assert time.monotonic() - asked_at < 10
    assert service.faults == []


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path, keep: Keep):
    service = keep(up_service(tmp_path, drain_seconds=60)).start()
    async with caller(service.url) as client:
        await create_client(client, new_email("slow+30"), prefer="respond-async")
        await eventually(lambda: _has_a_running_task(service))
    service.signal(signal.SIGTERM)
    await eventually(lambda: _logged(service, "executor drains"))
    service.signal(signal.SIGTERM)

    assert service.wait() == -signal.SIGTERM


def _logged(service: Service, text: str) -> None:
    assert text in service.log


Spoil = Callable[[Path, Service], None]


def _occupy(_: Path, service: Service) -> None:
    port = int(service.url.rpartition(":")[2])
    socket.create_server(("127.0.0.1", port)).detach()  # open until the process of the tests ends


def _data_is_a_file(folder: Path, _: Service) -> None:
    (folder / "data").write_text("")


def _database_is_a_folder(folder: Path, _: Service) -> None:
    (folder / "data" / "tasks.db").mkdir(parents=True)


def _database_is_something_else(folder: Path, _: Service) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "tasks.db").write_text("this is no database" * 100)


def _clients_are_something_else(folder: Path, _: Service) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "customers.db").write_text("this is no database" * 100)


def _key_is_broken(folder: Path, _: Service) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "sealing.key").write_text("no key")


def _no_operations(folder: Path, _: Service) -> None:
    (folder / "operations.yaml").unlink()


def _wrong_operations(folder: Path, _: Service) -> None:
    (folder / "operations.yaml").write_text(FAST_OPERATIONS.replace("route: POST", "route: FETCH"))


def _nothing(_: Path, __: Service) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "settings", "exit_code", "said"),
    [
        pytest.param(_occupy, {}, 2, "Cannot listen on 127.0.0.1:", id="port in use"),
        pytest.param(_data_is_a_file, {}, 2, "data", id="data folder is a file"),
        pytest.param(_database_is_a_folder, {}, 2, "tasks.db: cannot", id="database is a folder"),
        pytest.param(_database_is_something_else, {}, 2, "is no SQLite", id="no database"),
        pytest.param(_clients_are_something_else, {}, 2, "is no SQLite", id="no client database"),
        pytest.param(_key_is_broken, {}, 2, "sealing.key", id="key is broken"),
        pytest.param(_no_operations, {}, 1, "operations.yaml: cannot be read", id="no operations"),
        pytest.param(
            _wrong_operations,
            {},
            1,
            "operations.yaml:5: operations.create-client.route: expected a method",
            id="wrong operations",
        ),
        pytest.param(
            _nothing,
            {"log_level": "loud", "concurrency": "many"},
            2,
            "\nASYNCAPIPROXY_CONCURRENCY: ",
            id="settings",
        ),
    ],
)
def test_what_cannot_start_says_why_in_one_message(  # noqa: PLR0917 - a table's columns
    tmp_path: Path, keep: Keep, spoil: Spoil, settings: dict[str, Any], exit_code: int, said: str
):
    service = keep(up_service(tmp_path, **settings))
    spoil(tmp_path, service)

    assert service.launch().wait() == exit_code

    assert "Error: " in service.log
    assert said in service.log
    assert service.faults == []
    assert "try it at /docs" not in service.log
    assert "─" not in service.log
    assert len(service.log.splitlines()) <= 8


async def test_a_port_that_is_taken_keeps_the_demo_api_from_nothing(tmp_path: Path, keep: Keep):
    service = keep(up_service(tmp_path))
    port = int(service.url.rpartition(":")[2]) + 1
    with socket.create_server(("127.0.0.1", port)):
        service.start()
        async with caller(service.url) as client:
            assert (await create_client(client, new_email())).status_code == 201


HANDLED = """
operations:
  double:
    route: POST /double
    handler: doubling:double
    arguments: {type: object, properties: {number: {type: integer}}}
"""


async def test_ones_own_operations_run_without_the_demo_api(
    tmp_path: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "doubling.py").write_text("def double(a):\n    return {'twice': 2 * a['number']}\n")
    service = keep(up_service(tmp_path, operations=HANDLED))
    service._environment["PYTHONPATH"] = str(tmp_path)
    service.start()

    async with caller(service.url) as client:
        answer = await client.post("/double", json={"number": 21})

    assert answer.json() == {"twice": 42}
    assert f"http://localhost:{service.url.rpartition(':')[2]}/ui" in service.log
    assert "customer API" not in service.log
    assert not is_listening(int(service.url.rpartition(":")[2]) + 1)
    assert not (tmp_path / "data" / "customers.db").exists()


async def test_an_upstream_that_is_named_takes_the_demo_apis_place(tmp_path: Path, keep: Keep):
    service = keep(up_service(tmp_path, ui="false"))
    service._environment["CUSTOMER_API_URL"] = "http://127.0.0.1:1"
    service.start()
    assert "customer API" not in service.log
    assert "/ui" not in service.log
    async with caller(service.url) as client:
        assert (await create_client(client, new_email())).status_code == 502

    def failed() -> None:
        assert "task failed" in service.log
        assert "upstream-unreachable" in service.log

    await eventually(failed)
    assert service.log.count("task failed") == 1


def test_what_is_kept_is_its_owners_alone(tmp_path: Path, keep: Keep):
    keep(up_service(tmp_path)).start()
    data = tmp_path / "data"
    kept = [data, *data.iterdir()]
    assert {"tasks.db", "customers.db", "sealing.key"} < {file.name for file in kept}
    assert {file.name for file in kept if file.stat().st_mode & 0o077} == set()


def test_a_data_folder_is_one_process_alone(tmp_path: Path, keep: Keep):
    first = keep(up_service(tmp_path)).start()
    second = keep(up_service(tmp_path, name="second"))

    assert second.launch().wait() == 2

    assert "is in use by another process" in second.log
    assert len(second.log.splitlines()) == 1
    first.kill()
    keep(up_service(tmp_path, name="third")).start()


def test_an_empty_address_is_refused(tmp_path: Path, keep: Keep):
    service = keep(up_service(tmp_path, "--host", ""))

    assert service.launch().wait() == 2

    assert "ASYNCAPIPROXY_HOST: " in service.log


async def test_every_address_is_that_of_ipv4_too(tmp_path: Path, keep: Keep):
    service = keep(up_service(tmp_path, "--host", "::")).start()
    async with caller(service.url.replace("127.0.0.1", "[::1]")) as client:
        assert (await create_client(client, new_email())).status_code == 201


@pytest.mark.parametrize("data", ["/proc", "/proc/nowhere"])
def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path, keep: Keep, data: str):
    service = keep(up_service(tmp_path, "--data", data))

    assert service.launch().wait() == 2

    assert f"Error: --data {data}" in service.log
    assert service.faults == []
