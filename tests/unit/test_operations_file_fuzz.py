"""Any operations file is read or refused, whatever is in it."""

import copy
import random
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from asynctasks.errors import OperationsFileError
from asynctasks.json_values import as_object
from asynctasks.operations.operations_file import parse_operations
from asynctestkit.operations_texts import GOOD

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
            assert operation.upstream.url_names is not None


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


READ = yaml.safe_load(GOOD)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
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


@pytest.mark.parametrize("name", ["", ":\n    "])
def test_a_schema_with_a_fault_below_an_odd_name_is_refused(name: str):
    document: Any = copy.deepcopy(READ)
    arguments = document["operations"]["create-client"]["arguments"]
    arguments["properties"] = {"": {"properties": {name: None}}}
    with pytest.raises(OperationsFileError, match="properties"):
        parse_operations(yaml.dump(document, Dumper=DUMPER), name="ops.yaml")


@given(value=VALUES, choose=st.randoms(use_true_random=False))
def test_any_value_in_place_of_a_good_one_is_read_or_refused(value: Any, choose: random.Random):
    document: Any = copy.deepcopy(READ)
    at: dict[str, Any] = document["operations"]["create-client"]
    while (below := as_object(at[key := choose.choice(sorted(at))])) is not None and (
        choose.random() < 0.7
    ):
        at = below
        if not at:
            return
    at[key] = value
    parse_and_use(yaml.dump(document, Dumper=DUMPER))
