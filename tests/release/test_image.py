"""The image: what is in it, what is not, and how it runs."""

import json

from asynctestkit.release import run

LARGEST_BYTES = 500_000_000


def test_it_is_small_enough_and_runs_as_a_numbered_user(image: str):
    (details,) = json.loads(run("docker", "image", "inspect", image))
    assert details["Size"] < LARGEST_BYTES
    assert details["Config"]["User"] == "10001:10001"
    assert details["Config"]["Entrypoint"] == ["asyncapiproxy"]
    labels = details["Config"]["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_its_commands_run_with_a_read_only_root_as_any_user(image: str):
    for user in ("10001", "12345"):
        key = run(
            *("docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--user", user),
            *("--security-opt", "no-new-privileges", "--network", "none", image, "sealing-key"),
        )
        assert len(key.strip()) == 44


def test_it_holds_no_tools_of_its_building_and_nothing_its_user_can_change(image: str):
    found = run(
        *("docker", "run", "--rm", "--entrypoint", "sh", image, "-c"),
        "command -v uv gcc cc make git; ls -d /src /opt/uv ~/.cache /root/.cache 2>/dev/null;"
        " find /opt -writable ! -type l 2>/dev/null; true",
    )
    assert found == ""


def test_its_modules_are_compiled_since_a_read_only_root_keeps_no_bytecode(image: str):
    code = "import asynctasks.statements.store as m, os; print(os.path.exists(m.__cached__))"
    assert run("docker", "run", "--rm", "--entrypoint", "python", image, "-c", code) == "True\n"
