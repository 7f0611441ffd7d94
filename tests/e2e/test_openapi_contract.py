"""Whether the proxy does what its OpenAPI document says, asked by schemathesis with all its checks.

CONTRACT_EXAMPLES: how many cases it makes of each operation and phase.
"""

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from asynctestkit.process import bare_environment
from asynctestkit.processes import FAST_OPERATIONS, Installation, Keep, start_all, up_service

SCHEMATHESIS = Path(sysconfig.get_path("scripts")) / "schemathesis"
FIND_CLIENT = """
  find-client:
    route: GET /people/{who}
    queue: clients
    coalesce: true
    parameters:
      - {name: field, in: query, argument: fields}
      - {name: page, in: query, style: deepObject}
      - {name: X-Language, in: header, argument: language}
      - {name: theme, in: cookie}
    arguments:
      type: object
      required: [who, language]
      additionalProperties: false
      properties:
        who: {type: string, pattern: "^[0-9a-f]{1,8}$"}
        fields: {type: array, items: {enum: [name, email]}, minItems: 1, maxItems: 3}
        page:
          type: object
          required: [number]
          additionalProperties: false
          properties: {number: {type: integer, minimum: 1, maximum: 99}}
        language: {type: string, pattern: "^[a-z]{2}$"}
        theme: {enum: [light, dark]}
    upstream:
      method: GET
      url: "{CUSTOMER_API_URL}/clients/{who}{?fields*}"
      headers: {Accept-Language: "{language}"}
      forwardHeaders: [traceparent]
"""
# The demo API has nothing to rename, and no case gains by a longer wait.
OPERATIONS = FAST_OPERATIONS.partition("  rename-client:")[0].replace(
    "waitSeconds: 30", "waitSeconds: 1"
) + FIND_CLIENT.replace("queue: clients", "queue: clients\n    waitSeconds: 1")
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "15")
# As long as the cases take on a machine that does other work, too.
pytestmark = pytest.mark.timeout(1_200)


def test_all_in_one_process_keeps_the_contract(tmp_path: Path, keep: Keep):
    service = keep(up_service(tmp_path, operations=OPERATIONS, max_wait_seconds=1)).start()

    _check_contract(service.url, tmp_path)
    assert service.faults == []


def test_separate_processes_keep_the_contract(
    install: Callable[..., Installation], tmp_path: Path, keep: Keep
):
    installation = install(max_wait_seconds=1)
    (installation.folder / "operations.yaml").write_text(OPERATIONS)
    proxy = installation.proxy()
    services = (proxy, installation.executor(), installation.demo_api())
    start_all(keep, *services)

    _check_contract(proxy.url, tmp_path)
    assert [service.faults for service in services] == [[], [], []]


def _check_contract(url: str, folder: Path) -> None:
    """Fail with what schemathesis printed where it has found a failure."""
    options = {
        "--url": url,
        "--checks": "all",
        "--max-examples": EXAMPLES,
        "--seed": "1",
        "--max-response-time": "30",
        "--request-timeout": "60",
        # Refused in every text, which only a pattern on each could say.
        "--generation-allow-x00": "false",
        "--suppress-health-check": "all",
        # A stream, which ends when its task does, and lines, of which a schema says nothing.
        "--exclude-path-regex": "/events$|(?<!/tasks):batch$",
    }
    done = subprocess.run(
        [
            SCHEMATHESIS,
            "run",
            f"{url}/openapi.json",
            "--no-color",
            *(part for option in options.items() for part in option),
        ],
        env=bare_environment(folder)
        | {"SCHEMATHESIS_HOOKS": "asynctestkit.schemathesis_hooks", "COLUMNS": "200"},
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        pytest.fail(done.stdout, pytrace=False)
