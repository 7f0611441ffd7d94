"""docs/your-own-api.md tells what happens: its API runs, and each of its commands answers so."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from asynctestkit.ports import free_port
from asynctestkit.process import bare_environment
from asynctestkit.processes import COMMAND, Keep, Service, answers, up_service

ROOT = Path(__file__).parents[2]
API_PORT, PROXY = "localhost:9000", "localhost:8080"
CHANGING = (
    re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    re.compile(r"\d+\.\d+(?= s\b)"),
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def shown(text: str) -> Iterator[tuple[str, str]]:
    """Each command of the page's terminals, and all that it prints."""
    for block in blocks(text, "console"):
        for command_and_output in filter(None, re.split(r"^\$ ", block, flags=re.MULTILINE)):
            command, _, output = command_and_output.partition("\n")
            yield command, output


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
        printed = run(command, tmp_path, api=api, proxy=proxy)
        # What is long is shown by its beginning.
        start, cut, _ = timeless(output).partition("…")
        assert printed.startswith(start), command
        assert cut or printed == start, command


def run(command: str, folder: Path, *, api: Service, proxy: Service | None) -> str:
    """All that it prints, with the page's ports and without ids."""
    ports = {API_PORT: api.url.removeprefix("http://")}
    if proxy is not None:
        ports[PROXY] = proxy.url.removeprefix("http://")
    for page, here in ports.items():
        command = command.replace(page, here)
    environment = bare_environment(folder)
    path = f"{COMMAND.parent}:{environment['PATH']}"
    url = proxy.url if proxy is not None else ""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**environment, "PATH": path, "ASYNCAPIPROXY_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    printed = done.stdout
    for page, here in ports.items():
        printed = printed.replace(here, page)
    return timeless(printed)


def timeless(printed: str) -> str:
    """Without ids, times and the spaces at the ends of lines."""
    for changing in CHANGING:
        printed = changing.sub("-", printed)
    return "\n".join(line.rstrip() for line in printed.strip().splitlines())
