"""How long a file may get before it is two."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = dict.fromkeys(
    ("tasks", "proxy", "executor", "operator", "cli", "testkit", "charts", "benchmarks"), 400
) | {"tests": 500}


@pytest.mark.parametrize("folder", LINES)
def test_no_file_outgrows_its_noun(folder: str):
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {path: count for path, count in lines.items() if count > LINES[folder]} == {}
    assert lines
