"""What is wrong with the schema of an operation's arguments, secrets among them."""

import contextlib
import socket

import pytest
from structlog.testing import capture_logs

from asynctasks.errors import OperationsFileError
from asynctasks.operations.operations_file import parse_operations
from asynctestkit.operations_texts import fault_of, operation, schema

SCHEMAS = {
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
        (
            "9: operations.a.arguments.properties.b.pattern: expected a regular expression, one "
            "that does not look around or back"
        ),
    ),
    "a misspelt keyword": (
        schema("require: [a]"),
        (
            "7: operations.a.arguments.require: unknown keyword; did you mean required?; "
            "one of your own begins with x-"
        ),
    ),
    "a misspelt keyword far below": (
        schema("$defs:", "  a:", "    anyOf:", "    - items:", "        maxLenght: 3"),
        (
            "11: operations.a.arguments.$defs.a.anyOf.0.items.maxLenght: unknown keyword; "
            "did you mean maxLength?; one of your own begins with x-"
        ),
    ),
    "a keyword of an earlier draft": (
        schema("dependencies: {}"),
        (
            "7: operations.a.arguments.dependencies: is of another draft; expected "
            "`dependentRequired` or `dependentSchemas`"
        ),
    ),
    "OpenAPI 3.0's null": (
        schema("properties:", "  b:", "    nullable: true"),
        (
            "9: operations.a.arguments.properties.b.nullable: is of another draft; expected "
            '`type` with "null" in a list'
        ),
    ),
    "a misspelt format": (
        schema("properties:", "  b:", "    format: e-mail"),
        ("9: operations.a.arguments.properties.b.format: unknown format; did you mean email?"),
    ),
    "another draft": (
        schema("$schema: http://json-schema.org/draft-07/schema#"),
        (
            "7: operations.a.arguments.$schema: schemas are read as "
            "https://json-schema.org/draft/2020-12/schema"
        ),
    ),
    "required and not allowed": (
        schema("additionalProperties: false", "required: [b]", "properties: {a: {}}"),
        (
            "8: operations.a.arguments.required.0: 'b' is required and, by "
            "`additionalProperties: false`, not allowed"
        ),
    ),
    "a pattern that looks around": (
        schema("properties:", "  b:", "    pattern: '(?=a)b'"),
        (
            "9: operations.a.arguments.properties.b.pattern: expected a regular expression, one "
            "that does not look around or back"
        ),
    ),
    "a pattern that looks back": (
        schema("patternProperties:", "  '(a)\\1': {}"),
        (
            "8: operations.a.arguments.patternProperties.(a)\\1: expected a regular expression, "
            "one that does not look around or back"
        ),
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
}


@pytest.mark.parametrize(("text", "expected"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_that_cannot_be_checked_against_is_refused(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"


def test_all_faults_of_a_schema_are_told_at_once():
    lines = (
        "require: [a]",
        "properties:",
        "  b: {type: text, minLength: -1, pattern: '('}",
        "  c: {pattern: '(?=a)b', format: e-mail}",
        "  d: 5",
        "  e: {$ref: '#/$defs/f'}",
        "  g: {$ref: '#/properties/d', required: [1]}",
        "  h: {items: {$ref: '#/$defs/f'}}",
    )
    told = fault_of(operation(arguments="\n".join(lines)))
    at = "operations.a.arguments"
    places = [line.split(": ")[1] for line in told.splitlines()]
    assert places == [
        at,
        f"{at}.require",
        *(f"{at}.properties.b.{key}" for key in ("minLength", "pattern", "type")),
        *(f"{at}.properties.c.{key}" for key in ("format", "pattern")),
        f"{at}.properties.d",
        f"{at}.properties.e.$ref",
        f"{at}.properties.g.required.0",
        f"{at}.properties.h.items.$ref",
    ]


def test_all_secrets_that_cannot_be_found_are_told_at_once():
    text = schema("anyOf: [{writeOnly: true}]", "properties:", "  b: {items: {writeOnly: true}}")
    assert fault_of(text).count("not supported below") == 2


SECRETS = {
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
    "writeOnly that is no boolean": (
        schema("properties:", "  b:", "    writeOnly: 'yes'"),
        '9: operations.a.arguments.properties.b.writeOnly: "yes" is not of type "boolean"',
    ),
}


@pytest.mark.parametrize(("text", "expected"), SECRETS.values(), ids=SECRETS)
def test_a_secret_that_could_not_be_found_again_is_refused(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"


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


def test_a_property_named_as_a_boolean_is_warned_of_by_its_line():
    text = schema("properties:", "  b:", '    properties: {"false": {}}', '  "true": {}')
    with capture_logs() as logs:
        parse_operations(text, name="ops.yaml")
    named = "operations.a.arguments.properties"
    assert {entry["place"] for entry in logs} == {
        f"ops.yaml:9: {named}.b.properties.false",
        f"ops.yaml:10: {named}.true",
    }
    assert all(entry["log_level"] == "warning" for entry in logs)


@pytest.mark.parametrize(
    "line",
    [
        "x-own: {anything: 1}",
        "properties: {a: {format: int32, example: 1, externalDocs: {url: u}}}",
        "$schema: https://json-schema.org/draft/2020-12/schema",
        "properties: {require: {const: {require: 1}}, format: {enum: [{nullable: 1}]}}",
        "$defs: {require: {default: {format: e-mail}}}",
        "{additionalProperties: false, required: [ab], patternProperties: {a: {}}}",
    ],
)
def test_what_is_known_or_stands_where_values_and_names_do_is_no_fault(line: str):
    text = schema(line) if not line.startswith("{") else schema(*line[1:-1].split(", "))
    assert parse_operations(text, name="ops.yaml")
