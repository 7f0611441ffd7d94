"""docs/your-own-api.md tells what happens: its API runs, and each of its commands answers so."""

import sys
from pathlib import Path

from asynctestkit.ports import free_port
from asynctestkit.processes import Keep, Service, answers, up_service
from asynctestkit.shown_commands import blocks, is_as_shown, run, shown

ROOT = Path(__file__).parents[2]
API_PORT, PROXY = "localhost:9000", "localhost:8080"


def slow_api(folder: Path, code: str) -> Service:
    (folder / "slow.py").write_text(code)
    port = free_port()
    return Service(
        *("-m", "uvicorn", "slow:app", "--port", str(port)),
        name="slow",
        folder=folder,
        environment={},
        is_ready=answers("/openapi.json"),
        url=f"http://127.0.0.1:{port}",
        command=(sys.executable,),
    )


def test_each_command_answers_as_the_page_says(tmp_path: Path, keep: Keep):
    text = (ROOT / "docs/your-own-api.md").read_text()
    (code,) = blocks(text, "python")
    api = keep(slow_api(tmp_path, code)).start()
    proxy: Service | None = None
    commands = list(shown(text))
    assert len(commands) == 6
    for command, output in commands:
        if proxy is None and "9000" not in command and not command.startswith("cat "):
            made = (tmp_path / "operations.yaml").read_text()
            proxy = keep(up_service(tmp_path / "up", operations=made)).start()
        places = {API_PORT: api.url.removeprefix("http://")}
        if proxy is not None:
            places[PROXY] = proxy.url.removeprefix("http://")
        url = proxy.url if proxy is not None else ""
        printed = run(command, tmp_path, places=places, url=url)
        assert is_as_shown(printed, output), (command, printed)
