"""What the bodies and answers of an OpenAPI document become in an operations file."""

from typing import Any

import pytest

from asyncapiproxy.openapi_import.importing import imported
from asyncapiproxy.openapi_import.remarks import DocumentError
from asynctestkit.openapi_documents import (
    SOURCE,
    document,
    getting,
    only_operation,
    posting,
    remarks,
)

TEXT = {"type": "string"}
CONTENT = "#/paths/~1invoices/post/requestBody/content"


def test_the_properties_of_a_json_object_are_arguments():
    schema = {
        "type": "object",
        "required": ["customer"],
        "additionalProperties": False,
        "properties": {"customer": TEXT},
    }
    operation = only_operation(document(posting(schema)))
    assert operation["arguments"] == schema
    assert "body" not in operation


def test_those_of_an_all_of_are_put_together():
    schemas = {
        "Base": {"type": "object", "required": ["id"], "properties": {"id": TEXT, "kind": TEXT}},
        "Invoice": {
            "allOf": [
                {"$ref": "#/components/schemas/Base"},
                {"type": "object", "properties": {"kind": {"enum": ["invoice"]}}},
            ],
            "required": ["kind"],
        },
    }
    value = document(posting({"$ref": "#/components/schemas/Invoice"}), schemas=schemas)
    assert only_operation(value)["arguments"] == {
        "type": "object",
        "required": ["kind", "id"],
        "properties": {"id": TEXT, "kind": {"allOf": [TEXT, {"enum": ["invoice"]}]}},
    }


def test_an_object_that_is_one_of_several_stays_so():
    forms = [{"type": "object", "properties": {"a": TEXT}}, {"type": "object", "required": ["b"]}]
    assert only_operation(document(posting({"oneOf": forms})))["arguments"] == {
        "type": "object",
        "oneOf": forms,
    }


def test_an_object_may_have_any_members():
    assert only_operation(document(posting({"type": "object", "additionalProperties": TEXT})))[
        "arguments"
    ] == {"type": "object", "additionalProperties": TEXT}


@pytest.mark.parametrize("schema", [{"type": "array", "items": TEXT}, TEXT, {}])
def test_json_that_is_no_object_is_sent_on_as_it_comes_and_told(schema: Any):
    value = document(posting(schema))
    operation = only_operation(value)
    assert operation["body"] == {"contentTypes": ["application/json"]}
    assert "arguments" not in operation
    (remark,) = remarks(value)
    assert remark.startswith(f"{CONTENT}/application~1json/schema: not checked, and sent on")


def test_an_object_that_would_refuse_what_stands_in_the_path_is_sent_on_as_it_comes():
    form = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}
    parameters = [{"name": "id", "in": "query", "schema": TEXT}]
    closed = document(posting({"oneOf": [form]}, parameters=parameters))
    assert only_operation(closed)["body"] == {"contentTypes": ["application/json"]}
    alone = document(posting({"oneOf": [form]}))
    assert "body" not in only_operation(alone)


def test_another_kind_of_json_keeps_its_type():
    schema = {"type": "object", "properties": {"a": TEXT}}
    operation = only_operation(
        document(posting(schema, media_type="application/merge-patch+json; charset=utf-8"))
    )
    assert operation["upstream"]["headers"] == {"Content-Type": "application/merge-patch+json"}


def test_forms_and_files_are_taken_as_they_come():
    paths = posting({"type": "object"}, media_type="multipart/form-data")
    content = paths["/invoices"]["post"]["requestBody"]["content"]
    content["application/octet-stream"] = {}
    assert only_operation(document(paths))["body"] == {
        "contentTypes": ["multipart/form-data", "application/octet-stream"]
    }


def test_what_is_no_json_is_told_where_json_is_taken():
    paths = posting({"type": "object", "properties": {"a": TEXT}})
    paths["/invoices"]["post"]["requestBody"]["content"]["application/xml"] = {}
    assert remarks(document(paths)) == [
        f"{CONTENT}/application~1xml: left out: callers send application/json"
    ]


def test_a_call_without_a_body_takes_none():
    paths = {"/invoices": {"post": {"operationId": "createInvoice"}}}
    operation = only_operation(document(paths))
    assert operation["arguments"] == {"type": "object", "additionalProperties": False}


def test_the_body_of_a_get_is_told_and_where_it_is_required_so_is_the_call():
    content = {"application/json": {"schema": {"type": "object", "properties": {"a": TEXT}}}}
    value = document(getting(requestBody={"content": content}))
    place = "#/paths/~1invoices/get"
    assert remarks(value) == [f"{place}/requestBody: left out: a GET carries no body"]
    with pytest.raises(DocumentError, match="a GET carries no body"):
        imported(
            document(getting(requestBody={"content": content, "required": True})), source=SOURCE
        )
    empty: Any = {
        "application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": {}}}
    }
    assert remarks(document(getting(requestBody={"content": empty}))) == []


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        (
            {"201": {"content": {"application/json": {"schema": TEXT}}}, "400": {}},
            {"status": 201, "schema": TEXT},
        ),
        ({"204": {}}, {"status": 204}),
        ({"2XX": {"content": {"text/csv": {"schema": TEXT}}}}, {"contentType": "text/csv"}),
        (
            {"200": {"content": {"application/hal+json": {"schema": TEXT}}}},
            {"status": 200, "contentType": "application/hal+json", "schema": TEXT},
        ),
        ({"200": {"content": {"*/*": {}}}}, {"status": 200}),
        ({"default": {}}, None),
    ],
)
def test_the_answer_is_that_of_the_lowest_status_of_success(responses: Any, expected: Any):
    assert only_operation(document(getting(responses=responses))).get("response") == expected


def test_an_answer_that_is_a_reference_is_what_it_leads_to_unless_that_recurs():
    leaf = {"type": "object", "properties": {"tags": {"type": "array", "items": TEXT}}}
    tree = {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}
    for name, expected in (
        ("Leaf", leaf),
        (
            "Tree",
            {
                "$ref": "#/$defs/Tree",
                "$defs": {"Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
            },
        ),
    ):
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        value = document(
            getting(responses={"200": {"content": content}}), schemas={"Leaf": leaf, "Tree": tree}
        )
        assert only_operation(value)["response"] == {"status": 200, "schema": expected}


def test_an_answer_of_more_than_anybody_reads_is_told():
    properties = {f"p{number}": TEXT for number in range(300)}
    content = {"application/json": {"schema": {"type": "object", "properties": properties}}}
    value = document(getting(responses={"200": {"content": content}}))
    response = only_operation(value)["response"]
    assert response == {"status": 200, "contentType": "application/json"}
    (remark,) = remarks(value)
    assert remark.startswith(
        "#/paths/~1invoices/get/responses/200/content/application~1json/schema: left out: "
    )


def test_an_upstream_that_only_begins_is_told_of():
    (remark,) = remarks(document(getting(responses={"202": {}})))
    assert remark == (
        "#/paths/~1invoices/get/responses/202: where it only says that the work has begun, add "
        "`upstream.poll`"
    )
