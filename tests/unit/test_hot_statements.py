"""The statements in PostgreSQL's own words name what the model has, and all of it."""

import re
from datetime import datetime
from typing import Any

import pytest

from asynctasks.operations.new_task import NewTask
from asynctasks.statements.conditions import ANSWER_COLUMNS, tasks
from asynctasks.statements.hot_claims import claim, take_polls
from asynctasks.statements.hot_statements import (
    ADD,
    ADD_WITH_PLACES,
    FINISH,
    GO_ON,
    MOST_BYTES,
    additions,
)


def names(pattern: str, statement: str) -> list[str]:
    found = re.search(pattern, statement, re.DOTALL)
    assert found
    return [name.strip() for name in found[1].split(",")]


def assigned(statement: str) -> set[str]:
    return set(re.findall(r"(?:SET|,\s) *(\w+) = ", statement))


def test_all_that_is_decided_about_a_task_is_given_to_add():
    given, fields = set(names(r"AS given \((.*?)\)", ADD)), set(NewTask.__dataclass_fields__)
    assert given == fields - {"place_of", "publish_grace_seconds"}
    assert set(names(r"AS given \((.*?)\)", ADD_WITH_PLACES)) == fields


@pytest.mark.parametrize("add", [ADD, ADD_WITH_PLACES])
def test_add_writes_columns_of_the_table_and_each_that_has_no_default(add: str):
    written = set(names(r"INSERT INTO tasks \((.*?)\)", add))
    assert written <= set(tasks.c.keys())
    needed = {column.name for column in tasks.c if column.server_default is None}
    assert {name for name in needed if not tasks.c[name].nullable} <= written


@pytest.mark.parametrize(
    ("statement", "least"),
    [(claim(["id"]), 11), (take_polls(["id"]), 11), (FINISH, 11), (GO_ON, 7)],
)
def test_claim_finish_and_go_on_write_columns_of_the_table(statement: str, least: int):
    assert len(assigned(statement)) >= least
    assert assigned(statement) <= set(tasks.c.keys())


def test_finish_writes_all_that_an_answer_leaves():
    assert set(ANSWER_COLUMNS) <= assigned(FINISH)


def test_a_column_that_no_row_of_a_group_has_does_not_travel():
    bare: dict[str, Any] = dict.fromkeys(NewTask.__dataclass_fields__)
    given = names(r"AS given \((.*?)\)", ADD)
    (sent,) = additions([bare | {"id": 1, "labels": {"a": "b"}}, bare | {"id": 2}])
    by_name = dict(zip(given, sent, strict=True))
    assert {name: array for name, array in by_name.items() if array is not None} == {
        "id": [1, 2],
        "labels": ['{"a":"b"}', None],
    }


def test_an_instant_without_a_time_zone_does_not_travel():
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - what is to be refused
    bare: dict[str, Any] = dict.fromkeys(NewTask.__dataclass_fields__)
    with pytest.raises(ValueError, match="time zone"):
        list(additions([bare | {"deadline": naive}]))


@pytest.mark.parametrize("column", ["arguments", "body"])
def test_what_is_large_together_travels_in_several_statements(column: str):
    bare: dict[str, Any] = dict.fromkeys(NewTask.__dataclass_fields__)
    large = "x" * (MOST_BYTES * 2 // 5) if column == "arguments" else bytes(MOST_BYTES * 2 // 5)
    sent = list(additions([bare | {"id": number, column: large} for number in range(7)]))
    assert [arrays[0] for arrays in sent] == [[0], [1, 2], [3, 4], [5, 6]]
    alone = bare | {"id": 1, column: large * 4}
    assert len(list(additions([alone]))) == 1
