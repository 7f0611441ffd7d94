"""`asyncapiproxy operations import`: what it writes, what it says, and how it ends."""

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from asynctasks.declarations.yaml_lines import parse_yaml
from asynctestkit.process import bare_environment
from asynctestkit.processes import COMMAND

DOCUMENT = """\
openapi: 3.0.3
info: {title: Billing, version: 2026-01-01}
servers: [{url: /v1}]
paths:
  /invoices:
    post:
      operationId: createInvoice
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Invoice'}
      responses:
        201: {description: It is sent.}
  /files/{name}.{type}:
    get: {operationId: getFile}
components:
  schemas:
    Invoice:
      type: object
      required: [customer]
      properties:
        customer: {type: string, nullable: true, example: on}
"""
LEFT_OUT = "#/paths/~1files~1{name}.{type}/get: left out: route: a path is made of segments"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "openapi.yaml").write_text(DOCUMENT)
    return tmp_path


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """Where the folder is served."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "operations", *words],
        cwd=folder,
        env=bare_environment(Path.home()),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_file_is_written_where_it_is_wanted_and_can_be_used(folder: Path):
    words = ("import", "openapi.yaml", "--upstream", "{BILLING_URL}", "--output", "operations.yaml")
    imported = run(folder, *words)
    assert (imported.returncode, imported.stdout) == (0, "")
    remark, counted = imported.stderr.splitlines()
    assert remark.startswith(LEFT_OUT)
    assert counted == "operations.yaml: 1 operation, 1 left out"
    made = (folder / "operations.yaml").read_text()
    assert made.startswith("# Made of Billing 2026-01-01 by `asyncapiproxy operations import`.\n")
    assert "customer: {type: [string, 'null'], examples: ['on']}" in made
    checked = run(folder, "check", "operations.yaml")
    assert (checked.returncode, checked.stderr) == (0, "")
    again = run(folder, *words)
    assert again.returncode == 1
    assert "operations.yaml: cannot be written: File exists" in again.stderr
    assert (folder / "operations.yaml").read_text() == made


def test_a_document_may_be_fetched_and_its_servers_are_where_it_came_from(
    folder: Path, address: str
):
    imported = run(folder, "import", f"{address}/openapi.yaml", "--operation", "createInvoice")
    assert imported.returncode == 0
    assert imported.stderr == "the file: 1 operation\n"
    assert f"url: '{address}/v1/invoices'" in imported.stdout
    missing = run(folder, "import", f"{address}/missing.yaml")
    assert missing.returncode == 1
    assert f"{address}/missing.yaml: cannot be fetched: it answered 404" in missing.stderr


def test_json_is_read_as_well(folder: Path):
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://billing.example.com"}],
        "paths": {"/invoices": {"get": {}}},
    }
    (folder / "openapi.json").write_text(json.dumps(document))
    imported = run(folder, "import", "openapi.json")
    assert (imported.returncode, imported.stderr) == (0, "the file: 1 operation\n")
    assert "get-invoices:" in imported.stdout


def test_a_file_may_have_as_many_values_as_it_has_characters():
    values, _ = parse_yaml(f"[{'0,' * 100_001}]")
    assert len(values) == 100_001


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "openapi.yaml: cannot be read: No such file"),
        ("a: [", "openapi.yaml:2: neither JSON nor YAML: "),
        ("a: &a [*a]", "is nested more than 200 levels deep"),
        ("swagger: '2.0'", "is of Swagger 2.0; expected OpenAPI 3.0 or 3.1"),
        (DOCUMENT, "the server is '/v1', which is no whole URL: say by `--upstream`"),
    ],
)
def test_what_cannot_be_imported_is_told(folder: Path, content: str | None, told: str):
    file = folder / "openapi.yaml"
    file.unlink() if content is None else file.write_text(content)
    imported = run(folder, "import", "openapi.yaml")
    assert (imported.returncode, imported.stdout) == (1, "")
    assert told in imported.stderr
    assert "Traceback" not in imported.stderr
