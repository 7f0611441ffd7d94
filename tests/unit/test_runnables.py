"""What is told at the start of all that keeps operations from running."""

import pytest

from asyncexecutor.runnables import check_runnable
from asynctasks.errors import OperationsFileError
from asynctasks.operations.operations_file import parse_operations

FILE = """\
operations:
  a:
    route: POST /a
    upstream: {url: "{BASE}/a", headers: {Authorization: "Bearer {TOKEN}"}}
  b:
    route: POST /b
    upstream: {url: "{BASE}/b", headers: {Authorization: "Bearer {TOKEN}"}}
  c:
    route: POST /c
    handler: nowhere:nothing
  d:
    route: POST /d
    upstream: {url: "http://d", headers: {Authorization: "Bearer {TOKEN}"}}
"""


def test_a_variable_that_many_operations_lack_is_told_once_beside_all_other_faults():
    operations = parse_operations(FILE, name="ops.yaml").values()
    with pytest.raises(OperationsFileError) as raised:
        check_runnable(operations, {})
    handler, base, token = str(raised.value).splitlines()
    assert handler.startswith("ops.yaml:10: operations.c.handler: ")
    lacks = "is neither an argument nor set in the environment of this executor"
    assert base == (f"ops.yaml:4: operations.a.upstream.url: BASE {lacks} (and 1 more like this)")
    assert token == (
        f"ops.yaml:4: operations.a.upstream.headers.Authorization: TOKEN {lacks} "
        "(and 2 more like this)"
    )
