"""The commands that docs/ shows do, before a running `up`, what is told of them."""

import json
import re
import shutil
from pathlib import Path

import httpx
import pytest

from asynctestkit.calls import new_email
from asynctestkit.missing import skip_for_want_of
from asynctestkit.ports import free_port_pair
from asynctestkit.processes import Keep, Service, up_service
from asynctestkit.shown_commands import blocks, here, run, scripts, serving

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, keep_in_module: Keep) -> Service:
    """The demo, with callbacks turned on as their page says."""
    folder = tmp_path_factory.mktemp("up")
    shutil.copy(ROOT / "cli/asyncapiproxy/operations.yaml", folder)
    port = free_port_pair()
    (turned_on,) = scripts("docs/callbacks.md", "Turn them on")
    up = f"{turned_on}\nasyncapiproxy up --port {port}"
    return keep_in_module(serving(up, folder, name="up", port=port)).start()


def place(proxy: Service) -> dict[str, str]:
    return {"localhost:8080": proxy.url.removeprefix("http://")}


@pytest.mark.parametrize(("port", "status"), [(9000, 202), (9001, 400)])
def test_callbacks_may_go_where_their_page_lets_them(proxy: Service, port: int, status: int):
    answer = httpx.post(
        f"{proxy.url}/clients",
        json={"email": new_email(), "name": "Ann"},
        headers={"Task-Callback": f"http://127.0.0.1:{port}/ends", "Prefer": "respond-async"},
    )
    assert answer.status_code == status, answer.text


def test_a_batch_tells_first_what_it_would_be_done_with(proxy: Service, tmp_path: Path):
    (script,) = scripts("docs/http-api.md", "Many tasks at once")
    told = json.loads(run(script, tmp_path, places=place(proxy)))
    assert told == {"action": "retry", "matched": 0, "statuses": {}, "isComplete": True}
    (script,) = scripts("docs/command.md", "Many tasks at once")
    dry, _, asked = run(script, tmp_path, url=proxy.url).partition("\n")
    assert dry == "0 tasks"
    assert re.search(r"^batch +[0-9a-f-]+", asked, re.MULTILINE)


def test_many_calls_are_answered_line_by_line(proxy: Service, tmp_path: Path):
    (script,) = scripts("docs/http-api.md", "Many calls at once")
    told = run(script, tmp_path, places=place(proxy)).splitlines()
    good, bad = map(json.loads, told)
    found = httpx.get(f"{proxy.url}/tasks", params={"batch": "import"}).json()["tasks"]
    assert [(1, task["id"]) for task in found] == [(good["line"], good["id"])]
    assert (bad["line"], bad["problem"]["errors"][0]["pointer"]) == (2, "/arguments/email")


def test_curl_follows_redirects_to_the_answer(proxy: Service, tmp_path: Path):
    (script,) = scripts("docs/http-api.md", "Redirects instead of 202")
    sooner = {"Prefer: redirect": "Prefer: redirect, wait=1", "slow+20": "slow+2"}
    answer = json.loads(run(script, tmp_path, places={**place(proxy), **sooner}))
    assert (answer["email"], answer["name"]) == ("slow+20@example.com", "Ann")


def test_a_script_gets_the_answer_by_the_id(proxy: Service, tmp_path: Path):
    if shutil.which("jq") is None:
        skip_for_want_of("jq")
    arguments = {"email": new_email(), "name": "Ann"}
    (tmp_path / "ann.json").write_text(json.dumps(arguments))
    (script,) = scripts("docs/command.md", "What is shown")
    answer = json.loads(run(script, tmp_path, url=proxy.url))
    assert answer.items() > arguments.items()


def test_the_schema_for_editors_is_one(tmp_path: Path):
    (script,) = scripts("docs/operations-file.md", "")
    assert run(script, tmp_path) == ""
    schema = json.loads((tmp_path / "operations.schema.json").read_text())
    assert "operations" in schema["properties"]


def test_a_limit_is_changed_and_what_keeps_it_paused(tmp_path: Path, keep: Keep):
    (operations,) = blocks("docs/limits.md", "yaml")
    operations = operations.replace("{CRM_URL}", "http://127.0.0.1:9")
    operations = operations.replace("create-client:", "create-client:\n    queue: clients")
    proxy = keep(up_service(tmp_path / "up", operations=operations)).start()
    (script,) = scripts("docs/limits.md", "See, pause and change it")
    said = run(script, tmp_path, url=proxy.url)
    assert "crm" in said
    limit = httpx.get(f"{proxy.url}/limits/crm").json()
    assert (limit["concurrency"], bool(limit["paused"])) == (10, True)
    queues = httpx.get(f"{proxy.url}/queues").json()["queues"]
    (clients,) = (queue for queue in queues if queue["name"] == "clients")
    (create,) = clients["operations"]
    assert clients["paused"]
    assert create["paused"]


def test_an_operation_of_ones_own_is_checked_and_served(tmp_path: Path, keep: Keep):
    own = blocks("docs/add-an-operation.md", "yaml")[0]
    (tmp_path / "operations.yaml").write_text(own)
    (script,) = scripts("docs/add-an-operation.md", "On your own machine")
    port = free_port_pair()
    places = {"asyncapiproxy up": f"asyncapiproxy up --port {port}"}
    proxy = keep(serving(here(script, places), tmp_path, name="up", port=port)).start()
    paths = httpx.get(f"{proxy.url}/openapi.json").json()["paths"]
    assert "/invoices" in paths
    assert proxy.log.startswith("operations.yaml: can be used\n")
