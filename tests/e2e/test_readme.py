"""README.md tells what happens: each of its commands answers so."""

import shutil
from pathlib import Path

from asyncapiproxy import Client
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.missing import skip_for_want_of
from asynctestkit.processes import Keep, up_service
from asynctestkit.shown_commands import ID, is_as_shown, run, shown

ROOT = Path(__file__).parents[2]


def test_each_command_answers_as_the_readme_says(tmp_path: Path, keep: Keep):
    if shutil.which("jq") is None:
        skip_for_want_of("jq")
    demo = (ROOT / "cli/asyncapiproxy/operations.yaml").read_text()
    proxy = keep(up_service(tmp_path / "up", operations=demo)).start()
    places = {"localhost:8080": proxy.url.removeprefix("http://")}
    commands = list(shown((ROOT / "README.md").read_text()))
    assert len(commands) == 5
    for command, output in commands:
        with Client(proxy.url) as client:
            for task_id in ID.findall(command):
                client.get(places[task_id]).result(timeout=PATIENCE_SECONDS)
        printed = run(command, tmp_path, places=places, url=proxy.url)
        assert is_as_shown(printed, output), (command, printed)
        # Later commands ask for what earlier ones have made.
        for there, here in zip(ID.findall(output), ID.findall(printed), strict=False):
            places.setdefault(there, here)
