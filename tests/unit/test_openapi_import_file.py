"""The operations file made of an OpenAPI document, as a whole."""

from typing import Any

import pytest

from asyncapiproxy.openapi_import.importing import imported
from asyncapiproxy.openapi_import.names import operation_name, variable_name
from asyncapiproxy.openapi_import.remarks import DocumentError
from asyncapiproxy.openapi_import.written import written
from asynctasks.declarations.yaml_lines import parse_yaml
from asynctestkit.openapi_documents import (
    SOURCE,
    declared,
    document,
    getting,
    only_operation,
    posting,
    remarks,
)

TEXT = {"type": "string"}
FILE = """\
# Made of Billing 1 by `asyncapiproxy operations import`.
operations:
  create-invoice:
    summary: Send an invoice
    description: |-
      By post, or by email.

      Whichever is cheaper.
    route: POST /invoices/{customer}
    parameters:
      - {name: dry-run, in: query}
    arguments:
      type: object
      required: [customer, lines]
      properties:
        customer: {type: string}
        dry-run: {type: boolean}
        lines:
          type: array
          items:
            type: object
            required: [text]
            properties:
              text: {type: string, maxLength: 80}
              kind: {type: string, enum: ['1e3', 'on', '2026-01-01', plain]}
    response: {status: 201}
    upstream:
      method: POST
      url: https://billing.example.com/v1/invoices/{customer}{?dry%2Drun}

  get-invoices:
    route: GET /invoices
    upstream: {method: GET, url: 'https://billing.example.com/v1/invoices'}
"""


def test_it_reads_as_a_person_would_have_written_it():
    line = {
        "type": "object",
        "required": ["text"],
        "properties": {
            "text": {"maxLength": 80, "type": "string"},
            "kind": {"enum": ["1e3", "on", "2026-01-01", "plain"], "type": "string"},
        },
    }
    body = {
        "type": "object",
        "required": ["lines"],
        "properties": {"lines": {"type": "array", "items": line}},
    }
    create = posting(
        body,
        summary="Send an\ninvoice",
        description="By post, or by email. \n\nWhichever is cheaper.\n",
        tags=["invoices"],
        responses={"201": {"description": "It is sent."}},
        parameters=[
            {"name": "customer", "in": "path", "required": True, "schema": TEXT},
            {"name": "dry-run", "in": "query", "schema": {"type": "boolean"}},
        ],
    )["/invoices"]
    value = document({"/invoices/{customer}": create, "/invoices": {"get": {}}})
    assert imported(value, source=SOURCE).text == FILE


@pytest.mark.parametrize(
    "text",
    ["a: b", "- a", " a", "a\nb", "a \nb", "x" * 300, "a " * 100, "0o17", "~", "", "12:30", "ä\t#"],
)
def test_any_text_is_read_as_it_was_written(text: str):
    made = written({"a": {"it": text, "list": [text], text or "b": 1}}, title="It")
    assert parse_yaml(made)[0] == {
        "operations": {"a": {"it": text, "list": [text], text or "b": 1}}
    }


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("createInvoice", "create-invoice"),
        ("repos/list-for-org", "repos-list-for-org"),
        ("GET /users/{id}", "get-users-id"),
        ("PostV1ChargesHTTP", "post-v1-charges-http"),
        ("2fa", "call-2-fa"),
        ("ä", "call"),
        ("x" * 80, "x" * 63),
    ],
)
def test_a_name_is_made_of_the_documents(told: str, expected: str):
    assert operation_name(told, taken=()) == expected


def test_a_name_that_is_taken_gets_a_number():
    long = "x" * 63
    assert operation_name("getIt", taken={"get-it", "get-it-2"}) == "get-it-3"
    assert operation_name(long, taken={long}) == "x" * 61 + "-2"


@pytest.mark.parametrize(
    ("told", "expected"), [("apiKey", "API_KEY"), ("OAuth2", "OAUTH2"), ("2", "UPSTREAM_2")]
)
def test_a_variable_is_named_after_the_scheme(told: str, expected: str):
    assert variable_name(told) == expected


PATHS = {
    "/invoices": {"get": {"operationId": "listInvoices"}, "post": {}},
    "/invoices/{id}": {
        "get": {"parameters": [{"name": "id", "in": "path", "schema": TEXT, "required": True}]}
    },
}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ((), ["list-invoices", "post-invoices", "get-invoices-id"]),
        (("listInvoices",), ["list-invoices"]),
        (("POST /invoices", "list-invoices"), ["list-invoices", "post-invoices"]),
    ],
)
def test_some_operations_may_be_chosen(wanted: tuple[str, ...], names: list[str]):
    assert list(declared(imported(document(PATHS), source=SOURCE, wanted=wanted))) == names


def test_of_others_than_the_chosen_nothing_is_told():
    value = document(
        {**PATHS, "/a": {"trace": {}}, "/b": {"$ref": "b.yaml"}, "/tasks": {"get": {}}}
    )
    assert len(remarks(value)) == 3
    assert remarks(value, wanted=["listInvoices"]) == []


def test_what_fastapi_adds_to_a_name_is_left_out_of_ours():
    value = document(
        {"/quotes/{id}/pdf": {"post": {"operationId": "make_pdf_quotes__id__pdf_post"}}}
    )
    value["paths"]["/quotes/{id}/pdf"]["parameters"] = [
        {"name": "id", "in": "path", "schema": TEXT, "required": True}
    ]
    assert list(declared(imported(value, source=SOURCE))) == ["make-pdf"]


def test_one_that_is_not_there_is_told_with_what_was_meant():
    with pytest.raises(DocumentError, match=r"--operation listInvoice: .*mean listInvoices\?"):
        imported(document(PATHS), source=SOURCE, wanted=["listInvoice"])


@pytest.mark.parametrize(
    ("servers", "source", "upstream", "url"),
    [
        ([{"url": "https://a.example/v1/"}], SOURCE, None, "https://a.example/v1"),
        (
            [{"url": "https://{zone}.example", "variables": {"zone": {"default": "eu"}}}],
            SOURCE,
            None,
            "https://eu.example",
        ),
        ([{"url": "/v1"}], "http://localhost:9000/openapi.json", None, "http://localhost:9000/v1"),
        (None, "http://localhost:9000/openapi.json", None, "http://localhost:9000"),
        ([{"url": "https://a.example"}], SOURCE, "{BILLING_URL}", "{BILLING_URL}"),
    ],
)
def test_the_upstream_is_the_documents_server_or_what_is_said_in_its_place(
    servers: Any, source: str, upstream: str | None, url: str
):
    value = document(getting())
    value["servers"] = servers
    made = imported(value, source=source, upstream=upstream)
    (operation,) = declared(made).values()
    assert operation["upstream"]["url"] == f"{url}/invoices"


@pytest.mark.parametrize("servers", [None, [], [{"url": "/v1"}], [{"url": "{scheme}://x"}]])
def test_a_server_that_is_no_whole_url_is_told(servers: Any):
    value = document(getting())
    value["servers"] = servers
    with pytest.raises(DocumentError, match=r"no whole URL: say by `--upstream`"):
        imported(value, source=SOURCE)


def test_a_call_may_have_a_server_of_its_own():
    value = document(getting(servers=[{"url": "https://b.example"}]))
    assert only_operation(value)["upstream"]["url"] == "https://b.example/invoices"


SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "inQuery": {"type": "apiKey", "in": "query", "name": "key"},
    "login": {"type": "oauth2", "flows": {}},
    "mutual": {"type": "mutualTLS"},
}


SHOWN: list[tuple[Any, dict[str, Any]]] = [
    ([{"bearer": []}], {"headers": {"Authorization": "Bearer {BEARER}"}}),
    ([{"basic": []}], {"headers": {"Authorization": "Basic {BASIC}"}}),
    ([{"login": ["read"]}], {"headers": {"Authorization": "Bearer {LOGIN}"}}),
    ([{"mutual": []}, {"apiKey": []}], {"headers": {"X-Key": "{API_KEY}"}}),
    ([{"inQuery": []}], {"url": "https://billing.example.com/v1/invoices?key={IN_QUERY}{&a}"}),
    ([{"bearer": []}, {}], {}),
    ([], {}),
]


@pytest.mark.parametrize(("security", "upstream"), SHOWN)
def test_a_secret_is_shown_by_a_variable_of_the_executors(security: Any, upstream: dict[str, Any]):
    paths = getting({"name": "a", "in": "query", "schema": TEXT}, security=security)
    value = document(paths, securitySchemes=SCHEMES, security=[{"basic": []}])
    expected = {"method": "GET", "url": "https://billing.example.com/v1/invoices{?a}"}
    assert only_operation(value)["upstream"] == expected | upstream


@pytest.mark.parametrize(
    ("scheme", "stated"),
    [
        ("apiKey", {"name": "x-key", "in": "header", "required": True, "schema": TEXT}),
        ("inQuery", {"name": "key", "in": "query", "schema": TEXT}),
    ],
)
def test_a_parameter_by_which_a_secret_is_shown_is_none_of_callers(scheme: str, stated: Any):
    value = document(getting(stated), securitySchemes=SCHEMES, security=[{scheme: []}])
    assert "parameters" not in only_operation(value)
    place = "#/paths/~1invoices/get/parameters/0"
    assert f"{place}: left out: calls show a secret by it" in remarks(value)


def test_a_secret_that_no_header_can_show_is_told():
    value = document(getting(), securitySchemes=SCHEMES, security=[{"mutual": []}])
    (remark,) = remarks(value)
    assert remark.startswith("#/components/securitySchemes/mutual: left out: calls cannot show it")


def test_a_path_at_which_the_proxy_takes_many_calls_is_told():
    value = document({**getting(path="/a:batch"), "/invoices": {"get": {}}})
    (remark,) = remarks(value)
    assert remark.startswith("#/paths/~1a:batch/get: left out: paths that end in :batch are taken")


def test_a_path_that_is_the_proxys_own_is_told_and_may_be_served_below_another():
    value = document({**getting(path="/tasks"), "/invoices": {"get": {}}})
    (remark,) = remarks(value)
    assert remark.startswith("#/paths/~1tasks/get: left out: /tasks is taken by the proxy itself: ")
    made = declared(imported(value, source=SOURCE, prefix="/billing"))
    assert [each["route"] for each in made.values()] == [
        "GET /billing/tasks",
        "GET /billing/invoices",
    ]


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ({"/a.{kind}": {"get": {}}}, "#/paths/~1a.{kind}/get: left out: route: a path is made of"),
        ({"/a": {"trace": {}}}, "#/paths/~1a/trace: left out: the proxy serves GET, HEAD, POST"),
        (
            {"/a/{x}": {"get": {"parameters": [{"$ref": "#/nowhere"}]}}},
            "#/paths/~1a~1{x}/get: left out: #/paths/~1a~1{x}/get/parameters/0: #/nowhere leads",
        ),
        (
            {"/a/{x}": {"get": {}}},
            "#/paths/~1a~1{x}/get: left out: 'x' stands in the route but is no property",
        ),
        (
            {"/a": {"$ref": "paths/a.yaml"}},
            "#/paths/~1a: left out: paths/a.yaml is in another document: bundle them into one",
        ),
        (
            {"/a": {"get": {"responses": {"200": {"$ref": "#/nowhere"}}}}},
            "#/paths/~1a/get/responses/200: left out: #/nowhere leads nowhere",
        ),
        (
            {"/a": {"get": {"callbacks": {}}}},
            "#/paths/~1a/get/callbacks: left out: the upstream calls its caller's address itself",
        ),
    ],
)
def test_what_no_file_can_say_is_told_by_its_place(paths: dict[str, Any], told: str):
    found = remarks(document({"/invoices": {"get": {}}, **paths}))
    assert [remark for remark in found if remark.startswith(told)] == found != []


def test_two_calls_that_one_route_would_serve_are_told():
    of_path = {"in": "path", "required": True, "schema": TEXT}
    paths = getting({"name": "a", **of_path}, path="/invoices/{a}") | getting(
        {"name": "b", **of_path}, path="/invoices/{b}"
    )
    made = imported(document(paths), source=SOURCE)
    assert (list(declared(made)), made.left_out) == (["get-invoice"], 1)
    assert list(map(str, made.remarks)) == [
        "#/paths/~1invoices~1{b}/get: left out: get-invoice has this route already"
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "expected an OpenAPI document, which is keys and values"),
        ({"swagger": "2.0"}, "is of Swagger 2.0; expected OpenAPI 3.0 or 3.1"),
        ({"openapi": "4.0.0"}, "expected `openapi: 3.0…` or `3.1…`; it says 4.0.0"),
        ({"info": {}}, "it has no such key"),
        ({"openapi": "3.1.0"}, "none of its calls can be an operation"),
    ],
)
def test_what_is_no_such_document_is_refused(value: Any, told: str):
    with pytest.raises(DocumentError, match=f"^{SOURCE}: ") as raised:
        imported(value, source=SOURCE)
    assert told in str(raised.value)


def test_what_a_caller_sends_never_stands_for_a_secret():
    schema = {"type": "object", "properties": {"BEARER": TEXT}}
    value = document(
        {**posting(schema), "/a": {"get": {}}},
        securitySchemes=SCHEMES,
        security=[{"bearer": []}],
    )
    made = imported(value, source=SOURCE)
    assert list(declared(made)) == ["get-a"]
    assert any("property 'BEARER', which is a variable's name" in str(it) for it in made.remarks)
    in_query = getting({"name": "BEARER", "in": "query", "schema": TEXT}, security=[{"bearer": []}])
    operation = only_operation(document(in_query, securitySchemes=SCHEMES))
    assert operation["parameters"][0]["argument"] == "BEARER_in_query"


@pytest.mark.parametrize("given", [{"upstream": "ftp://x"}, {"prefix": "billing"}])
def test_an_option_that_cannot_be_used_is_told(given: dict[str, str]):
    with pytest.raises(DocumentError, match=r"^--(upstream|prefix) "):
        imported(document(getting()), source=SOURCE, **given)
