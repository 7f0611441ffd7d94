"""Which finished tasks are kept how long, by what the operations say."""

from typing import Any

from asynctasks.operations.kept_tasks import KeptTasks, kept_tasks
from asynctasks.operations.operation import Operation

HOUR, DAY = 3_600, 86_400


def kept(**declared: Any) -> list[KeptTasks]:
    operations = {
        name: Operation.model_validate(
            {"name": name, "route": f"POST /{name}", "handler": "a:b", "retentionSeconds": seconds}
        )
        for name, seconds in declared.items()
    }
    return kept_tasks(operations, default_seconds=7 * DAY)


def test_without_a_word_of_the_operations_all_are_the_rest():
    assert kept(a=None) == [KeptTasks(7 * DAY, frozenset(), is_rest=True)]


def test_a_number_is_for_all_ends():
    kinds = frozenset(("a", end) for end in ("succeeded", "failed", "cancelled", "expired"))
    assert kept(a=DAY) == [KeptTasks(7 * DAY, kinds, is_rest=True), KeptTasks(DAY, kinds)]


def test_what_is_kept_equally_long_is_one_and_what_is_not_said_is_the_rest():
    short = frozenset({("a", "succeeded"), ("b", "cancelled")})
    long = frozenset({("a", "failed")})
    assert kept(a={"succeeded": HOUR, "failed": 30 * DAY}, b={"cancelled": HOUR}) == [
        KeptTasks(7 * DAY, short | long, is_rest=True),
        KeptTasks(HOUR, short),
        KeptTasks(30 * DAY, long),
    ]


def test_who_says_the_default_is_the_rest():
    assert kept(a=7 * DAY) == kept()
