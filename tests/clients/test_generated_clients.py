"""Clients that generators make of the OpenAPI document: they compile, and get what they ask for.

Each generator and all that it stands on is pinned beside the program that uses what it makes.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from asynctestkit.calls import new_email
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.processes import Keep, up_service
from asynctestkit.servers.private import find_program

pytestmark = pytest.mark.timeout(900)
"""The first test of a language installs what its generators need: minutes, where none is cached."""

HERE = Path(__file__).parent
DEMO_OPERATIONS = HERE.parents[1] / "cli/asyncapiproxy/operations.yaml"
PACKAGES = {"go": "golang-go", "node": "nodejs", "npm": "npm", "npx": "npm", "uv": "uv"}
KEY_USED_TWICE = "The idempotency key is another call's"
"""Told to clients that do not send what the schema forbids: the fault is one that only we see."""


@dataclass(frozen=True)
class Workshop:
    """A language's programs, copied to where clients are made of the document beside them."""

    folder: Path
    document: Path
    url: str

    def run(self, program: str, *arguments: str, seconds: float = 300, **environment: str) -> str:
        """What it said; the test fails where it ends with a fault, or does not end."""
        done = subprocess.run(
            (path_of(program), *arguments),
            cwd=self.folder,
            env={**os.environ, **environment},
            timeout=seconds,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            command = " ".join((program, *arguments))
            pytest.fail(f"{command}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done.stdout

    def has_typed_answers(self, *command: str, fault: str) -> None:
        """Has the client called, and looks at what it got in words of its own types."""
        email = new_email()
        said: dict[str, Any] = json.loads(self.run(*command, self.url, email))
        assert UUID(said.pop("slow")) == UUID(said.pop("task"))
        assert said == {
            "fast": f"fast.{email}",
            "ended": "succeeded",
            "refused": 404,
            "invalid": fault,
            "listed": "create-client",
        }


def path_of(program: str) -> str:
    """A program of this machine; raises ServerProgramMissingError."""
    if "/" in program:
        return program
    if program == "uv" and (given := os.environ.get("UV")):
        return given
    return str(find_program(program, package=PACKAGES[program]))


@pytest.fixture(scope="module")
def proxy_url(tmp_path_factory: pytest.TempPathFactory, keep_in_module: Keep) -> str:
    """Serves what `up` serves by itself."""
    operations = DEMO_OPERATIONS.read_text()
    return (
        keep_in_module(up_service(tmp_path_factory.mktemp("up"), operations=operations)).start().url
    )


def workshop(language: str, proxy_url: str, factory: pytest.TempPathFactory) -> Workshop:
    folder = factory.mktemp("clients") / language
    shutil.copytree(HERE / language, folder)
    document = folder / "openapi.json"
    answer = httpx.get(f"{proxy_url}/openapi.json", trust_env=False, timeout=PATIENCE_SECONDS)
    document.write_bytes(answer.content)
    return Workshop(folder, document, proxy_url)


@pytest.fixture(scope="module")
def go(proxy_url: str, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return workshop("go", proxy_url, tmp_path_factory)


@pytest.fixture(scope="module")
def node(proxy_url: str, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = workshop("node", proxy_url, tmp_path_factory)
    made.run("npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", seconds=800)
    return made


@pytest.fixture(scope="module")
def python(proxy_url: str, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = workshop("python", proxy_url, tmp_path_factory)
    made.run("uv", "sync", "--locked", VIRTUAL_ENV="")
    return made


def test_oapi_codegens_client(go: Workshop):
    (go.folder / "oapi_codegen/client").mkdir()
    made = ("-generate", "types,client", "-package", "client", "-o", "oapi_codegen/client/made.go")
    go.run("go", "tool", "oapi-codegen", *made, str(go.document))

    build_and_vet(go, "oapi_codegen")

    go.has_typed_answers("./oapi_codegen.out", fault=KEY_USED_TWICE)


def test_ogens_client(go: Workshop):
    document = json.loads(go.document.read_text())
    # Of a form whose fields nobody names it makes code that does not compile.
    del document["paths"]["/scans"]
    (go.folder / "without_forms.json").write_text(json.dumps(document))
    go.run(
        "go", "tool", "ogen", "--target", "ogen/client", "--package", "client", "without_forms.json"
    )

    build_and_vet(go, "ogen")

    go.has_typed_answers("./ogen.out", fault=KEY_USED_TWICE)


def build_and_vet(go: Workshop, program: str) -> None:
    go.run("go", "build", "-o", f"{program}.out", f"./{program}")
    go.run("go", "vet", f"./{program}/...")


def test_openapi_python_clients_client(python: Workshop):
    scripts = python.folder / ".venv/bin"
    made = ("--path", str(python.document), "--output-path", "made")
    python.run(str(scripts / "openapi-python-client"), "generate", *made)

    checker = str(Path(sys.executable).parent / "pyright")
    python.run(checker, "--pythonpath", str(scripts / "python"), "call.py", "made")

    python.has_typed_answers(str(scripts / "python"), "call.py", fault="/email")


def test_openapi_typescripts_client(node: Workshop):
    made = "openapi_typescript/schema.d.ts"
    node.run("npx", "openapi-typescript", str(node.document), "-o", made)

    compile_typescript(node, "openapi_fetch.ts")

    node.has_typed_answers("node", "out/openapi_fetch.js", fault="/email")


def test_hey_apis_client(node: Workshop):
    node.run("npx", "openapi-ts")

    compile_typescript(node, "hey_api.ts")

    node.has_typed_answers("node", "out/hey_api.js", fault="/email")


def compile_typescript(node: Workshop, program: str) -> None:
    options = ("--module", "nodenext", "--target", "es2022", "--strict", "--skipLibCheck")
    node.run("npx", "tsc", *options, "--outDir", "out", program)


def test_redocly_finds_nothing(node: Workshop):
    node.run("npx", "redocly", "lint", "--extends", "recommended", str(node.document))


def test_spectral_finds_nothing(node: Workshop):
    (node.folder / ".spectral.yaml").write_text("extends: ['spectral:oas']\n")
    node.run("npx", "spectral", "lint", "--fail-severity", "hint", str(node.document))
