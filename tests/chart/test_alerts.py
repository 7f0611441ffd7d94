"""When the alerts fire, by Prometheus' own tool."""

from collections.abc import Collection
from functools import cache
from typing import Any

import pytest

from asynctestkit.helm import Json, render
from asynctestkit.missing import skip_for_want_of
from asynctestkit.promtool import PromtoolError, check_firing, check_rules, promtool_program

DEMO: Json = {"demoApi": {"enabled": True}, "monitoring": {"rules": {"enabled": True}}}
LEADS = {"operator_leading": "1x120"}


@pytest.fixture(autouse=True)
def _promtool() -> None:  # pyright: ignore[reportUnusedFunction]
    if promtool_program() is None:
        skip_for_want_of("promtool")


@cache
def groups(*, with_operator: bool = True) -> list[Any]:
    without: Json = {"operator": {"enabled": False}, "scaling": {"mode": "none"}}
    objects = render(DEMO if with_operator else {**DEMO, **without})
    (rule,) = (each for each in objects if each["kind"] == "PrometheusRule")
    return rule["spec"]["groups"]


def series(metrics: dict[str, str]) -> dict[str, str]:
    """Whole names of series, of the release's namespace and of another where nothing is wrong."""
    found: dict[str, str] = {}
    for metric, values in metrics.items():
        name, _, labels = metric.rstrip("}").partition("{")
        labels = f"{labels}," if labels else ""
        found[f'asyncapiproxy_{name}{{{labels}namespace="shop"}}'] = values
        found[f'asyncapiproxy_{name}{{{labels}namespace="other"}}'] = "0x120"
    return found


def test_prometheus_accepts_the_rules():
    check_rules(groups())
    broken = [{"name": "a", "rules": [{"alert": "A", "expr": "max by ("}]}]
    with pytest.raises(PromtoolError, match="could not parse expression"):
        check_rules(broken)


def executors(*, current: int, ready: int, needed: int, desired: int) -> dict[str, str]:
    kinds = {"current": current, "ready": ready, "needed": needed, "desired": desired}
    return {f'executors{{queue="clients",kind="{kind}"}}': f"{n}x120" for kind, n in kinds.items()}


AGE = 'oldest_queued_task_seconds{queue="clients"}'
WAITING = {AGE: "0+60x120"}
GROWS = "AsyncApiProxyQueueGrows"


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        # A quota, or pods that fail at start: asked for, not there.
        ({**WAITING, **executors(current=8, ready=3, needed=8, desired=8)}, {GROWS}),
        ({**WAITING, **executors(current=8, ready=0, needed=8, desired=8)}, {GROWS}),
        # maxReplicas: all that is allowed is there.
        ({**WAITING, **executors(current=10, ready=10, needed=30, desired=10)}, {GROWS}),
        # Enough, or nobody waits for long.
        ({**WAITING, **executors(current=8, ready=8, needed=8, desired=8)}, set[str]()),
        ({AGE: "5x120", **executors(current=8, ready=3, needed=8, desired=8)}, set[str]()),
        # Of two queues, one.
        (
            {
                **WAITING,
                **executors(current=1, ready=1, needed=1, desired=1),
                'oldest_queued_task_seconds{queue="orders"}': "5x120",
                'executors{queue="orders",kind="ready"}': "0x120",
                'executors{queue="orders",kind="needed"}': "9x120",
            },
            set[str](),
        ),
        (
            {
                'requests_total{outcome="answered"}': "0+80x120",
                'requests_total{outcome="failed"}': "0+20x120",
            },
            {"AsyncApiProxyAnswersErrors"},
        ),
        (
            {
                'requests_total{outcome="answered"}': "0+98x120",
                'requests_total{outcome="overloaded"}': "0+2x120",
            },
            set[str](),
        ),
        ({"publish_failures_total": "0+1x120"}, {"AsyncApiProxyPublishesFail"}),
        ({'demand_unknown{queue="clients"}': "1x120"}, {"AsyncApiProxyDemandUnknown"}),
        ({'dead_letters_total{queue="clients"}': "0x55 1x60"}, {"AsyncApiProxyDeadLetters"}),
        ({"relay_returned_total": "0+20x120"}, {"AsyncApiProxyTasksLoseTheirExecutor"}),
        ({"relay_returned_total": "0+1x120"}, set[str]()),
        ({'relay_bad_rows_total{duty="publish"}': "0x40 1x80"}, {"AsyncApiProxyBadRows"}),
        ({'limit_open{limit="crm"}': "1x120"}, {"AsyncApiProxyUpstreamIsDown"}),
        (
            {'attempts_total{operation="callback",outcome="retried"}': "0+1x120"},
            {"AsyncApiProxyCallbacksFail"},
        ),
        ({'limit_open{limit="crm"}': "0x56 1x60"}, set[str]()),
        ({'paused{kind="queue",name="clients"}': "1x120"}, set[str]()),
        ({"mirror_stale_tasks": "2000x120"}, {"AsyncApiProxyMirrorLags"}),
        ({"mirror_degraded": "1x120"}, {"AsyncApiProxyMirrorLags"}),
        ({"mirror_stale_tasks": "900x120", "mirror_degraded": "0x120"}, set[str]()),
    ],
)
def test_an_alert_fires_for_what_it_is_for_and_for_nothing_else(
    metrics: dict[str, str], expected: Collection[str]
):
    check_firing(groups(), series({**LEADS, **metrics}), after="1h", expected=expected)


def test_a_pause_is_told_of_after_a_day():
    paused = series({"operator_leading": "1x1500", 'paused{kind="queue",name="clients"}': "1x1500"})
    check_firing(groups(), paused, after="23h", expected=())
    check_firing(groups(), paused, after="25h", expected={"AsyncApiProxyPausedForLong"})


@pytest.mark.parametrize("leading", [{}, {"operator_leading": "0x120"}], ids=["absent", "none"])
def test_that_nobody_leads_is_told_only_where_there_is_an_operator(leading: dict[str, str]):
    told = {"AsyncApiProxyHasNoLeader"}
    check_firing(groups(), series(leading), after="1h", expected=told)
    without = groups(with_operator=False)
    assert told & {rule["alert"] for group in without for rule in group["rules"]} == set()
    check_firing(without, series(leading), after="1h", expected=())


def test_what_fires_is_told_from_what_does_not():
    with pytest.raises(PromtoolError, match="AsyncApiProxyHasNoLeader"):
        check_firing(groups(), {}, after="1h", expected=())
    with pytest.raises(PromtoolError, match=GROWS):
        check_firing(groups(), series(LEADS), after="1h", expected={GROWS})
