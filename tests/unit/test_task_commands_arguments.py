"""What a person types becomes the arguments and the request that the operation declares."""

from typing import Any

import pytest

from asyncapiproxy.task.declared_operation import (
    DeclaredOperation,
    PathArgumentMissingError,
    declared_operations,
)
from asyncapiproxy.task.typed_arguments import (
    ArgumentTextError,
    arguments_from_json,
    arguments_from_text,
)

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
    assert operation.request({"clientId": 7, "name": "Ann"}) == ("/clients/7", {"name": "Ann"})
    assert operation.request({"clientId": "a/b c"}) == ("/clients/a%2Fb%20c", {})
    assert operation.request({"clientId": True}) == ("/clients/true", {})


def test_a_missing_path_argument_is_named():
    with pytest.raises(PathArgumentMissingError, match="give clientId="):
        declared()["rename-client"].request({"name": "Ann"})
