"""What a person types becomes the arguments and the request that the operation declares."""

import json
from typing import Any

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from pydantic import ValidationError

from asyncapiproxy.client.declared_operation import (
    DeclaredOperation,
    Request,
    declared_operations,
)
from asyncapiproxy.client.errors import ArgumentUnknownError, PathArgumentMissingError
from asyncapiproxy.client.written_parameters import DeclaredParameter
from asyncapiproxy.task.typed_arguments import (
    ArgumentTextError,
    arguments_from_json,
    arguments_from_text,
)
from asynctasks.errors import SchemaInvalidError
from asynctasks.operations.call_parameters import CallParameters
from asynctasks.operations.parameter import STYLES, Parameter, Place, Style
from asynctestkit.heads import head

BETWEEN = {"spaceDelimited": " ", "pipeDelimited": "|"}
SCHEMAS: dict[str, Any] = {
    "text": {"type": "string"},
    "count": {"type": "integer"},
    "price": {"type": "number"},
    "loud": {"type": "boolean"},
    "maybe": {"type": ["integer", "null"]},
    "either": {"type": ["integer", "string"]},
    "tags": {"type": "array"},
    "open": {},
    "anything": True,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text=7", "7"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("text=a:=b", "a:=b"),
        ("count=7", 7),
        ("count=7.5", "7.5"),
        ("count=seven", "seven"),
        ("count=true", "true"),
        ("price=7", 7),
        ("price=7.5", 7.5),
        ("loud=true", True),
        ("loud=1", "1"),
        ("maybe=null", None),
        ("maybe=3", 3),
        ("either=3", "3"),
        ("open=3", "3"),
        ("anything=3", "3"),
        ("unknown=3", "3"),
        ("unknown:=3", 3),
        ('tags:=["a", 1]', ["a", 1]),
        ("text:=null", None),
    ],
)
def test_a_value_has_the_type_its_schema_gives_it(text: str, value: Any):
    (found,) = arguments_from_text([text], SCHEMAS).values()
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["count=1", "hunter2"], "argument 2: expected name=value"),
        (["=hunter2"], "argument 1: expected name=value"),
        ([":=hunter2"], "argument 1: expected name=value"),
        (["text=hunter2", "text=hunter2"], "text is given twice"),
        (["text:=hunter2"], "text: no JSON at line 1"),
        (["tags=hunter2"], "tags is an array: give it as JSON, tags:=…"),
    ],
)
def test_what_cannot_be_read_is_told_without_the_value(texts: list[str], said: str):
    with pytest.raises(ArgumentTextError, match=said) as raised:
        arguments_from_text(texts, SCHEMAS)
    assert "hunter2" not in str(raised.value)


def test_arguments_from_a_file_are_one_object():
    assert arguments_from_json('{"a": [1]}') == {"a": [1]}
    with pytest.raises(ArgumentTextError, match="expected one JSON object"):
        arguments_from_json("[1]")
    with pytest.raises(ArgumentTextError, match="no JSON at line 1, column 2"):
        arguments_from_json("{")


RENAME = {
    "tags": ["operations"],
    "operationId": "rename-client",
    "summary": "Rename",
    "parameters": [
        {"name": "clientId", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "Prefer", "in": "header", "schema": {"type": "string"}},
    ],
    "requestBody": {
        "content": {"application/json": {"schema": {"properties": {"name": {"type": "string"}}}}}
    },
}


def declared() -> dict[str, DeclaredOperation]:
    other = {"tags": ["tasks"], "operationId": "get_task"}
    return declared_operations({"paths": {"/clients/{clientId}": {"put": RENAME, "get": other}}})


def test_only_operations_are_declared_with_the_schemas_of_body_and_path():
    assert list(declared()) == ["rename-client"]
    operation = declared()["rename-client"]
    assert (operation.method, operation.path) == ("PUT", "/clients/{clientId}")
    assert operation.schemas == {"name": {"type": "string"}, "clientId": {"type": "integer"}}


def test_path_arguments_go_into_the_path_escaped_and_not_into_the_body():
    operation = declared()["rename-client"]
    assert operation.request({"clientId": 7, "name": "Ann"}) == Request(
        "/clients/7", [], {"name": "Ann"}
    )
    assert operation.request({"clientId": "a/b c"}).url == "/clients/a%2Fb%20c"
    assert operation.request({"clientId": True}).url == "/clients/true"


def test_a_missing_path_argument_is_named():
    with pytest.raises(PathArgumentMissingError, match="give clientId="):
        declared()["rename-client"].request({"name": "Ann"})


def report() -> DeclaredOperation:
    parameters = [
        {"name": "year", "in": "path"},
        {"name": "page", "in": "query", "explode": False, "x-argument": "pages"},
        {"name": "q", "in": "query"},
        {"name": "X-Language", "in": "header", "x-argument": "language"},
        {"name": "Prefer", "in": "header"},
        {"name": "session", "in": "cookie"},
        {"name": "theme", "in": "cookie"},
    ]
    get = {"tags": ["operations"], "operationId": "report", "parameters": parameters}
    return declared_operations({"paths": {"/reports/{year}": {"get": get}}})["report"]


def test_arguments_go_where_the_document_says():
    given = {"year": 1, "pages": [1, 2], "q": "a&b", "language": "é", "session": "s 1"}
    assert report().request({**given, "theme": "dark"}) == Request(
        "/reports/1?page=1,2&q=a%26b",
        [("X-Language", "é".encode()), ("Cookie", b"session=s%201; theme=dark")],
        None,
    )
    assert report().request({"year": 1}) == Request("/reports/1", [], None)


def test_an_argument_that_no_parameter_gives_is_told_where_there_is_no_body():
    with pytest.raises(ArgumentUnknownError, match=r"has no argument Prefer\. It has: language, "):
        report().request({"year": 1, "Prefer": "wait=1"})


TEXTS = st.text(st.sampled_from("a1é ,;=&+%/|?#'"), min_size=1)
KINDS: dict[type, Any] = {
    str: {"type": "string"},
    list: {"type": "array"},
    dict: {"type": "object", "additionalProperties": {"type": "string"}},
}


def texts_in(value: str | list[str] | dict[str, str]) -> list[str]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return [value] if isinstance(value, str) else value


@given(
    where=st.sampled_from([(place, style) for place in STYLES for style in STYLES[place]]),
    explode=st.booleans(),
    value=st.one_of(TEXTS, st.lists(TEXTS, min_size=1), st.dictionaries(TEXTS, TEXTS, min_size=1)),
)
def test_what_is_written_is_read_again(where: tuple[Place, Style], explode: bool, value: Any):
    place, style = where
    # A header is not encoded, so its values hold no signs of the style's own, nor blanks.
    assume(place != "header" or all(one.isalnum() for one in texts_in(value)))
    assume(style not in BETWEEN or BETWEEN[style] not in json.dumps(value, separators=(",", ":")))
    schema = KINDS[type(value)]
    if schema["type"] == "object":
        schema = {**schema, "properties": dict.fromkeys(value, True)}
    declared = {"name": "a", "in": place, "style": style, "explode": explode}
    try:
        parameter = Parameter.model_validate(declared)
        read = CallParameters(
            [parameter],
            variables=["a"] if place == "path" else [],
            arguments={"properties": {"a": schema}},
        )
    except (ValidationError, SchemaInvalidError):
        reject()
    texts = DeclaredParameter("a", place, "a", style, explode, schema).written(value)
    written = {"query": "&", "cookie": "; "}.get(place, "").join(texts)
    lines = {"a" if place == "header" else "cookie": [written]}
    variables = {"a": written} if place == "path" else {}
    found = read.read(head(written if place == "query" else "", headers=lines, **variables))
    assert found == {"a": value}


def test_schemas_are_found_where_the_document_refers_to():
    found = declared_operations(
        {
            "paths": {
                "/trees/{kind}": {
                    "post": {
                        "tags": ["operations"],
                        "operationId": "plant",
                        "parameters": [
                            {"name": "kind", "in": "path", "schema": {"$ref": "#/x/a~1b"}}
                        ],
                        "requestBody": {
                            "content": {"application/json": {"schema": {"$ref": "#/x/body"}}}
                        },
                    }
                }
            },
            "x": {
                "a/b": {"type": "integer"},
                "body": {
                    "type": "object",
                    "properties": {"n": {"$ref": "#/x/n"}, "round": {"$ref": "#/x/round"}},
                },
                "n": {"type": "number"},
                "round": {"$ref": "#/x/round"},
            },
        }
    )["plant"]
    assert found.schemas == {
        "kind": {"type": "integer"},
        "n": {"type": "number"},
        "round": {"$ref": "#/x/round"},
    }
