"""The chart's tests need Helm."""

import pytest

from asynctestkit.helm import helm_program


@pytest.fixture(autouse=True)
def _helm() -> None:  # pyright: ignore[reportUnusedFunction]
    if helm_program() is None:
        pytest.skip("helm is not installed")
