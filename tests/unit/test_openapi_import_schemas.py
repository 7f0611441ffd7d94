"""What the schemas of an OpenAPI document become in an operations file."""

from typing import Any

import pytest

from asynctestkit.openapi_documents import document, only_operation, posting, remarks

PLACE = "#/paths/~1invoices/post/requestBody/content/application~1json/schema"


def body(schema: Any, *, version: str = "3.0.3", **more: Any) -> Any:
    return document(posting(schema), version=version, **more)


def property_of(schema: Any, **more: Any) -> Any:
    made = only_operation(body({"type": "object", "properties": {"it": schema}}, **more))
    return made["arguments"]["properties"]["it"]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "string", "nullable": True, "enum": ["a"]},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"enum": ["a"], "nullable": True}, {"enum": ["a", None]}),
        (
            {"oneOf": [{"type": "string"}], "nullable": True, "description": "It."},
            {"description": "It.", "anyOf": [{"oneOf": [{"type": "string"}]}, {"type": "null"}]},
        ),
        ({"nullable": True}, {}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            {"type": "integer", "exclusiveMinimum": 1},
        ),
        (
            {"type": "integer", "maximum": 9, "exclusiveMaximum": True},
            {"type": "integer", "exclusiveMaximum": 9},
        ),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": False},
            {"type": "integer", "minimum": 1},
        ),
        ({"type": "string", "example": "a"}, {"type": "string", "examples": ["a"]}),
        ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}),
        ({"type": "string", "format": "currency"}, {"type": "string", "x-format": "currency"}),
        ({"type": "integer", "minimum": 1.0}, {"type": "integer", "minimum": 1}),
        ({"type": "number", "maximum": 2**70}, {"type": "number", "maximum": float(2**70)}),
        (
            {"items": {"type": "string"}, "type": "array"},
            {"type": "array", "items": {"type": "string"}},
        ),
        ({"items": [{"type": "string"}]}, {"prefixItems": [{"type": "string"}]}),
        (
            {"title": "It", "xml": {"name": "it"}, "x-of-a-tool": 1, "type": "string"},
            {"type": "string"},
        ),
        (
            {"allOf": [{"type": "string"}], "description": "It."},
            {"type": "string", "description": "It."},
        ),
        ({"allOf": []}, {}),
        (
            {"type": "string", "description": " It. \nMore. "},
            {"type": "string", "description": "It.\nMore."},
        ),
    ],
)
def test_a_schema_of_openapi_3_0_is_one_of_2020_12(stated: Any, expected: Any):
    assert property_of(stated) == expected


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"exclusiveMinimum": 1}, {"exclusiveMinimum": 1}),
        ({"const": "a", "examples": ["a"]}, {"const": "a", "examples": ["a"]}),
        (
            {"prefixItems": [{"type": "string"}], "items": False},
            {"items": False, "prefixItems": [{"type": "string"}]},
        ),
        (True, True),
    ],
)
def test_a_schema_of_openapi_3_1_stays_as_it_is(stated: Any, expected: Any):
    assert property_of(stated, version="3.1.0") == expected


@pytest.mark.parametrize(
    ("stated", "keyword", "told"),
    [
        ({"type": "string", "pattern": "(?<=a)b"}, "pattern", "does not look around or back"),
        ({"type": "string", "minLength": "2"}, "minLength", "integer"),
        ({"type": "file"}, "type", "expected array, boolean"),
        ({"type": "string", "lenght": 3}, "lenght", "no keyword of JSON Schema 2020-12"),
        ({"type": "string", "required": True}, "required", "expected a list of properties"),
    ],
)
def test_what_cannot_be_checked_is_told_by_its_place_and_left_out(
    stated: Any, keyword: str, told: str
):
    value = body({"type": "object", "properties": {"it": stated}})
    (remark,) = remarks(value)
    assert remark.startswith(f"{PLACE}/properties/it/{keyword}: not checked: ")
    assert told in remark
    assert keyword not in property_of(stated)


def test_what_is_referred_to_stands_in_the_file_once_for_each_operation_also_where_it_recurs():
    tree = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"$ref": "#/components/schemas/Name"},
            "below": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
        },
    }
    schemas = {"Tree": tree, "Name": {"type": "string", "maxLength": 9}, "Unused": {}}
    value = body(
        {"type": "object", "properties": {"tree": {"$ref": "#/components/schemas/Tree"}}},
        schemas=schemas,
    )
    arguments = only_operation(value)["arguments"]
    assert arguments["properties"] == {"tree": {"$ref": "#/$defs/Tree"}}
    # What has nothing below it is written where it is used.
    assert arguments["$defs"] == {
        "Tree": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "maxLength": 9},
                "below": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
            },
        }
    }


def test_a_long_way_of_references_is_gone_to_its_end():
    schemas = {
        f"S{number}": {
            "type": "object",
            "properties": {"next": {"$ref": f"#/components/schemas/S{number + 1}"}},
        }
        for number in range(500)
    }
    value = body({"$ref": "#/components/schemas/S0"}, schemas={**schemas, "S500": {}})
    assert len(only_operation(value)["arguments"]["$defs"]) == 499


def test_a_reference_may_lead_to_any_place_in_the_document():
    part: Any = {"type": "object", "properties": {"a": {"type": "array", "items": {}}}}
    value = body(
        {
            "type": "object",
            "properties": {"it": {"$ref": "#/components/schemas/X/properties/part"}},
        },
        schemas={"X": {"type": "object", "properties": {"part": part}}},
    )
    arguments = only_operation(value)["arguments"]
    assert arguments["properties"] == {"it": {"$ref": "#/$defs/X.properties.part"}}
    assert arguments["$defs"] == {"X.properties.part": part}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.0.3", {"type": "string", "description": "It."}),
        ("3.1.0", {"type": "string", "description": "It.", "maxLength": 3}),
    ],
)
def test_what_stands_next_to_a_reference_counts_in_3_1(version: str, expected: Any):
    stated = {"$ref": "#/components/schemas/Name", "description": "It.", "maxLength": 3}
    assert property_of(stated, version=version, schemas={"Name": {"type": "string"}}) == expected


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("#/components/schemas/Missing", "leads nowhere"),
        ("common.yaml#/Name", "is in another document: bundle them into one first"),
    ],
)
def test_a_reference_that_cannot_be_followed_is_told_and_takes_anything(reference: str, told: str):
    stated = {"$ref": reference}
    assert property_of(stated) == {}
    assert remarks(body({"type": "object", "properties": {"it": stated}})) == [
        f"{PLACE}/properties/it/$ref: not checked: {reference} {told}"
    ]


def test_what_is_for_reading_alone_is_not_required_of_callers():
    schema = {
        "type": "object",
        "required": ["id", "name"],
        "properties": {"id": {"type": "string", "readOnly": True}, "name": {"type": "string"}},
    }
    assert only_operation(body(schema))["arguments"]["required"] == ["name"]


def test_what_is_required_and_not_allowed_is_told():
    schema = {"type": "object", "required": ["a"], "additionalProperties": False}
    value = body({"type": "object", "properties": {"it": schema}})
    (remark,) = remarks(value)
    assert remark.startswith(f"{PLACE}/properties/it/required: 'a' is required and not allowed")


def test_a_secret_is_sealed_where_a_file_may_have_one_and_told_elsewhere():
    secret = {"type": "string", "writeOnly": True}
    schema = {
        "type": "object",
        "properties": {
            "password": secret,
            "login": {"type": "object", "properties": {"pin": secret}},
            "keys": {"type": "array", "items": secret},
        },
    }
    made = only_operation(body(schema))["arguments"]["properties"]
    assert made["password"]["writeOnly"] is True
    assert made["login"]["properties"]["pin"]["writeOnly"] is True
    assert made["keys"]["items"] == {"type": "string"}
    (remark,) = remarks(body(schema))
    assert remark.startswith(f"{PLACE}/properties/keys/items/writeOnly: is not sealed")
