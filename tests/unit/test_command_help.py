"""What `--help` says of each command, and docs/command.md of all of them."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asyncapiproxy.kubectl_plugin import app as plugin
from asyncapiproxy.main import SERVICES, app


@pytest.mark.parametrize(
    "command",
    [
        (),
        *((name,) for name in ("submit", "get", "watch", "cancel", "retry", "delete")),
        *((name,) for name in ("deliveries", "redeliver")),
    ],
)
def test_help_tells_the_exit_codes(command: tuple[str, ...]):
    text = " ".join(
        CliRunner().invoke(app, ["task", *command, "--help"], env={"COLUMNS": "80"}).stdout.split()
    )
    assert "130" in text or "Exits with 0" in text


def test_the_version_is_told():
    assert (
        CliRunner().invoke(app, ["--version"]).stdout
        == f"asyncapiproxy {version('asyncapiproxy')}\n"
    )


def test_help_says_of_each_command_what_the_command_says():
    for name in SERVICES:
        told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        assert SERVICES[name].replace("`", "") in " ".join(told.split())


def test_the_services_commands_are_there_too():
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).stdout
    for command in ("up", "proxy", "executor", "migrate", "demo-api", "sealing-key", "task"):
        assert f"│ {command}" in listed


def test_the_document_tells_of_every_command_and_option():
    text = (Path(__file__).parents[2] / "docs/command.md").read_text()
    helps = {"": CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout}
    for group in ("task", "batch", "operations", "queue", "limit", "access"):
        listed = CliRunner().invoke(app, [group, "--help"], env={"COLUMNS": "200"}).stdout
        for name in re.findall(r"^│ ([a-z][a-z-]+) ", listed, re.MULTILINE):
            assert f"{group} {name}" in text, (group, name)
            words = [group, name, "--help"]
            helps[f"{group} {name}"] = CliRunner().invoke(app, words, env={"COLUMNS": "200"}).stdout
    helps["kubectl"] = CliRunner().invoke(plugin, ["--help"], env={"COLUMNS": "200"}).stdout
    known = set(re.findall(r"--[a-z-]+", "".join(helps.values())))
    assert set(re.findall(r"(?<!-)--[a-z][a-z-]+", text)) <= known
    submit = set(re.findall(r"--[a-z-]+", helps["task submit"])) - {"--help", "--format"}
    assert [option for option in sorted(submit) if option not in text] == []
