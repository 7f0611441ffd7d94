"""README.md tells what happens: each of its commands answers so."""

import shutil
from pathlib import Path

from asyncapiproxy import Client
from asynctestkit.calls import new_email
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.missing import skip_for_want_of
from asynctestkit.ports import free_port
from asynctestkit.processes import Keep, up_service
from asynctestkit.shown_commands import ID, commands, here, is_as_shown, run, scripts, serving

ROOT = Path(__file__).parents[2]


def test_each_command_answers_as_the_readme_says(tmp_path: Path, keep: Keep):
    if shutil.which("jq") is None:
        skip_for_want_of("jq")
    demo = (ROOT / "cli/asyncapiproxy/operations.yaml").read_text()
    proxy = keep(up_service(tmp_path / "up", operations=demo)).start()
    places = {"localhost:8080": proxy.url.removeprefix("http://")}
    for command in commands("README.md", "Try it", "From the command line"):
        with Client(proxy.url) as client:
            for task_id in ID.findall(command.text):
                client.get(places[task_id]).result(timeout=PATIENCE_SECONDS)
        printed = run(command.text, tmp_path, places=places, url=proxy.url)
        assert command.output is not None
        assert is_as_shown(printed, command.output), (command, printed)
        # Later commands ask for what earlier ones have made.
        for there, made in zip(ID.findall(command.output), ID.findall(printed), strict=False):
            places.setdefault(there, made)


def test_separate_processes_share_their_tasks(
    tmp_path: Path, keep: Keep, empty_database_url: str, amqp_url: str, queue_prefix: str
):
    (script,) = scripts("README.md", "As separate processes")
    ports = {port: free_port() for port in ("8081", "8080", "8082")}
    places = {
        "postgresql://tasks:secret@localhost/tasks": empty_database_url,
        "amqp://guest:guest@localhost/": amqp_url,
        "cli/asyncapiproxy": f"{ROOT}/cli/asyncapiproxy",
        **{there: str(port) for there, port in ports.items()},
    }
    script = f"export ASYNCAPIPROXY_BROKER_PREFIX={queue_prefix}\n{here(script, places)}"
    first = keep(serving(script, tmp_path, name="all", port=ports["8080"])).start()
    second = f"http://127.0.0.1:{ports['8082']}"
    with Client(first.url) as one, Client(second) as other:
        task = one.submit("create-client", {"email": new_email(), "name": "Ann"})
        assert task.result(timeout=PATIENCE_SECONDS).status_code == 201
        assert other.get(task.id).status == "succeeded"
