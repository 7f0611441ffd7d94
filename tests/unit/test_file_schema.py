"""The JSON Schema of operations files, by which editors check and complete them."""

import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from asynctasks.operations.file_schema import file_schema
from asynctestkit.operations_texts import GOOD

ROOT = Path(__file__).parents[2]
SCHEMA = file_schema()
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)


def blocks(page: Path) -> list[str]:
    """The files of operations that a page shows whole."""
    found = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    return [text for text in found if text.startswith("operations:")]


FILES = {
    "demo": (ROOT / "cli/asyncapiproxy/operations.yaml").read_text(),
    "good": GOOD,
    **{
        f"{page.stem} {number}": text
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for number, text in enumerate(blocks(page))
    },
}


@pytest.mark.parametrize("name", FILES)
def test_it_takes_every_file_of_the_documentation(name: str):
    assert [str(error) for error in VALIDATOR.iter_errors(yaml.safe_load(FILES[name]))] == []


def with_one(**operation: Any) -> dict[str, Any]:
    call = {"route": "POST /a", "upstream": {"url": "http://a"}}
    return {"operations": {"a": {**call, **operation}}}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, []),
        ({"operations": {}}, ["operations"]),
        ({**with_one(), "limit": {}}, []),
        (with_one(waitSecond=1), ["operations", "a"]),
        (with_one(wait_seconds=1), ["operations", "a"]),
        (with_one(name="a"), ["operations", "a"]),
        (with_one(waitSeconds="1"), ["operations", "a", "waitSeconds"]),
        (with_one(waitSeconds=301), ["operations", "a", "waitSeconds"]),
        (with_one(route="POST a"), ["operations", "a", "route"]),
        (with_one(arguments={"type": "strng"}), ["operations", "a", "arguments", "type"]),
        (with_one(deadlineSeconds=None), ["operations", "a", "deadlineSeconds"]),
        (with_one(retentionSeconds=60), ["operations", "a", "retentionSeconds"]),
        (with_one(retentionSeconds={"fail": 3600}), ["operations", "a", "retentionSeconds"]),
        (with_one(response=None), ["operations", "a", "response"]),
        (with_one(limits=["crm", "crm"]), ["operations", "a", "limits"]),
        (with_one(retry={"backoffSeconds": [1]}), ["operations", "a", "retry", "backoffSeconds"]),
        (with_one(upstream={"urls": "http://a"}), ["operations", "a", "upstream"]),
        (
            {**with_one(), "limits": {"crm": {"concurrency": 0}}},
            ["limits", "crm", "concurrency"],
        ),
        ({**with_one(), "limits": {"crm": {"fairBy": "tenent"}}}, ["limits", "crm", "fairBy"]),
        ({**with_one(), "limits": {"crm": {"breaker": {"fail": 1}}}}, ["limits", "crm", "breaker"]),
    ],
)
def test_it_refuses_what_the_reader_would_where_it_stands(document: Any, place: list[str]):
    (first, *_) = VALIDATOR.iter_errors(document)
    found = list(first.instance_path)
    # Of what stands in one of several ways the whole is told.
    assert found == place[: len(found)]
    assert len(found) >= len(place) - 1


@pytest.mark.parametrize("kept", [86_400, {"succeeded": 3_600, "failed": 86_400.5}])
def test_a_retention_is_one_number_or_several_by_status(kept: Any):
    assert VALIDATOR.is_valid(with_one(retentionSeconds=kept))


def test_a_name_that_is_none_is_refused():
    document = {"operations": {"Create_Client": with_one()["operations"]["a"]}}
    assert not VALIDATOR.is_valid(document)


def test_it_says_what_each_key_is_for_where_that_is_not_plain():
    operation, call = SCHEMA["$defs"]["Operation"], SCHEMA["$defs"]["UpstreamCall"]
    assert operation["properties"]["coalesce"]["description"].startswith("Whether a call joins")
    assert call["properties"]["url"]["description"].startswith("An RFC 6570 template")
    # What a limit takes over from its bounds, too.
    limit = SCHEMA["$defs"]["Limit"]["properties"]
    assert limit["ratePerSecond"]["description"].startswith("In any t seconds")
    assert "title" not in operation["properties"]["coalesce"]
    assert "name" not in operation["properties"]
