"""What may be set of a limit while it runs, and what comes of it."""

from typing import Any

import pytest

from asynctasks.errors import LimitInvalidError, Violation
from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_change import read_change

PLAIN = Limit(name="crm", concurrency=40)
RATED = Limit.model_validate({"name": "ocr", "ratePerSecond": 2.5, "burst": 5})


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({}, {"concurrency": 5, "burst": 2}),
        ({"concurrency": 7}, {"concurrency": 7, "burst": 2}),
        ({"concurrency": None}, {"burst": 2}),
        ({"concurrency": None, "burst": None}, {}),
        ({"ratePerSecond": 0.5}, {"concurrency": 5, "burst": 2, "ratePerSecond": 0.5}),
        ({"ratePerSecond": None}, {"concurrency": 5, "burst": 2}),
    ],
)
def test_null_takes_the_files_again_and_what_is_left_out_stays(
    given: dict[str, Any], after: dict[str, Any]
):
    assert read_change(given).after(RATED, {"concurrency": 5, "burst": 2}) == after


@pytest.mark.parametrize(
    ("given", "pointer", "detail"),
    [
        ({"concurrency": 0}, "/concurrency", "expected greater than or equal to 1"),
        ({"concurrency": True}, "/concurrency", "expected a valid integer"),
        ({"concurrency": "5"}, "/concurrency", "expected a valid integer"),
        ({"concurrency": 1_000_001}, "/concurrency", "expected less than or equal to 1000000"),
        ({"ratePerSecond": 0}, "/ratePerSecond", "expected greater than or equal to 0.00001"),
        ({"ratePerSecond": 1e-300}, "/ratePerSecond", "expected greater than or equal to 0.00001"),
        ({"burst": 1.5}, "/burst", "expected a valid integer"),
        (
            {"rate_per_second": 1},
            "/rate_per_second",
            "unknown key; expected one of burst, concurrency, ratePerSecond",
        ),
        (
            {"breaker": None},
            "/breaker",
            "unknown key; expected one of burst, concurrency, ratePerSecond",
        ),
        ([], "", 'expected a JSON object: {"concurrency": 20}'),
    ],
)
def test_what_cannot_be_set_is_told_by_its_place(given: Any, pointer: str, detail: str):
    with pytest.raises(LimitInvalidError) as caught:
        read_change(given)
    assert caught.value.violations == [Violation(pointer, detail)]


def test_a_burst_needs_a_rate_of_the_file_or_one_that_is_set():
    assert read_change({"burst": 9}).after(RATED, {}) == {"burst": 9}
    both = {"burst": 9, "ratePerSecond": 1.0}
    assert read_change(both).after(PLAIN, {}) == both
    assert read_change({"burst": 9}).after(PLAIN, {"ratePerSecond": 1.0}) == both
    for given in ({"burst": 9}, {"burst": 9, "ratePerSecond": None}):
        with pytest.raises(LimitInvalidError, match="/burst: it goes with a rate"):
            read_change(given).after(PLAIN, {"ratePerSecond": None})


def test_a_rate_is_not_taken_from_under_a_burst_that_stays():
    both = {"ratePerSecond": 7, "burst": 5}
    with pytest.raises(LimitInvalidError, match="expected a `ratePerSecond`, or null for both"):
        read_change({"ratePerSecond": None}).after(PLAIN, both)
    assert read_change({"ratePerSecond": None, "burst": None}).after(PLAIN, both) == {}
    assert read_change({"ratePerSecond": None}).after(RATED, both) == {"burst": 5}


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({"concurrency": 3}, {"burst": 7, "concurrency": 3}),
        ({"burst": None}, {}),
        ({"ratePerSecond": 2.0}, {"burst": 7, "ratePerSecond": 2.0}),
    ],
)
def test_a_burst_stays_though_the_file_has_lost_its_rate_since(
    given: dict[str, Any], after: dict[str, Any]
):
    assert read_change(given).after(PLAIN, {"burst": 7}) == after
