"""Our scaling against KEDA's in the same simulation; the same seeds give the same figures."""

import pytest

from benchmarks.simulation.scaling_loads import LOADS, compare
from benchmarks.simulation.simulated_pool import Outcome

BURSTS, LONG, SHORT, RAMP = (load.name for load in LOADS)


@pytest.fixture(scope="module")
def compared() -> dict[str, dict[str, Outcome]]:
    return {load.name: compare(load, range(2)) for load in LOADS}


@pytest.mark.parametrize("load", [BURSTS, LONG, SHORT, RAMP])
def test_no_running_attempt_is_killed(compared: dict[str, dict[str, Outcome]], load: str):
    assert compared[load]["AsyncApiProxy"].killed == 0


@pytest.mark.parametrize("load", [BURSTS, LONG, SHORT, RAMP])
@pytest.mark.parametrize("policy", ["KEDA, http", "KEDA, amqp", "KEDA, http, tuned"])
def test_nobody_waits_longer_than_with_keda(
    compared: dict[str, dict[str, Outcome]], load: str, policy: str
):
    """But for the second or two between a tick and the start of a pod."""
    ours, theirs = compared[load]["AsyncApiProxy"], compared[load][policy]
    assert ours.p95_seconds <= theirs.p95_seconds + 2


@pytest.mark.parametrize("load", [BURSTS, SHORT])
def test_bursts_wait_less_than_half_as_long_as_with_keda_as_it_comes(
    compared: dict[str, dict[str, Outcome]], load: str
):
    ours, theirs = compared[load]["AsyncApiProxy"], compared[load]["KEDA, http"]
    assert 2 * ours.p95_seconds < theirs.p95_seconds


@pytest.mark.parametrize(
    ("load", "factor"), [(BURSTS, 0.5), (SHORT, 0.5), (RAMP, 1.2), (LONG, 1.5)]
)
def test_the_pods_that_it_takes_are_bounded_by_those_that_keda_as_it_comes_takes(
    compared: dict[str, dict[str, Outcome]], load: str, factor: float
):
    """Long tasks take more of them, because none is taken from a task that runs."""
    ours, theirs = compared[load]["AsyncApiProxy"], compared[load]["KEDA, http"]
    assert ours.pod_hours <= factor * theirs.pod_hours


def test_the_model_does_kill_where_it_is_known_to(compared: dict[str, dict[str, Outcome]]):
    """Else nothing would follow from our own count."""
    assert compared[LONG]["KEDA, http"].killed > 0
