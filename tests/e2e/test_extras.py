"""Who has not installed a service's libraries is told how to; the other services do without."""

import subprocess
import sys
from pathlib import Path

import pytest

BARE = """
import sys
of_extras = ("fastapi", "starlette", "uvicorn", "fastapi_swagger", "kopf", "kubernetes", "obstore")
for module in of_extras:
    sys.modules[module] = None
from asyncapiproxy.main import app
app(sys.argv[1:])
"""


def run_bare(*arguments: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The command as `pip install asyncapiproxy[executor]` leaves it."""
    return subprocess.run(
        [sys.executable, "-c", BARE, *arguments],
        env={
            "ASYNCAPIPROXY_DATABASE_URL": f"sqlite:///{folder}/tasks.db",
            "ASYNCAPIPROXY_BROKER_URL": "amqp://none.invalid",
            **more,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "extra"),
    [("up", "proxy"), ("proxy", "proxy"), ("demo-api", "proxy"), ("operator", "operator")],
)
def test_a_command_names_the_extra_that_it_lacks(tmp_path: Path, command: str, extra: str):
    done = run_bare(command, folder=tmp_path)
    assert done.returncode == 2
    assert f"pip install 'asyncapiproxy[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_store_of_large_bodies_names_the_extra_that_it_needs(tmp_path: Path):
    file = tmp_path / "operations.yaml"
    file.write_text("operations: {a: {route: POST /a, handler: 'asyncio:sleep'}}")
    bodies = {"ASYNCAPIPROXY_BLOBS": f"file://{tmp_path}/blobs"}
    done = run_bare("executor", "--queue", "default", folder=tmp_path, **bodies)
    assert done.returncode == 2
    assert "ASYNCAPIPROXY_BLOBS" in done.stderr
    assert "pip install 'asyncapiproxy[blobs]'" in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("sealing-key",), ("migrate",)])
def test_what_needs_no_extra_runs_without(tmp_path: Path, arguments: tuple[str]):
    done = run_bare(*arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


OF_SERVICES = """
import sys
of_services = (
    "aiohttp", "aiormq", "alembic", "cryptography", "fastapi", "kopf", "kubernetes",
    "prometheus_client", "yaml", "sqlalchemy", "sqlmodel", "structlog", "uvloop",
)
for module in of_services:
    sys.modules[module] = None
"""
LIBRARY = """
sys.modules["rich"] = sys.modules["typer"] = None
from asyncapiproxy import AsyncClient, Client
with Client("http://127.0.0.1:1", patience_seconds=0) as client:
    try:
        client.get("a")
    except Exception as error:
        print(type(error).__name__)
"""


def test_the_client_library_needs_nothing_of_the_services():
    done = subprocess.run(
        [sys.executable, "-c", OF_SERVICES + LIBRARY], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("ProxyUnreachableError", "")


RECEIVER = """
from asyncapiproxy import ClientError, verify_callback
for key in ("whsec_" + "A" * 32, "whpk_" + "A" * 43 + "="):
    try:
        verify_callback({}, b"", key)
    except ClientError as error:
        print(error)
"""


def test_a_receiver_of_callbacks_needs_nothing_either_unless_it_verifies_by_public_keys():
    done = subprocess.run(
        [sys.executable, "-c", OF_SERVICES + RECEIVER], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "webhook-id: expected such a header, in ASCII.",
        "Public keys need cryptography: pip install 'asyncapiproxy[callbacks]'",
    ]
    assert done.stderr == ""


def run_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as `pip install asyncapiproxy` leaves it."""
    command = "from asyncapiproxy.main import app\napp(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", OF_SERVICES + command, *arguments],
        env={"ASYNCAPIPROXY_URL": "http://127.0.0.1:1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        *((), ("task",), ("task", "submit"), ("task", "list"), ("operations", "show")),
        *(("queue", "list"), ("limit", "set"), ("access", "whoami")),
    ],
)
def test_what_asks_a_proxy_needs_no_service(arguments: tuple[str, ...]):
    done = run_alone(*arguments, "--help")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [("task", "get", "a"), ("task", "list"), ("queue", "list"), ("access", "whoami")]
)
def test_it_asks_without_them(arguments: tuple[str, ...]):
    done = run_alone(*arguments)
    assert done.returncode == 2
    assert "No proxy answers at http://127.0.0.1:1" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("up",), ("proxy",), ("executor", "--queue", "a"), ("migrate",), ("access", "new-key", "a")],
)
def test_a_service_that_is_not_installed_is_told_in_one_line(arguments: tuple[str, ...]):
    done = run_alone(*arguments)
    assert done.returncode == 2
    assert "pip install 'asyncapiproxy[all]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_shown_first_imports_neither_client_nor_services():
    told = "from asyncapiproxy.main import app\n"
    told += "for words in (['--help'], ['task', 'get', '--help']):\n"
    told += "    try: app(words)\n    except SystemExit: pass\n"
    told += "heavy = {'httpx', 'structlog', 'sqlalchemy', 'asyncproxy'} & set(sys.modules)\n"
    told += "print(sorted(heavy), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + told], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "[]"


OPENTELEMETRY = """
import sys
from asynctasks.traces.environment import open_traces
traces = open_traces(service="ours")
print(traces.are_on, [name for name in sys.modules if name.startswith(sys.argv[1])])
"""
SERVICES = "import asyncexecutor.executor, asyncoperator.operator_process"
WITHOUT_OTEL = """
import sys
sys.modules["opentelemetry.sdk"] = sys.modules["opentelemetry.exporter"] = None
"""
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


def run_traced(*script: str, of: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "\n".join((*script, OPENTELEMETRY)), of],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize(
    ("imported", "of"),
    [
        (SERVICES, "opentelemetry"),
        # Its API is FastAPI's own, whatever we do.
        ("import asyncproxy.proxy", "opentelemetry.sdk"),
    ],
)
def test_opentelemetry_is_imported_only_where_traces_are_on(imported: str, of: str):
    assert run_traced(imported, of=of).stdout == "False []\n"
    on = run_traced(imported, of=of, **COLLECTOR).stdout
    assert on.startswith("True [")
    assert "opentelemetry.sdk.trace" in on


def test_without_the_extra_of_traces_one_line_tells_how_to_get_it():
    done = run_traced(WITHOUT_OTEL, of="none", **COLLECTOR)
    told, found = done.stdout.splitlines()
    assert "pip install 'asyncapiproxy[otel]'" in told
    assert found == "False []"


def test_what_asks_a_proxy_imports_and_reads_no_more_than_it_takes():
    told = "import ssl, sys\n"
    told += "ssl.SSLContext.load_verify_locations = lambda *_, **__: print('authorities')\n"
    told += "from asyncapiproxy.main import app\n"
    told += "try: app(['task', 'get', 'a', '-o', 'name', '--url', 'http://127.0.0.1:1'])\n"
    told += "except SystemExit: pass\n"
    told += "heavy = ('pydantic', 'asyncio', 'httpx._main', 'rich.live', 'typer.rich_utils')\n"
    told += "print([name for name in heavy if sys.modules.get(name)])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert "No proxy answers" in done.stderr
    assert done.stdout.strip() == "[]"
