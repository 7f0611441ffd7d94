"""Each command that a document has people type is run by a test, or a reason says why not."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from asynctestkit.shown_commands import DOCUMENTS, NOT_RUN, all_commands
from benchmarks.main import arguments

ROOT = Path(__file__).parents[2]
ASKED_BY = {"commands", "scripts"}


@pytest.fixture(scope="module")
def asked() -> set[tuple[str, ...]]:
    """A document, and the sections of it if not all, that tests run the commands of."""
    return {call for file in (ROOT / "tests").rglob("*.py") for call in calls(file)}


def calls(file: Path) -> Iterator[tuple[str, ...]]:
    text = file.read_text()
    if "shown_commands" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ASKED_BY:
            yield tuple(str(it.value) for it in node.args if isinstance(it, ast.Constant))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_test_asks_for_each_section_that_has_commands(document: str, asked: set[tuple[str, ...]]):
    sections = {command.section for command in all_commands(document) if command.is_run}
    if (document,) not in asked:
        run = {section for call in asked if call[0] == document for section in call[1:]}
        assert sections == run


def test_each_reason_is_that_of_a_command():
    left = {
        command.text
        for document in DOCUMENTS
        for command in all_commands(document)
        if not command.is_run
    }
    reasoned = {begins for begins in NOT_RUN if any(text.startswith(begins) for text in left)}
    assert reasoned == set(NOT_RUN)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_block_is_fenced_and_says_what_it_is_in(document: str):
    """In others a command would not be found."""
    text = (ROOT / document).read_text()
    fences = re.findall(r"^ *(```.*)$", text, re.MULTILINE)
    assert [opens for opens in fences[::2] if not re.fullmatch(r"```\w+", opens)] == []
    assert set(fences[1::2]) <= {"```"}
    outside = re.sub(r"^( *)```(?s:.*?)^\1```$", "", text, flags=re.MULTILINE)
    assert re.findall(r"(?<=\n\n) {4}.*", outside) == []


def test_benchmarks_take_what_their_page_asks_of_them():
    lines = [line for it in all_commands("docs/performance.md") for line in it.text.splitlines()]
    asked = [arguments(shlex.split(line, comments=True)[2:]) for line in lines]
    assert len(asked) > 10
    assert any(it.against == "COMMIT" for it in asked)
