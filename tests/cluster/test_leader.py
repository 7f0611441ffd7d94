"""Two operators, one Lease: one leads, and the other takes over."""

import time
from collections.abc import Callable
from typing import Any

from asynctestkit.eventually import eventually
from asynctestkit.kubernetes_cluster import Kubectl
from asynctestkit.processes import Service, logged_events

LEASE = "asyncapiproxy-operator"


def leads(operator: Service) -> bool:
    return any(each.get("event") == "operator leads" for each in logged_events(operator.log))


def lease(kubectl: Kubectl) -> dict[str, Any]:
    return kubectl.get("lease", LEASE)["spec"]


async def leading(operator: Service, *, timeout_seconds: float = 10) -> float:
    """The seconds until it leads."""
    began = time.monotonic()

    def check() -> None:
        assert leads(operator), operator.log

    await eventually(check, timeout_seconds=timeout_seconds)
    return time.monotonic() - began


async def test_a_killed_leader_is_followed_within_twenty_seconds(
    start_operator: Callable[..., Service], kubectl: Kubectl
) -> None:
    first = start_operator("first", pod_name="first")
    await leading(first)
    second = start_operator("second", pod_name="second")
    first.kill()
    seconds = await leading(second, timeout_seconds=20)
    assert seconds > 5, "it did not wait for the Lease to end"
    spec = lease(kubectl)
    assert spec["holderIdentity"].startswith("second-")
    assert spec["leaseTransitions"] == 1


async def test_a_leader_that_stops_hands_over_at_once(
    start_operator: Callable[..., Service], kubectl: Kubectl
) -> None:
    first = start_operator("first", pod_name="first")
    await leading(first)
    second = start_operator("second", pod_name="second")
    began = time.monotonic()
    assert first.stop() == 0
    await leading(second, timeout_seconds=5)
    assert time.monotonic() - began < 5
    assert lease(kubectl)["holderIdentity"].startswith("second-")


async def test_a_leader_whose_lease_is_taken_ends_at_once(
    start_operator: Callable[..., Service], kubectl: Kubectl
) -> None:
    operator = start_operator(pod_name="ours")
    await leading(operator)
    kubectl(
        *("patch", "lease", LEASE, "--type=merge"),
        *("-p", '{"spec": {"holderIdentity": "another"}}'),
    )
    assert operator.wait(10) == 1
    assert "is held by another" in operator.log


async def test_a_label_on_the_lease_disturbs_nobody(
    start_operator: Callable[..., Service], kubectl: Kubectl
) -> None:
    operator = start_operator(pod_name="ours")
    await leading(operator)
    kubectl("label", "lease", LEASE, "team=shop")
    before = lease(kubectl)["renewTime"]

    def renewed() -> None:
        assert operator.is_running, operator.log
        assert lease(kubectl)["renewTime"] > before

    await eventually(renewed)
    assert kubectl.get("lease", LEASE)["metadata"]["labels"]["team"] == "shop"
