"""The chart's tests need Helm."""

import pytest

from asynctestkit.helm import helm_program
from asynctestkit.missing import skip_for_want_of


@pytest.fixture(autouse=True)
def _helm() -> None:  # pyright: ignore[reportUnusedFunction]
    if helm_program() is None:
        skip_for_want_of("helm")
