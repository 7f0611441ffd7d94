"""How an operations file is read, and that all its faults are told at once."""

from pathlib import Path

import pytest

from asynctasks.errors import OperationsFileError
from asynctasks.operations.operations_file import load_operations, parse_operations
from asynctestkit.operations_texts import GOOD, fault_of, operation, schema, upstream


def test_the_file_that_the_broken_ones_were_made_from_is_good():
    operations = parse_operations(GOOD, name="ops.yaml")
    assert list(operations) == ["create-client", "change-client"]
    assert operations["create-client"].schema.write_only == (("password",),)
    assert operations["change-client"].path_variables == ["clientId"]
    for text in (operation(), schema(), upstream()):
        assert list(parse_operations(text, name="ops.yaml")) == ["a"]


def test_all_faults_are_told_at_once_in_the_order_of_their_lines():
    text = "operations:\n  a: {}\n  b:\n    route: FETCH /b\n    nonsense: 1\nversion: 1\n"
    lines = [int(fault.split(":")[1]) for fault in fault_of(text).splitlines()]
    assert lines == sorted(lines)
    assert set(lines) == {2, 4, 5, 6}


def test_a_long_wrong_value_is_not_repeated_in_full():
    assert len(fault_of(operation(queue="Q" * 10_000))) < 250


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"operations:\n  a: \xff\n", ":2: cannot be read: it is not UTF-8 text"),
        (GOOD.encode("utf-16"), ":1: cannot be read: it is not UTF-8 text"),
        (bytes(range(256)), ":"),
        (b"\x7fELF\x02\x01\x01\x00", ":1: no YAML: the character U+007F"),
    ],
)
def test_a_file_of_bytes_is_refused(tmp_path: Path, content: bytes, expected: str):
    file = tmp_path / "ops.yaml"
    file.write_bytes(content)
    with pytest.raises(OperationsFileError) as caught:
        load_operations(file)
    assert str(caught.value).startswith(f"{file}{expected}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    file = tmp_path / "ops.yaml"
    with pytest.raises(OperationsFileError) as caught:
        load_operations(file)
    assert str(caught.value) == f"{file}: cannot be read: No such file or directory"


def test_a_directory_is_no_file(tmp_path: Path):
    with pytest.raises(OperationsFileError) as caught:
        load_operations(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_byte_order_mark_is_read_over(tmp_path: Path):
    file = tmp_path / "ops.yaml"
    file.write_bytes(GOOD.encode("utf-8-sig"))
    assert len(load_operations(file)) == 2
