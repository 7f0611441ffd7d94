"""docs/your-own-api.md tells what happens: its API runs, and each of its commands answers so."""

from pathlib import Path

from asynctestkit.ports import free_port, free_port_pair
from asynctestkit.processes import Keep
from asynctestkit.shown_commands import blocks, commands, here, is_as_shown, run, serving

ROOT = Path(__file__).parents[2]


def test_each_command_answers_as_the_page_says(tmp_path: Path, keep: Keep):
    (code,) = blocks("docs/your-own-api.md", "python")
    (tmp_path / "slow.py").write_text(code)
    api_port, port = free_port(), free_port_pair()
    ports = {"--port 9000": f"--port {api_port}", " up\n": f" up --port {port}\n"}
    servers = {"uvicorn": (api_port, "/openapi.json"), "asyncapiproxy": (port, "/ping")}
    places = {"localhost:9000": f"127.0.0.1:{api_port}", "localhost:8080": f"127.0.0.1:{port}"}
    for command in commands("docs/your-own-api.md"):
        if command.output is None:
            name = command.text.split()[0]
            own, ready = servers.pop(name)
            script = here(command.text, ports)
            keep(serving(script, tmp_path, name=name, port=own, ready=ready)).start()
        else:
            printed = run(command.text, tmp_path, places=places, url=f"http://127.0.0.1:{port}")
            assert is_as_shown(printed, command.output), (command, printed)
    assert servers == {}
