"""What the parameters of an OpenAPI document become in an operations file."""

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
TEXTS = {"type": "array", "items": TEXT}
PLACE = "#/paths/~1invoices/get/parameters/0"


def parameter(name: str, place: str, schema: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "schema": schema or TEXT, **more}


def made(*parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return only_operation(document(getting(*parameters, **more)))


@pytest.mark.parametrize(
    ("stated", "entry", "url"),
    [
        (parameter("year", "query"), {"name": "year", "in": "query"}, "{?year}"),
        (
            parameter("page[limit]", "query"),
            {"name": "page[limit]", "in": "query"},
            "{?page%5Blimit%5D}",
        ),
        (
            parameter("api-version", "query"),
            {"name": "api-version", "in": "query"},
            "{?api%2Dversion}",
        ),
        (parameter("ids", "query", TEXTS), {"name": "ids", "in": "query"}, "{?ids*}"),
        (
            parameter("ids", "query", TEXTS, style="form", explode=False),
            {"name": "ids", "in": "query", "explode": False},
            "{?ids}",
        ),
        (
            parameter("q", "query", allowReserved=True),
            {"name": "q", "in": "query", "allowReserved": True},
            "{?q}",
        ),
        (
            parameter("tenant", "query"),
            {"name": "tenant", "in": "query", "argument": "tenant_in_query"},
            "{?tenant_in_query}",
        ),
    ],
)
def test_a_parameter_of_the_query_is_listed_and_stands_in_the_upstreams_url(
    stated: Any, entry: dict[str, Any], url: str
):
    operation = made(stated)
    assert operation["parameters"] == [entry]
    assert operation["upstream"]["url"] == f"https://billing.example.com/v1/invoices{url}"
    assert list(operation["arguments"]["properties"]) == [entry.get("argument", entry["name"])]


@pytest.mark.parametrize(
    ("path", "stated", "listed", "route", "url"),
    [
        ("/invoices/{id}", parameter("id", "path"), None, "/invoices/{id}", "/invoices/{id}"),
        (
            "/invoices/{invoice-id}",
            parameter("invoice-id", "path"),
            None,
            "/invoices/{invoice_id}",
            "/invoices/{invoice_id}",
        ),
        (
            "/invoices/{ids}",
            parameter("ids", "path", TEXTS, style="matrix", explode=True),
            {"name": "ids", "in": "path", "style": "matrix", "explode": True},
            "/invoices/{ids}",
            "/invoices/{;ids*}",
        ),
        (
            "/invoices:pay/@me/{id}",
            parameter("id", "path", style="label"),
            {"name": "id", "in": "path", "style": "label"},
            "/invoices:pay/@me/{id}",
            "/invoices:pay/@me/{.id}",
        ),
    ],
)
def test_a_parameter_of_the_path_is_a_variable_of_the_route(
    path: str, stated: Any, listed: Any, route: str, url: str
):
    operation = made(stated, path=path)
    assert operation["route"] == f"GET {route}"
    assert operation.get("parameters") == ([listed] if listed else None)
    assert operation["upstream"]["url"] == f"https://billing.example.com/v1{url}"
    assert operation["arguments"]["required"] == list(operation["arguments"]["properties"])


def test_headers_and_cookies_are_sent_by_templates_of_their_own():
    operation = made(parameter("If-Match", "header"), parameter("session", "cookie", required=True))
    assert operation["parameters"] == [
        {"name": "If-Match", "in": "header", "argument": "if_match"},
        {"name": "session", "in": "cookie"},
    ]
    assert operation["upstream"]["headers"] == {
        "If-Match": "{if_match}",
        "Cookie": "session={session}",
    }
    assert operation["arguments"]["required"] == ["session"]


def test_of_several_cookies_those_that_may_be_missing_are_told_and_left_out():
    value = document(getting(parameter("a", "cookie"), parameter("b", "cookie", required=True)))
    assert only_operation(value)["upstream"]["headers"] == {"Cookie": "b={b}"}
    (remark,) = remarks(value)
    assert remark.startswith(f"{PLACE}: left out: of several cookies")


def test_texts_of_the_parameter_are_those_of_its_argument():
    stated = parameter("year", "query", description="Of it.", deprecated=True, example=2026)
    assert made(stated)["arguments"]["properties"]["year"] == {
        "type": "string",
        "description": "Of it.",
        "deprecated": True,
        "examples": [2026],
    }


def test_a_deep_object_is_one_parameter_for_each_member_and_one_for_what_else_is_taken():
    members = {"gte": {"type": "integer"}, "lt": {"type": "integer"}}
    schema = {"anyOf": [{"type": "object", "properties": members}, {"type": "integer"}]}
    operation = made(parameter("created", "query", schema, style="deepObject", explode=True))
    names = ["created[gte]", "created[lt]", "created"]
    assert [one["name"] for one in operation["parameters"]] == names
    assert list(operation["arguments"]["properties"]) == names
    assert operation["upstream"]["url"].endswith("{?created%5Bgte%5D,created%5Blt%5D,created}")


def test_a_list_in_deep_object_is_written_as_several_values_of_one_name():
    operation = made(parameter("expand", "query", TEXTS, style="deepObject", explode=True))
    assert operation["parameters"] == [{"name": "expand[]", "in": "query"}]
    assert operation["upstream"]["url"].endswith("{?expand%5B%5D*}")


def test_those_of_the_path_count_for_each_of_its_calls_unless_a_call_has_its_own():
    paths = getting(parameter("year", "query", {"type": "integer"}))
    paths["/invoices"]["parameters"] = [parameter("year", "query"), parameter("page", "query")]
    operation = only_operation(document(paths))
    assert operation["arguments"]["properties"] == {"year": {"type": "integer"}, "page": TEXT}


def test_a_reference_is_followed():
    paths = getting({"$ref": "#/components/parameters/Year"})
    value = document(paths, parameters={"Year": parameter("year", "query")})
    assert only_operation(value)["parameters"] == [{"name": "year", "in": "query"}]


def test_what_the_body_has_under_the_same_name_stays_the_bodys():
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
    paths = {"/invoices/{id}": posting(schema)["/invoices"]}
    paths["/invoices/{id}"]["parameters"] = [parameter("id", "path", required=True)]
    operation = only_operation(document(paths))
    assert operation["parameters"] == [{"name": "id", "in": "path", "argument": "id_in_path"}]
    assert operation["arguments"]["properties"] == {"id_in_path": TEXT, "id": {"type": "integer"}}
    assert operation["upstream"]["url"].endswith("/invoices/{id_in_path}")


UNWRITABLE: list[tuple[dict[str, Any], str]] = [
    (parameter("ids", "query", TEXTS, style="pipeDelimited", explode=False), "the style pipe"),
    (parameter("Authorization", "header"), "OpenAPI passes over a parameter of this name"),
    (parameter("Idempotency-Key", "header"), "it tells the proxy how to run the task"),
    (parameter("X-Ids", "header", TEXTS), "stands a single value"),
    (
        {"name": "filter", "in": "query", "content": {"application/json": {}}},
        "its value is a document of its own",
    ),
    (parameter("it", "query", {"type": "array", "items": {"type": "object"}}), "is given as text"),
    (parameter("it", "nowhere"), "expected 'path', 'query', 'header' or 'cookie'"),
]


@pytest.mark.parametrize(("stated", "told"), UNWRITABLE)
def test_one_that_no_file_can_say_is_told_and_left_out(stated: Any, told: str):
    value = document(getting(stated))
    assert "parameters" not in only_operation(value)
    (remark,) = remarks(value)
    assert remark.startswith(f"{PLACE}: left out: ")
    assert told in remark


@pytest.mark.parametrize(("stated", "told"), UNWRITABLE)
def test_where_it_is_required_the_operation_is_left_out(stated: Any, told: str):
    with pytest.raises(DocumentError, match=r"none of its calls can be an operation") as raised:
        imported(document(getting({**stated, "required": True})), source=SOURCE)
    assert f"\n#/paths/~1invoices/get: left out: {PLACE}: " in str(raised.value)
    assert told in str(raised.value)


def test_a_deep_object_without_members_is_told():
    value = document(getting(parameter("filter", "query", {"type": "object"}, style="deepObject")))
    (remark,) = remarks(value)
    assert remark.startswith(f"{PLACE}/schema: left out: deepObject writes a list, or an object by")
