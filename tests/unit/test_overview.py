"""How queues, operations and limits are shown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncproxy.overview import Overview
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_state import BreakerKind, BreakerState, LimitState, Standing
from asynctasks.limits.pauses import Pause, Pauses
from asynctasks.statements.task_counts import Counts
from asynctestkit.inside import by_name, operation

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RATED = Limit.model_validate({"name": "crm", "ratePerSecond": 2, "burst": 5, "breaker": {}})
OPERATIONS = by_name([operation("create", limits=["crm"]), operation("find", queue="slow")])


def overview(*counts: Counts, pauses: Pauses | None = None, **state: Any) -> Overview:
    crm = replace(LimitState(limit=RATED, declared=RATED), **state)
    return Overview(
        operations=OPERATIONS,
        standing=Standing({"crm": crm}, pauses or Pauses()),
        counts=counts,
        executors={"clients": 2},
    )


@pytest.mark.parametrize(
    ("allowed_in_seconds", "left"), [(-3, 5), (0, 5), (0.4, 4), (0.5, 4), (2, 1), (2.1, 0), (9, 0)]
)
def test_of_a_rate_as_many_are_left_as_may_start_now(allowed_in_seconds: float, left: int):
    assert overview(allowed_in_seconds=allowed_in_seconds).limit("crm")["startsLeft"] == left


def test_a_limit_counts_the_tasks_of_its_operations_on_all_queues():
    shown = overview(
        Counts("clients", "create", held=3, published=1, running=2),
        Counts("old", "create", held=4, running=1),
        Counts("slow", "find", held=9, running=9),
    ).limit("crm")
    assert (shown["held"], shown["running"]) == (7, 3)


def test_an_open_breaker_says_since_when_and_until_when_also_once_that_is_over():
    opened_at = NOW - timedelta(seconds=9)
    breaker = BreakerState(
        kind=BreakerKind.OPEN,
        failures=12,
        opened_at=opened_at,
        open_for_seconds=-5,
        probe_at=NOW - timedelta(seconds=5),
    )
    assert overview(breaker=breaker).limit("crm")["breaker"] == {
        "state": "open",
        "failures": 12,
        "openedAt": "2026-01-31T11:59:51Z",
        "probeAt": "2026-01-31T11:59:55Z",
    }


def test_what_is_set_holds_and_what_the_file_says_is_told_beside_it():
    limit = RATED.model_copy(update={"rate_per_second": 9.0})
    shown = overview(limit=limit, changed={"ratePerSecond": 9.0}).limit("crm")
    assert (shown["ratePerSecond"], shown["changed"]) == (9.0, {"ratePerSecond": 9.0})
    assert shown["declared"] == {
        "ratePerSecond": 2,
        "burst": 5,
        "breaker": {"failures": 10, "withinSeconds": 10, "openSeconds": (5, 300)},
    }


def test_what_an_operation_left_on_another_queue_is_shown_there():
    seen = overview(Counts("old", "find", held=1), Counts("old", "gone", delayed=2))
    assert seen.queues == ["clients", "old", "slow"]
    old = seen.queue("old")
    assert (old["queued"], old["held"], old["executors"]) == (3, 1, 0)
    assert [(each["name"], each["queued"]) for each in old["operations"]] == [
        ("find", 1),
        ("gone", 2),
    ]
    assert seen.operation("find")["queued"] == 0
    assert seen.operations_of(PausedKind.QUEUE, "old") == ["find", "gone"]
    assert seen.operations_of(PausedKind.LIMIT, "crm") == ["create"]


def test_a_pause_is_shown_where_it_was_made():
    pause = Pause(kind=PausedKind.OPERATION, name="find", paused_at=NOW, paused_by="ann")
    seen = overview(pauses=Pauses({(pause.kind, pause.name): pause}))
    shown = {"since": "2026-01-31T12:00:00Z", "by": "ann"}
    assert seen.operation("find")["paused"] == shown
    (find,) = seen.queue("slow")["operations"]
    assert (find["paused"], seen.queue("slow")["paused"]) == (shown, None)
