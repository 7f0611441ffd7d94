"""What is wrong with an operations file is told by line, key and what was expected."""

import contextlib
import copy
import random
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from asynctasks.errors import OperationsFileError
from asynctasks.operations.operations_file import load_operations, parse_operations

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


NO_OPERATIONS = "1: the file: expected `operations:` with at least one operation below it"
OPERATION_KEYS = (
    "arguments, deadlineSeconds, delaySeconds, description, handler, labels, maxQueued, queue, "
    "retry, route, summary, upstream, waitSeconds"
)

BROKEN = {
    # YAML
    "empty": ("", NO_OPERATIONS),
    "only a comment": ("# nothing\n", NO_OPERATIONS),
    "no mapping": ("- operations\n", NO_OPERATIONS),
    "no operation": ("operations: {}\n", NO_OPERATIONS),
    "operations is a list": ("operations: [a]\n", NO_OPERATIONS),
    "not YAML": (
        "operations:\n  a: b: c\n",
        "2: no YAML: mapping values are not allowed here",
    ),
    "a bracket left open": (
        "operations: [\n",
        "2: no YAML: expected the node content, but found '<stream end>'",
    ),
    "a tab": (
        "operations:\n\ta: 1\n",
        "2: no YAML: found character '\\t' that cannot start any token",
    ),
    "a control character": (
        "operations:\n  a: \x07\n",
        "2: no YAML: the character U+0007",
    ),
    "two documents": (GOOD + "---\n", "24: no YAML: but found another document"),
    "an unknown alias": (operation(queue="*q"), "5: no YAML: found undefined alias 'q'"),
    "a key twice": (
        operation() + "    route: POST /b\n",
        "5: 'route' stands here twice",
    ),
    "an operation twice": (
        operation() + "  a: {}\n",
        "5: 'a' stands here twice",
    ),
    "an alias that contains itself": (
        schema("properties: &p", "  a: *p"),
        "7: an alias that contains itself",
    ),
    "aliases that stand for gigabytes": (
        "a: &a0 [x, x]\n" + "".join(f"b{i}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(40)),
        "1: its aliases stand for too much",
    ),
    "deep nesting": (
        "operations:\n  a: " + "[" * 5_000 + "]" * 5_000,
        "2: nested more than 64 levels deep",
    ),
    "deep nesting by aliases": (
        "".join(f"a{i}: &a{i} [{f'*a{i - 1}' if i else 1}]\n" for i in range(100)),
        "1: nested more than 64 levels deep",
    ),
    "a key that is a number": (
        schema("properties:", "  1: {}"),
        '8: expected a key of text: write it in quotes, "1"',
    ),
    "a key that YAML reads as a boolean": (
        schema("properties:", "  on: {}"),
        '8: expected a key of text: write it in quotes, "on"',
    ),
    "a key that is a list": ("operations:\n  [a]: b\n", "2: expected a key of text"),
    "a Python object": (
        operation(summary="!!python/object/apply:os.getcwd []"),
        (
            "5: expected plain text, numbers, lists and keys, "
            "not tag:yaml.org,2002:python/object/apply:os.getcwd"
        ),
    ),
    "binary data": (
        schema("const: !!binary aGVsbG8="),
        "7: expected plain text, numbers, lists and keys, not tag:yaml.org,2002:binary",
    ),
    "a tag that does not fit": (
        operation(waitSeconds="!!int soon"),
        "5: cannot be read as int",
    ),
    "no finite number": (operation(waitSeconds=".inf"), "5: expected a finite number"),
    "a number that JSON readers round": (
        schema("maximum: 18446744073709551616"),
        "7: expected a number of 64 bits at most",
    ),
    "half a character": (
        operation(summary='"\\ud800"'),
        "5: expected whole characters, not one half of a surrogate pair",
    ),
    # keys
    "unknown key at the top": (
        GOOD + "version: 1\n",
        "24: version: unknown key; expected only `operations`",
    ),
    "unknown key of an operation": (
        operation(wait_seconds="3"),
        f"5: operations.a.wait_seconds: unknown key; expected one of {OPERATION_KEYS}",
    ),
    "unknown key of an upstream": (
        upstream(timeout="3"),
        (
            "6: operations.a.upstream.timeout: unknown key; expected one of "
            "headers, method, timeoutSeconds, url"
        ),
    ),
    "unknown key of a retry": (
        operation(retry="{attempts: 3}"),
        (
            "5: operations.a.retry.attempts: unknown key; expected one of "
            "backoffSeconds, maxAttempts, onStatus"
        ),
    ),
    "a name where the key above is the name": (
        operation(name="b"),
        "5: operations.a.name: unknown key; the name is the key above",
    ),
    "no settings": (
        "operations:\n  a:\n",
        "2: operations.a: expected the operation's settings: route, arguments, upstream, …",
    ),
    "bad name": (
        "operations:\n  Create_Client: {}\n",
        (
            "2: operations.Create_Client: an operation's name is made of a-z, 0-9 and -, "
            "begins with a letter, 63 at most: create-client"
        ),
    ),
    # routes
    "missing route": (operation(route=""), "2: operations.a.route: is missing"),
    "bad method": (
        operation(route="GET /a"),
        (
            "3: operations.a.route: expected a method (POST, PUT, PATCH, DELETE) and a path: "
            "POST /clients (it is 'GET /a')"
        ),
    ),
    "route is no text": (
        operation(route="{POST: /a}"),
        "3: operations.a.route: expected text",
    ),
    "route with a query": (
        operation(route="POST /a?b=c"),
        (
            "3: operations.a.route: expected a method (POST, PUT, PATCH, DELETE) and a path: "
            "POST /clients (it is 'POST /a?b=c')"
        ),
    ),
    "route that climbs": (
        operation(route="POST /a/../tasks"),
        (
            "3: operations.a.route: a path is made of segments such as "
            "/clients/{clientId}/orders (it is 'POST /a/../tasks')"
        ),
    ),
    "root route": (
        operation(route="POST /"),
        (
            "3: operations.a.route: a path is made of segments such as "
            "/clients/{clientId}/orders (it is 'POST /')"
        ),
    ),
    "reserved route": (
        operation(route="POST /tasks/x"),
        ("3: operations.a.route: /tasks is taken by the proxy itself (it is 'POST /tasks/x')"),
    ),
    "the documentation's route": (
        operation(route="PUT /swagger/x"),
        ("3: operations.a.route: /swagger is taken by the proxy itself (it is 'PUT /swagger/x')"),
    ),
    "route that takes all": (
        operation(route="POST /{any}"),
        "3: operations.a.route: /{any} is taken by the proxy itself (it is 'POST /{any}')",
    ),
    "path argument twice": (
        operation(route="POST /a/{b}/{b}"),
        "3: operations.a.route: a name stands in the path twice (it is 'POST /a/{b}/{b}')",
    ),
    "path argument that is no property": (
        operation(route="POST /a/{b}"),
        "2: operations.a: 'b' stands in the route but is no property of `arguments`",
    ),
    "path argument that is writeOnly": (
        operation(
            arguments="{type: object, properties: {b: {type: string, writeOnly: true}}}",
            route="POST /a/{b}",
        ),
        "2: operations.a: 'b' is writeOnly and stands in the route, for all to see",
    ),
    "duplicate route": (
        operation() + "  b:\n    route: POST /a/\n    handler: a:b\n",
        "6: operations.b.route: a has this route already",
    ),
    "duplicate route under another argument's name": (
        operation(route="POST /a/{x}", arguments="{type: object, properties: {x: {}}}")
        + "  b:\n    route: POST /a/{y}\n    handler: a:b\n"
        + "    arguments: {type: object, properties: {y: {}}}\n",
        "8: operations.b.route: a has this route already",
    ),
    # what runs it
    "neither upstream nor handler": (
        operation(handler=""),
        "2: operations.a: expected either `upstream` or `handler`",
    ),
    "both upstream and handler": (
        upstream() + "\n    handler: a:b\n",
        "2: operations.a: expected either `upstream` or `handler`",
    ),
    "bad handler": (
        operation(handler="package.module.function"),
        (
            "4: operations.a.handler: expected package.module:function "
            "(it is 'package.module.function')"
        ),
    ),
    "upstream is no mapping": (
        operation(handler="", upstream="http://u/"),
        "4: operations.a.upstream: expected keys and values below it (it is 'http://u/')",
    ),
    "missing URL": (
        upstream(url="", method="PUT"),
        "4: operations.a.upstream.url: is missing",
    ),
    "URL of another scheme": (
        upstream(url="ftp://u/"),
        (
            "5: operations.a.upstream.url: expected http://…, https://… or "
            "{NAME_OF_AN_ENVIRONMENT_VARIABLE}… (it is 'ftp://u/')"
        ),
    ),
    "URL without a host": (
        upstream(url="http:///clients"),
        (
            "5: operations.a.upstream.url: expected http://…, https://… or "
            "{NAME_OF_AN_ENVIRONMENT_VARIABLE}… (it is 'http:///clients')"
        ),
    ),
    "URL with an open brace": (
        upstream(url='"http://u/{id"'),
        "5: operations.a.upstream.url: a brace is not closed (it is 'http://u/{id')",
    ),
    "URL with a bad expression": (
        upstream(url='"http://u/{a b}"'),
        ("5: operations.a.upstream.url: {a b} is no RFC 6570 expression (it is 'http://u/{a b}')"),
    ),
    "unknown method of an upstream": (
        upstream(method="FETCH"),
        (
            "6: operations.a.upstream.method: expected 'GET', 'POST', 'PUT', 'PATCH' or "
            "'DELETE' (it is 'FETCH')"
        ),
    ),
    "bad name of a header": (
        upstream(headers='{"X Key": a}'),
        "6: operations.a.upstream.headers: 'X Key' is no name of a header (RFC 9110 §5.1)",
    ),
    "header of two lines": (
        upstream(headers='{X: "a\\nB: c"}'),
        "6: operations.a.upstream.headers: the value of X is not one line of ASCII text",
    ),
    "timeout of 0": (
        upstream(timeoutSeconds="0"),
        "6: operations.a.upstream.timeoutSeconds: expected greater than 0 (it is 0)",
    ),
    "negative timeout": (
        upstream(timeoutSeconds="-1"),
        "6: operations.a.upstream.timeoutSeconds: expected greater than 0 (it is -1)",
    ),
    # numbers
    "wait window too long": (
        operation(waitSeconds="301"),
        "5: operations.a.waitSeconds: expected less than or equal to 300 (it is 301)",
    ),
    "wait window in words": (
        operation(waitSeconds="soon"),
        (
            "5: operations.a.waitSeconds: expected a valid number, unable to parse string as "
            "a number (it is 'soon')"
        ),
    ),
    "bad queue": (
        operation(queue="My Queue"),
        (
            "5: operations.a.queue: a queue's name is made of a-z, 0-9 and -, 63 at most: "
            "clients (it is 'My Queue')"
        ),
    ),
    "no attempt": (
        operation(retry="{maxAttempts: 0}"),
        "5: operations.a.retry.maxAttempts: expected greater than or equal to 1 (it is 0)",
    ),
    "half an attempt": (
        operation(retry="{maxAttempts: 1.5}"),
        (
            "5: operations.a.retry.maxAttempts: expected a valid integer, got a number with a "
            "fractional part (it is 1.5)"
        ),
    ),
    "status out of range": (
        operation(retry="{onStatus: [200]}"),
        ("5: operations.a.retry.onStatus.0: expected greater than or equal to 400 (it is 200)"),
    ),
    "status is no list": (
        operation(retry="{onStatus: 503}"),
        "5: operations.a.retry.onStatus: expected a list (it is 503)",
    ),
    "backoff in the wrong order": (
        operation(retry="{backoffSeconds: [60, 1]}"),
        (
            "5: operations.a.retry.backoffSeconds: the first number is the shortest backoff, "
            "the second the longest"
        ),
    ),
    "one backoff": (
        operation(retry="{backoffSeconds: 3}"),
        "5: operations.a.retry.backoffSeconds: expected a list (it is 3)",
    ),
    # the schema
    "arguments of no type": (
        operation(arguments="properties: {}"),
        ("5: operations.a.arguments: the arguments are one JSON object: expected `type: object`"),
    ),
    "arguments of another type": (
        operation(arguments="type: array"),
        ("5: operations.a.arguments: the arguments are one JSON object: expected `type: object`"),
    ),
    "unknown type": (
        schema("properties:", "  b:", "    type: text"),
        (
            "9: operations.a.arguments.properties.b.type: expected array, boolean, integer, "
            "null, number, object or string, or a list of them"
        ),
    ),
    "bad regular expression": (
        schema("properties:", "  b:", "    pattern: '('"),
        '9: operations.a.arguments.properties.b.pattern: "(" is not a "regex"',
    ),
    "bad keyword": (
        schema("properties:", "  b:", "    minLength: -1"),
        ("9: operations.a.arguments.properties.b.minLength: -1 is less than the minimum of 0"),
    ),
    "remote reference": (
        schema("properties:", "  b:", "    $ref: https://example.com/b.json"),
        (
            "9: operations.a.arguments.properties.b.$ref: 'https://example.com/b.json' leads "
            "nowhere; expected a place in this schema: #/$defs/name"
        ),
    ),
    "reference into a file": (
        schema("properties:", "  b:", "    $ref: file:///etc/passwd"),
        (
            "9: operations.a.arguments.properties.b.$ref: 'file:///etc/passwd' leads "
            "nowhere; expected a place in this schema: #/$defs/name"
        ),
    ),
    "dangling reference": (
        schema("properties:", "  b:", "    $ref: '#/$defs/c'"),
        (
            "9: operations.a.arguments.properties.b.$ref: '#/$defs/c' leads nowhere; "
            "expected a place in this schema: #/$defs/name"
        ),
    ),
    # secrets that could not be found again
    "writeOnly arguments as a whole": (
        schema("writeOnly: true"),
        (
            "7: operations.a.arguments.writeOnly: the arguments as a whole cannot be "
            "writeOnly: mark its properties"
        ),
    ),
    "writeOnly below anyOf": (
        schema("anyOf:", "- properties:", "    b:", "      writeOnly: true"),
        (
            "10: operations.a.arguments.anyOf.0.properties.b.writeOnly: not supported below "
            "`anyOf`: mark a property of an object instead"
        ),
    ),
    "writeOnly below items": (
        schema("properties:", "  b:", "    items:", "      writeOnly: true"),
        (
            "10: operations.a.arguments.properties.b.items.writeOnly: not supported below "
            "`items`: mark a property of an object instead"
        ),
    ),
    "writeOnly below $defs": (
        schema("$defs:", "  b:", "    writeOnly: true"),
        (
            "9: operations.a.arguments.$defs.b.writeOnly: not supported below "
            "`$defs`: mark a property of an object instead"
        ),
    ),
    "writeOnly below additionalProperties": (
        schema("additionalProperties:", "  writeOnly: true"),
        (
            "8: operations.a.arguments.additionalProperties.writeOnly: not supported below "
            "`additionalProperties`: mark a property of an object instead"
        ),
    ),
    "writeOnly behind $ref": (
        schema("properties:", "  b: {writeOnly: true}", "  c:", "    $ref: '#/properties/b'"),
        (
            "10: operations.a.arguments.properties.c.$ref: next to writeOnly properties, "
            "expected a reference below #/$defs/"
        ),
    ),
    "writeOnly behind a schema that contains itself": (
        schema("properties:", "  b: {writeOnly: true}", "  c: {$ref: '#'}"),
        (
            "9: operations.a.arguments.properties.c.$ref: next to writeOnly properties, "
            "expected a reference below #/$defs/"
        ),
    ),
    "a label by which no task could be found": (
        operation(labels="{team: the blue one}"),
        (
            "5: operations.a.labels: expected names and values of letters, digits, '.', '_' and "
            "'-', in names '/' too, 63 at most, the first and the last a letter or digit; not "
            "'team=the blue one'"
        ),
    ),
    "a deadline before the delay is over": (
        operation(deadlineSeconds="60", delaySeconds="60"),
        "2: operations.a: deadlineSeconds: expected a time after the task's delay is over",
    ),
    "writeOnly that is no boolean": (
        schema("properties:", "  b:", "    writeOnly: 'yes'"),
        '9: operations.a.arguments.properties.b.writeOnly: "yes" is not of type "boolean"',
    ),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_told_by_line_key_and_what_was_expected(text: str, expected: str):
    with pytest.raises(OperationsFileError) as caught:
        parse_operations(text, name="ops.yaml")
    assert str(caught.value) == f"ops.yaml:{expected}"


def test_the_file_that_the_broken_ones_were_made_from_is_good():
    operations = parse_operations(GOOD, name="ops.yaml")
    assert list(operations) == ["create-client", "change-client"]
    assert operations["create-client"].schema.write_only == (("password",),)
    assert operations["change-client"].path_arguments == ["clientId"]
    for text in (operation(), schema(), upstream()):
        assert list(parse_operations(text, name="ops.yaml")) == ["a"]


def test_all_faults_are_told_at_once_in_the_order_of_their_lines():
    text = "operations:\n  a: {}\n  b:\n    route: GET /b\n    nonsense: 1\nversion: 1\n"
    with pytest.raises(OperationsFileError) as caught:
        parse_operations(text, name="ops.yaml")
    lines = [int(fault.split(":")[1]) for fault in str(caught.value).splitlines()]
    assert lines == sorted(lines)
    assert set(lines) == {2, 4, 5, 6}


def test_a_long_wrong_value_is_not_repeated_in_full():
    with pytest.raises(OperationsFileError) as caught:
        parse_operations(operation(queue="Q" * 10_000), name="ops.yaml")
    assert len(str(caught.value)) < 250


def test_a_date_is_the_text_it_is_in_json():
    text = schema("properties: {b: {const: 2020-01-01}}")
    parse_operations(text, name="ops.yaml")["a"].schema.check({"b": "2020-01-01"})


def test_an_alias_may_repeat_a_schema():
    text = schema("properties:", "  b: &b {type: string}", "  c: *b")
    assert parse_operations(text, name="ops.yaml")["a"].arguments["properties"]["c"] == {
        "type": "string"
    }


def test_a_property_may_be_called_as_a_keyword_is():
    text = schema(
        "properties:", "  default: {type: object, properties: {writeOnly: true}}", "  $ref: {}"
    )
    assert parse_operations(text, name="ops.yaml")["a"].schema.write_only == ()


def test_a_schema_never_makes_a_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        for line in (
            f"$ref: {url}",
            f"$schema: {url}",
            f"$defs: {{b: {{$schema: '{url}', $id: '{url}', $ref: c}}}}",
        ):
            with contextlib.suppress(OperationsFileError):
                parse_operations(schema(line), name="ops.yaml")
            with pytest.raises(BlockingIOError):
                listener.accept()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"operations:\n  a: \xff\n", ":2: cannot be read: it is not UTF-8 text"),
        (GOOD.encode("utf-16"), ":1: cannot be read: it is not UTF-8 text"),
        (bytes(range(256)), ":"),
        (b"\x7fELF\x02\x01\x01\x00", ":1: no YAML: the character U+007F"),
    ],
)
def test_a_file_of_bytes_is_refused(tmp_path: Path, content: bytes, expected: str):
    file = tmp_path / "ops.yaml"
    file.write_bytes(content)
    with pytest.raises(OperationsFileError) as caught:
        load_operations(file)
    assert str(caught.value).startswith(f"{file}{expected}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    file = tmp_path / "ops.yaml"
    with pytest.raises(OperationsFileError) as caught:
        load_operations(file)
    assert str(caught.value) == f"{file}: cannot be read: No such file or directory"


def test_a_directory_is_no_file(tmp_path: Path):
    with pytest.raises(OperationsFileError) as caught:
        load_operations(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_byte_order_mark_is_read_over(tmp_path: Path):
    file = tmp_path / "ops.yaml"
    file.write_bytes(GOOD.encode("utf-8-sig"))
    assert len(load_operations(file)) == 2


YAML_PIECES = st.sampled_from(
    [
        "a",
        ": ",
        "- ",
        "\n",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!!int ",
        "!!map ",
        "!!str ",
        "!!bool ",
        "!!null ",
        "!!seq ",
        "!!float ",
        "!!merge ",
        "! ",
        "!x ",
        "<<: ",
        "? ",
        "|\n",
        ">\n",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "'",
        '"',
        "\\",
        "#",
        "1",
        "1e9",
        "0x",
        "~",
        "\t",
        "operations",
    ]
)


def parse_and_use(text: str) -> None:
    """Read it or raise OperationsFileError; what was read is fit for all that is done with it."""
    try:
        operations = parse_operations(text, name="ops.yaml")
    except OperationsFileError:
        return
    for operation in operations.values():
        orjson.dumps(operation.arguments)
        operation.schema.part({})
        if operation.upstream:
            assert operation.upstream.variables is not None


@given(text=st.text() | st.lists(YAML_PIECES, max_size=40).map("".join))
@example("!!map x")
@example("!!str {a: b}")
@example("!!merge a: b")
@example("{a: &x {<<: *x}}")
@example("\ud800")
def test_any_text_is_read_or_refused(text: str):
    parse_and_use(text)


@given(
    at=st.integers(0, len(GOOD)),
    deleted=st.integers(0, 30),
    inserted=st.text(max_size=5) | st.lists(YAML_PIECES, max_size=5).map("".join),
)
def test_any_edit_of_a_good_file_is_read_or_refused(at: int, deleted: int, inserted: str):
    parse_and_use(GOOD[:at] + inserted + GOOD[at + deleted :])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["object", "#", "#/x", "{a}", "POST /a/{a}", "(", "a:b", "http://u/{x*}"]),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(
                ["type", "properties", "$ref", "writeOnly", "$id", "$schema", "items"]
            ),
            below,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(value=VALUES, choose=st.randoms(use_true_random=False))
def test_any_value_in_place_of_a_good_one_is_read_or_refused(value: Any, choose: random.Random):
    document: Any = copy.deepcopy(yaml.safe_load(GOOD))
    at = document["operations"]["create-client"]
    while isinstance(below := at[key := choose.choice(sorted(at))], dict) and choose.random() < 0.7:
        at = below
        if not at:
            return
    at[key] = value
    parse_and_use(yaml.safe_dump(document))
