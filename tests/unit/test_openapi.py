"""The OpenAPI document, as readers and generators of clients need it."""

from pathlib import Path
from typing import Any

import pytest

from asyncproxy.app import create_app
from asyncproxy.caller_routes import CallerEndpoints
from asyncproxy.forwarded import PublicAddress
from asynctasks.json_values import as_array, as_object
from asynctasks.operations.operation import Operation
from asynctasks.operations.operations_file import parse_operations

COMPONENTS = "#/components/schemas/"
TREE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "number": {"$ref": "#/$defs/number"},
        "tree": {"$ref": "#/$defs/tree"},
        "again": {"$ref": "#/properties/number"},
    },
    "$defs": {
        "number": {"type": "integer"},
        "tree": {
            "type": "object",
            "properties": {"left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}},
        },
    },
}


def document(*operations: Operation, has_callbacks: bool = False) -> dict[str, Any]:
    tasks: Any = Endpoints()
    batches: Any = Endpoints()
    health: Any = Endpoints()
    operating: Any = Endpoints()
    callbacks: Any = Endpoints()
    callbacks.are_on = has_callbacks
    callers = CallerEndpoints(access=None)
    served = {each.name: each for each in operations}
    app = create_app(
        served,
        calls={},
        tasks=tasks,
        batches=batches,
        operating=operating,
        callbacks=callbacks,
        callers=callers,
        health=health,
    )
    return app.openapi()


class Endpoints:
    """Those of tasks, of queues and of health, which nobody calls here."""

    def __init__(self) -> None:
        self.public = PublicAddress()
        self.are_on = False

    def __getattr__(self, name: str) -> Any:
        async def endpoint() -> None: ...

        endpoint.__name__ = name
        return endpoint


def operation(**declared: Any) -> Operation:
    return Operation.model_validate(
        {"name": "plant-tree", "route": "POST /trees", "handler": "a:b", **declared}
    )


def references(part: Any) -> set[str]:
    """All that are made below it."""
    if (values := as_array(part)) is not None:
        return set[str]().union(*map(references, values))
    if (members := as_object(part)) is None:
        return set()
    own = {members["$ref"]} if isinstance(members.get("$ref"), str) else set[str]()
    return own.union(*map(references, members.values()))


def test_every_reference_leads_to_a_component_whatever_refers_to_itself():
    made = document(
        operation(arguments=TREE), operation(name="b", route="PUT /b/{number}", arguments=TREE)
    )
    components = made["components"]["schemas"]
    deep = {one for one in references(made) if one.removeprefix(COMPONENTS) not in components}
    assert deep == {
        f"{COMPONENTS}PlantTreeArguments/properties/number",
        f"{COMPONENTS}BArguments/properties/number",
    }
    assert components["PlantTreeArguments.tree"]["properties"]["left"] == {
        "$ref": f"{COMPONENTS}PlantTreeArguments.tree"
    }
    assert "$defs" not in components["PlantTreeArguments"]


def test_a_property_may_be_called_as_a_keyword_below_which_a_value_stands():
    value = {"$ref": "#/$defs/a~1b"}
    schema = {
        "type": "object",
        "properties": {"default": {"$ref": "#/$defs/a~1b"}},
        "default": {"default": value},
        "$defs": {"a/b": {"type": "string"}},
    }
    made = document(operation(arguments=schema))["components"]["schemas"]
    arguments = made["PlantTreeArguments"]
    assert arguments["properties"]["default"] == {"$ref": f"{COMPONENTS}PlantTreeArguments.a_b"}
    assert made["PlantTreeArguments.a_b"] == {"type": "string"}
    assert arguments["default"] == {"default": value}


def test_what_the_path_gives_is_not_in_the_body():
    made = document(operation(name="b", route="PUT /b/{number}", arguments=TREE))
    call = made["paths"]["/b/{number}"]["put"]
    (parameter,) = [one for one in call["parameters"] if one["in"] == "path"]
    assert parameter["schema"] == {"$ref": f"{COMPONENTS}BArguments.number"}
    body = call["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"tree", "again"}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (None, {"200": {"application/json", "*/*"}, "2XX": {"application/json", "*/*"}}),
        ({"status": 204}, {"204": set[str](), "2XX": set[str]()}),
        (
            {"contentType": "application/pdf"},
            {"200": {"application/pdf"}, "2XX": {"application/pdf"}},
        ),
        (
            {"status": 201, "schema": {"type": "array"}},
            {"201": {"application/json"}, "2XX": {"application/json"}},
        ),
    ],
)
def test_the_answer_in_time_is_what_the_file_says(
    response: dict[str, Any] | None, expected: dict[str, set[str]]
):
    made = document(operation(response=response))
    answers = made["paths"]["/trees"]["post"]["responses"]
    shown = {
        status: set(answer.get("content", ()))
        for status, answer in answers.items()
        if status.startswith("2") and status != "202"
    }
    assert shown == expected


@pytest.mark.parametrize("response", [None, {"status": 201}])
def test_a_browser_shows_ones_own_operations_and_their_answers_first(response: Any):
    made = document(operation(response=response))
    assert next(tag["name"] for tag in made["tags"]) == "operations"
    assert next(iter(made["paths"])) == "/trees"
    answers: dict[str, Any] = made["paths"]["/trees"]["post"]["responses"]
    numbers = sorted(status for status in answers if status.isdigit())
    assert numbers[:2] == ["200" if response is None else "201", "202"]


def test_the_schema_of_an_answer_has_a_name():
    made = document(operation(response={"schema": TREE}))
    answer = made["paths"]["/trees"]["post"]["responses"]["2XX"]
    assert answer["content"]["application/json"]["schema"] == {
        "$ref": f"{COMPONENTS}PlantTreeAnswer"
    }
    assert "PlantTreeAnswer.tree" in made["components"]["schemas"]


def test_operations_of_one_name_in_capitals_keep_apart():
    names = ("a-b", "a--b")
    made = document(*(operation(name=one, route=f"POST /{one}") for one in names))
    assert {"ABArguments", "ABArguments_"} <= made["components"]["schemas"].keys()


def test_operations_come_first():
    assert next(iter(document(operation())["paths"])) == "/trees"


def test_what_only_readers_see_changes_no_revision():
    plain = operation()
    told = operation(summary="Plant", description="A tree.", response={"status": 201})
    assert told.revision == plain.revision
    assert operation(queue="trees").revision != plain.revision


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        ("{}", "7: operations.a.response: expected `status`, `contentType`, `schema`"),
        ("{status: 404}", "7: operations.a.response.status: expected less than or equal to 299"),
        ("{contentType: json}", "7: operations.a.response.contentType: expected a media type"),
        ("{schema: {type: text}}", "7: operations.a.response.schema.type: "),
        ("{schema: {require: [a]}}", "7: operations.a.response.schema.require: "),
    ],
)
def test_a_bad_response_is_told_by_its_place(response: str, fault: str):
    text = f"""
operations:
  a:
    route: POST /a
    handler: a:b

    response: {response}
"""
    with pytest.raises(Exception, match="response") as told:
        parse_operations(text, name="ops.yaml")
    assert str(told.value).startswith(f"ops.yaml:{fault}"), told.value


def test_a_schema_that_nothing_refers_to_is_none_of_its_components():
    raw = operation(body={"contentTypes": ["application/pdf"]})
    number = {
        "type": "object",
        "properties": {"number": {"$ref": "#/$defs/number"}},
        "$defs": TREE["$defs"],
    }
    by_path = operation(name="find-tree", route="GET /trees/{number}", arguments=number)
    schemas = document(raw, by_path)["components"]["schemas"]
    assert (
        not {"PlantTreeArguments", "FindTreeArguments", "FindTreeArguments.tree"} & schemas.keys()
    )
    assert {"FindTreeArguments.number", "Problem", "Task"} <= schemas.keys()


def test_no_header_has_an_example_that_swagger_ui_would_send_by_itself():
    parameters = document(operation())["paths"]["/trees"]["post"]["parameters"]
    headers = {one["name"]: one for one in parameters}
    assert headers["Prefer"]["schema"]["examples"] == ["wait=5"]
    assert not any({"example", "examples"} & one.keys() for one in headers.values())


def test_the_worked_example_says_what_it_answers():
    file = Path("cli/asyncapiproxy/operations.yaml")
    created = parse_operations(file.read_text(), name=file.name)["create-client"]
    answers = document(created)["paths"]["/clients"]["post"]["responses"]
    assert list(answers)[:3] == ["201", "2XX", "202"]


def test_many_calls_are_described_where_they_may_be_made():
    paths = document(operation())["paths"]
    (many,) = paths["/trees:batch"].values()
    assert (many["operationId"], many["tags"]) == ("plant-tree_batch", ["batches"])
    assert list(many["requestBody"]["content"]) == ["application/x-ndjson"]
    assert list(many["responses"]["200"]["content"]) == ["application/x-ndjson"]
    one = {each["name"] for each in paths["/trees"]["post"]["parameters"]}
    names = {each["name"] for each in many["parameters"]}
    assert one - names == {"Prefer", "Idempotency-Key"}
    assert names >= {"Task-Batch", "Task-Labels"}
    told = document(operation(), has_callbacks=True)["paths"]
    assert told["/trees:batch"]["post"]["callbacks"] == told["/trees"]["post"]["callbacks"]
    assert not [
        path for path in document(operation(route="PUT /trees"))["paths"] if "trees:" in path
    ]


def test_callbacks_are_described_where_there_are_any():
    plain = document(operation())
    told = document(operation(), has_callbacks=True)
    without, post = (each["paths"]["/trees"]["post"] for each in (plain, told))
    assert "callbacks" not in without
    assert "TaskEnded" not in plain["components"]["schemas"]
    (sent,) = post["callbacks"]["taskEnded"]["{$request.header.Task-Callback}"].values()
    content = sent["requestBody"]["content"]["application/cloudevents+json"]
    event = told["components"]["schemas"][content["schema"]["$ref"].removeprefix(COMPONENTS)]
    assert "dev.asyncapiproxy.task.expired" in event["properties"]["type"]["enum"]
    headers = {each["name"] for each in post["parameters"]} - {
        each["name"] for each in without["parameters"]
    }
    assert headers == {"Task-Callback"}
