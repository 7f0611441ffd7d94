"""A secret in each place where secrets live, a run with many faults, and nothing that tells one."""

import asyncio
import base64
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import pytest

from asynctestkit.calls import caller, finished_task, get_task
from asynctestkit.eventually import eventually
from asynctestkit.process import START_SECONDS, bare_environment
from asynctestkit.processes import (
    COMMAND,
    Installation,
    Keep,
    Service,
    settings_environment,
    start_all,
)
from asynctestkit.servers import PostgresqlServer, RabbitmqServer

MARKED = "+tell/nobody"
"""What every secret ends in. Its + and / show a secret that was written in a URL's form, too."""
DATABASE_PASSWORD = f"database{MARKED}"
BROKER_PASSWORD = f"broker{MARKED}"
UPSTREAM_TOKEN = f"token{MARKED}"
UPSTREAM_KEY = f"key{MARKED}"
ARGUMENT = f"argument{MARKED}"
SECRETS = (DATABASE_PASSWORD, BROKER_PASSWORD, UPSTREAM_TOKEN, UPSTREAM_KEY, ARGUMENT)

OPERATION = """
  {name}:
    route: POST /{name}
    queue: clients
    waitSeconds: 30
    arguments:
      type: object
      required: [secret]
      properties:
        secret: {{type: string, writeOnly: true}}
        host: {{type: string}}
        email: {{type: string}}
        name: {{type: string}}
    {action}
    retry: {{maxAttempts: 2, backoffSeconds: [0.05, 0.1]}}
"""
HEADERS = 'headers: {Authorization: "Bearer {UPSTREAM_TOKEN}", X-Secret: "{secret}"}'
ACTIONS = {
    "answered": (
        f'upstream: {{url: "{{CUSTOMER_API_URL}}/clients?key={{UPSTREAM_KEY}}", {HEADERS}}}'
    ),
    "unreachable": f'upstream: {{url: "http://127.0.0.1:1/{{UPSTREAM_KEY}}", {HEADERS}}}',
    "misled": f'upstream: {{url: "http://{{host}}:1/{{UPSTREAM_KEY}}", {HEADERS}}}',
    "raising": "handler: handlers:raising",
    "unstorable": "handler: handlers:unstorable",
}
HANDLERS = """
import os


def raising(arguments):
    try:
        int(arguments["secret"])
    except ValueError as error:
        raise LookupError(f"{arguments} {os.environ['UPSTREAM_TOKEN']}") from error


async def unstorable(arguments):
    return {arguments["secret"], os.environ["UPSTREAM_TOKEN"]}
"""


@dataclass(frozen=True)
class Running:
    folder: Path
    postgresql: PostgresqlServer
    rabbitmq: RabbitmqServer
    installation: Installation
    proxy: Service
    environment: dict[str, str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, keep_in_module: Keep) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "handlers.py").write_text(HANDLERS)
    with PostgresqlServer() as postgresql, RabbitmqServer() as rabbitmq:
        rabbitmq.ctl("add_user", "ours", BROKER_PASSWORD)
        rabbitmq.ctl("set_permissions", "ours", ".*", ".*", ".*")
        database_url = _with_password(postgresql.url, DATABASE_PASSWORD)
        broker_url = _with_password(rabbitmq.url, BROKER_PASSWORD, user="ours")
        settings = {
            "log_level": "debug",
            "publish_grace_seconds": 2,
            "lease_seconds": 4,
            "write_seconds": 2,
        }
        environment = {
            "UPSTREAM_TOKEN": UPSTREAM_TOKEN,
            "UPSTREAM_KEY": UPSTREAM_KEY,
            "PYTHONPATH": str(folder),
        }
        installation = Installation(
            folder / "run",
            database_url=database_url,
            broker_url=broker_url,
            operations=_operations(),
            settings=settings,
            environment=environment,
        )
        installation.migrate()
        proxy = installation.proxy()
        services = (proxy, installation.executor(), installation.demo_api())
        start_all(keep_in_module, *services)
        stores = {"database_url": database_url, "broker_url": broker_url}
        everything = {**environment, **settings_environment({**settings, **stores})}
        yield Running(folder, postgresql, rabbitmq, installation, proxy, everything)
        for service in services:
            service.kill()


async def test_no_secret_comes_out_whatever_fails(running: Running):
    async with caller(running.proxy.url) as client:
        answers = await _calls_that_fail(client)
        answers += await _calls_during_outages(running, client)
        task_ids = [answer.headers["task-id"] for answer in answers if "task-id" in answer.headers]
        for task_id in task_ids:
            await finished_task(client, task_id)
        answers += await _everything_readable(client, task_ids)
        answers += await _health(running)
        commands = await asyncio.to_thread(_commands_that_fail, running, task_ids[0])

    told = {f"{answer.request.method} {answer.url}": _bytes(answer) for answer in answers}
    told |= commands
    told |= {file.name: file.read_bytes() for file in (running.folder / "run").rglob("*.log")}
    told |= await _stored(running.postgresql)

    assert {name: _found(held) for name, held in told.items() if _found(held)} == {}
    # What is told in the clear is found, so that a secret would be.
    for name in ("executor.log", "rows", "GET"):
        assert any(b"LookupError" in held for key, held in told.items() if key.startswith(name))


async def _calls_that_fail(client: httpx.AsyncClient) -> list[httpx.Response]:
    secret = {"secret": ARGUMENT}
    answers = [
        await client.post("/answered", json={**secret, "name": "Ann", "email": "ann@example.com"}),
        await client.post("/answered", json=secret),
        await client.post("/answered", json={**secret, "name": "A", "email": "a.drop@example.com"}),
        await client.post("/unreachable", json=secret),
        await client.post("/misled", json={**secret, "host": "no such host"}),
        await client.post("/misled", json={**secret, "host": "unknown"}),
        await client.post("/raising", json=secret),
        await client.post("/unstorable", json=secret),
        await client.post("/raising", json={"secret": [ARGUMENT]}),
        await client.post("/raising", content=f'{{"secret": "{ARGUMENT}"'),
        await client.post("/raising", json={**secret, "host": 1}),
    ]
    assert {answer.status_code // 100 for answer in answers[1:]} <= {4, 5}, answers
    return answers


async def _calls_during_outages(
    running: Running, client: httpx.AsyncClient
) -> list[httpx.Response]:
    body = {"secret": ARGUMENT, "name": "Ann", "email": "later@example.com"}
    answers: list[httpx.Response] = []
    for server in (running.rabbitmq, running.postgresql):
        await asyncio.to_thread(server.stop)
        answers.append(await client.post("/answered", json=body))
        answers += [await client.get(path) for path in ("/ping", "/tasks")]
        answers += await _health(running)
        await asyncio.to_thread(server.start)

        async def well() -> None:
            assert (await client.get("/ping")).json()["status"] == "ok"

        await eventually(well)
    return answers


async def _everything_readable(
    client: httpx.AsyncClient, task_ids: list[str]
) -> list[httpx.Response]:
    failed = [task_id for task_id in task_ids if not await _has_succeeded(client, task_id)]
    retried = [await client.post(f"/tasks/{task_id}/retry") for task_id in failed]
    for task_id in failed:
        await finished_task(client, task_id)
    of_tasks = [f"/tasks/{task_id}{more}" for task_id in task_ids for more in ("", "/response")]
    paths = [*of_tasks, "/tasks", "/tasks?view=full", "/ping", "/openapi.json", "/docs"]
    return [*retried, *[await client.get(path) for path in paths]]


async def _health(running: Running) -> list[httpx.Response]:
    async with caller(running.proxy.health_url) as client:
        return [await client.get(path) for path in ("/healthz", "/readyz", "/metrics")]


async def _has_succeeded(client: httpx.AsyncClient, task_id: str) -> bool:
    return (await get_task(client, task_id))["status"] == "succeeded"


def _commands_that_fail(running: Running, task_id: str) -> dict[str, bytes]:
    """What commands print: faults before the settings are read, in them, and behind them."""
    password = quote(DATABASE_PASSWORD, safe="")
    nowhere = _with_password("postgresql://postgres@127.0.0.1:1/none", DATABASE_PASSWORD)
    of_settings = [
        {"DATABASE_URL": f"postgresql://us:{password}@h:1/d?x=1"},
        {"DATABASE_URL": f"mysql://us:{password}@h/d"},
        {"BROKER_URL": f"amqp://us:{quote(BROKER_PASSWORD, safe='')}@h:no/"},
        {"SEALING_KEYS": ARGUMENT},
    ]
    outputs = {
        f"proxy {number}": _fault(running, "proxy", **settings)
        for number, settings in enumerate(of_settings)
    }
    outputs["migrate, refused"] = _fault(running, "migrate", **of_settings[0])
    outputs["migrate, away"] = _fault(running, "migrate", DATABASE_URL=nowhere)
    outputs["task get"] = _run(running, "task", "--url", running.proxy.url, "get", task_id).stdout
    return outputs


def _fault(running: Running, *command: str, **settings: str) -> bytes:
    done = _run(running, *command, **settings)
    assert done.returncode != 0, (command, settings)
    return done.stdout + done.stderr


def _run(running: Running, *command: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COMMAND, *command],
        env=bare_environment(running.folder) | running.environment | settings_environment(settings),
        cwd=running.folder / "run",
        check=False,
        capture_output=True,
        timeout=START_SECONDS,
    )


async def _stored(postgresql: PostgresqlServer) -> dict[str, bytes]:
    """Every row of ours as PostgreSQL writes it."""
    connection = await asyncpg.connect(postgresql.url)
    try:
        rows = await connection.fetch("SELECT tasks::text FROM tasks")
    finally:
        await connection.close()
    return {"rows": "\n".join(row[0] for row in rows).encode()}


def _found(held: bytes) -> list[str]:
    return [secret for secret in SECRETS if any(form in held for form in _forms(secret))]


def _forms(secret: str) -> list[bytes]:
    """The secret as it is, in a URL, as base64 and as hexadecimal digits."""
    plain = secret.encode()
    as_it_is = [plain, quote(secret).encode(), quote(secret, safe="").encode()]
    return [*as_it_is, base64.b64encode(plain).rstrip(b"=")[:-1], plain.hex().encode()]


def _bytes(answer: httpx.Response) -> bytes:
    return str(answer.headers.raw).encode() + answer.content


def _operations() -> str:
    operations = [OPERATION.format(name=name, action=action) for name, action in ACTIONS.items()]
    return "operations:" + "".join(operations)


def _with_password(url: str, password: str, *, user: str | None = None) -> str:
    parts = urlsplit(url)
    name = user or parts.username or "postgres"
    host = f"{parts.hostname}:{parts.port}"
    return parts._replace(netloc=f"{name}:{quote(password, safe='')}@{host}").geturl()
