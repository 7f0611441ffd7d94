"""What a proxy shows of limits and pauses."""

from datetime import UTC, datetime

from prometheus_client import Gauge

from asyncproxy.limit_metrics import show
from asyncproxy.metrics import LIMIT_OPEN, PAUSED
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_state import BreakerKind, BreakerState, LimitState, Standing
from asynctasks.limits.pauses import Pause, Pauses

WITH_BREAKER = Limit.model_validate({"name": "crm", "breaker": {}})
WITHOUT = Limit.model_validate({"name": "slots", "concurrency": 2})


def shown(gauge: Gauge) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in gauge.collect()
        for sample in family.samples
    }


def state(limit: Limit, kind: BreakerKind) -> LimitState:
    return LimitState(limit=limit, declared=limit, breaker=BreakerState(kind=kind))


def pauses(*paused: tuple[PausedKind, str]) -> Pauses:
    since = datetime(2030, 1, 1, tzinfo=UTC)
    return Pauses(
        {
            (kind, name): Pause(kind=kind, name=name, paused_at=since, paused_by="ann")
            for kind, name in paused
        }
    )


def test_limits_with_a_breaker_show_whether_it_is_open_and_pauses_come_and_go():
    limits = {"slots": state(WITHOUT, BreakerKind.CLOSED)}
    crm = {"crm": state(WITH_BREAKER, BreakerKind.OPEN)}
    show(Standing({**limits, **crm}, pauses((PausedKind.QUEUE, "clients"))))
    assert shown(LIMIT_OPEN) == {("crm",): 1}
    assert shown(PAUSED) == {("queue", "clients"): 1}
    crm = {"crm": state(WITH_BREAKER, BreakerKind.RECOVERING)}
    show(Standing({**limits, **crm}, pauses((PausedKind.LIMIT, "crm"))))
    assert shown(LIMIT_OPEN) == {("crm",): 0}
    assert shown(PAUSED) == {("limit", "crm"): 1}
    show(Standing({}, Pauses()))
    assert shown(LIMIT_OPEN) == shown(PAUSED) == {}
