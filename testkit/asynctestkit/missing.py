"""What becomes of a test whose program is not on this machine."""

import os
from typing import NoReturn

import pytest


def skip_for_want_of(program: str) -> NoReturn:
    """Skip on a developer's machine; fail in CI, where a test that did not run proves nothing."""
    if os.environ.get("CI"):
        pytest.fail(f"{program} is not installed, and in CI no test is skipped for want of it")
    pytest.skip(f"{program} is not installed")
