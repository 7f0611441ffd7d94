"""Operations files as text: a good one, and what a broken one is made from."""

import pytest

from asynctasks.errors import OperationsFileError
from asynctasks.operations.operations_file import parse_operations

GOOD = """\
operations:
  create-client:
    summary: Create a client
    route: POST /clients
    queue: clients
    waitSeconds: 10
    arguments:
      type: object
      required: [email]
      additionalProperties: false
      properties:
        email: {type: string, format: email}
        password: {type: string, writeOnly: true}
    upstream:
      method: POST
      url: "{CUSTOMER_API_URL}/clients"
      headers: {X-Key: "{KEY}"}
      timeoutSeconds: 30
    retry: {maxAttempts: 5, backoffSeconds: [1, 60], onStatus: [408, 429, 503]}
  change-client:
    route: PATCH /clients/{clientId}
    arguments: {type: object, properties: {clientId: {type: integer}}}
    handler: mypackage.clients:change
"""


def operation(*, arguments: str = "", **keys: str) -> str:
    """One operation from line 3 on, with these keys in place of the good ones."""
    given = {"route": "POST /a", "handler": "a:b"} | keys
    lines = [f"    {key}: {value}" for key, value in given.items() if value]
    if arguments:
        lines += ["    arguments:", *(f"      {line}" for line in arguments.splitlines())]
    return "\n".join(["operations:", "  a:", *lines]) + "\n"


def schema(*lines: str) -> str:
    """An operation whose arguments' schema begins in line 6 with its type."""
    return operation(arguments="\n".join(["type: object", *lines]))


def upstream(**keys: str) -> str:
    """An operation whose upstream's keys begin in line 5."""
    given = {"url": "http://u/"} | keys
    lines = [f"      {key}: {value}" for key, value in given.items() if value]
    return "\n".join(["operations:", "  a:", "    route: POST /a", "    upstream:", *lines])


def fault_of(text: str) -> str:
    """What the file `ops.yaml` of this text is refused with."""
    with pytest.raises(OperationsFileError) as caught:
        parse_operations(text, name="ops.yaml")
    return str(caught.value)
