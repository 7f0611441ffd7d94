"""Leader election against a Lease in memory, by a clock that the test turns."""

import asyncio
import copy
from typing import TYPE_CHECKING, Any, cast

import pytest

from asyncoperator.cluster.kube_errors import (
    KubeConflictError,
    KubeExistsError,
    KubeUnavailableError,
)
from asyncoperator.cluster.leader import Leader, LeadershipLostError, Observation
from asynctestkit.virtual_time import in_virtual_time, now

if TYPE_CHECKING:
    from asyncoperator.cluster.kube import Kube


def lease(holder: str = "other", renewed: str = "1", **spec: Any) -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "renewTime": renewed, "acquireTime": "1"} | spec}


def test_an_old_lease_is_waited_for_from_our_first_look_on():
    """Its renewTime is by another's clock."""
    observed = Observation()
    old = lease(renewed="1970-01-01T00:00:00.000000Z", leaseDurationSeconds=15)
    assert not observed.is_free(old, now=1_000, lease_seconds=15)
    assert not observed.is_free(old, now=1_014.9, lease_seconds=15)
    assert observed.is_free(old, now=1_015, lease_seconds=15)


def test_each_renewal_starts_the_wait_anew():
    observed = Observation()
    for second in range(0, 100, 10):
        assert not observed.is_free(lease(renewed=str(second)), now=second, lease_seconds=15)


def test_the_holders_duration_counts_and_ours_where_it_states_none():
    for given, expected in ((60, False), (None, True)):
        observed = Observation()
        one = lease(leaseDurationSeconds=given)
        observed.is_free(one, now=0, lease_seconds=15)
        assert observed.is_free(one, now=20, lease_seconds=15) is expected


@pytest.mark.parametrize("holder", ["", None])
def test_a_released_lease_is_free_at_once(holder: str | None):
    assert Observation().is_free(lease(cast("str", holder)), now=0, lease_seconds=15)


class FakeLeases:
    """One Lease, as the API server keeps it. `away` has every call fail."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.away = False
        self._version = 0

    async def get_lease(self, _name: str) -> dict[str, Any] | None:
        self._check()
        return copy.deepcopy(self.lease)

    async def create_lease(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        if self.lease is not None:
            raise KubeExistsError
        return self._keep(body)

    async def replace_lease(self, _name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        assert self.lease is not None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise KubeConflictError
        return self._keep(body)

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self._version)
        return copy.deepcopy(self.lease)

    def _check(self) -> None:
        if self.away:
            raise KubeUnavailableError


def candidate(leases: FakeLeases, identity: str) -> Leader:
    return Leader(
        cast("Kube", leases),
        "operator",
        identity,
        "mine",
        lease_seconds=15,
        renew_seconds=10,
        retry_seconds=2,
        clock=now,
    )


@in_virtual_time
async def test_a_lease_that_names_no_installation_does_once_it_is_taken():
    leases = FakeLeases()
    first = candidate(leases, "first")
    await first.acquire()
    await first.release()
    assert leases.lease is not None
    leases.lease["metadata"]["labels"] = {"team": "shop"}
    await candidate(leases, "second").acquire()
    assert leases.lease["metadata"]["labels"] == {
        "team": "shop",
        "asyncapiproxy.dev/installation": "mine",
    }


@in_virtual_time
async def test_of_two_one_leads_until_it_releases():
    leases = FakeLeases()
    first, second = candidate(leases, "first"), candidate(leases, "second")
    await first.acquire()
    assert leases.lease is not None
    assert leases.lease["metadata"]["labels"] == {"asyncapiproxy.dev/installation": "mine"}
    waiting = asyncio.create_task(second.acquire())
    holding = asyncio.create_task(first.hold())
    done, _ = await asyncio.wait([waiting, holding], timeout=3_600)
    assert not done
    holding.cancel()
    await first.release()
    async with asyncio.timeout(2):
        await waiting
    assert (first.is_leading, second.is_leading) == (False, True)
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


@in_virtual_time
async def test_a_renewal_that_is_written_though_it_was_cancelled_keeps_nobody_waiting():
    leases = FakeLeases()
    first, second = candidate(leases, "first"), candidate(leases, "second")
    await first.acquire()
    assert leases.lease is not None
    # As a stop leaves it: the API server has taken what the holder has not heard of.
    await leases.replace_lease("operator", leases.lease)
    await first.release()
    assert await asyncio.wait_for(second.acquire(), 1) is None
    assert second.is_leading


@in_virtual_time
async def test_a_lease_that_another_has_taken_is_not_given_back():
    leases = FakeLeases()
    first = candidate(leases, "first")
    await first.acquire()
    assert leases.lease is not None
    taken = {**leases.lease["spec"], "holderIdentity": "other"}
    await leases.replace_lease("operator", {**leases.lease, "spec": taken})
    await first.release()
    assert leases.lease["spec"]["holderIdentity"] == "other"


@in_virtual_time
async def test_a_leader_that_vanishes_is_followed_after_the_leases_duration():
    leases = FakeLeases()
    await candidate(leases, "first").acquire()
    second = candidate(leases, "second")
    began = now()
    await second.acquire()
    assert 15 <= now() - began <= 15 + 2


@in_virtual_time
async def test_a_leader_that_cannot_renew_gives_up_in_time():
    leases = FakeLeases()
    leader = candidate(leases, "first")
    await leader.acquire()
    began = now()
    leases.away = True
    with pytest.raises(LeadershipLostError, match="could not be renewed for 10 s"):
        await leader.hold()
    assert now() - began == pytest.approx(10)


@in_virtual_time
async def test_a_leader_survives_an_api_server_that_is_away_for_a_moment():
    leases = FakeLeases()
    leader = candidate(leases, "first")
    await leader.acquire()
    holding = asyncio.create_task(leader.hold())
    leases.away = True
    await asyncio.wait([holding], timeout=9)
    leases.away = False
    done, _ = await asyncio.wait([holding], timeout=3_600)
    assert not done
    holding.cancel()


@in_virtual_time
async def test_an_api_server_that_is_away_is_waited_for():
    leases = FakeLeases()
    leases.away = True
    leader = candidate(leases, "first")
    acquiring = asyncio.create_task(leader.acquire())
    done, _ = await asyncio.wait([acquiring], timeout=3_600)
    assert not done
    leases.away = False
    async with asyncio.timeout(2):
        await acquiring


@in_virtual_time
async def test_a_lease_that_another_took_is_lost_at_the_next_renewal():
    leases = FakeLeases()
    leader = candidate(leases, "first")
    await leader.acquire()
    taken = await leases.get_lease("operator")
    assert taken is not None
    taken["spec"]["holderIdentity"] = "other"
    await leases.replace_lease("operator", taken)
    async with asyncio.timeout(3):
        with pytest.raises(LeadershipLostError, match="is held by other"):
            await leader.hold()


@in_virtual_time
async def test_a_candidate_counts_from_the_end_of_a_look_however_long_it_took():
    """The Lease may have been renewed while the look was on its way."""

    class SlowLeases(FakeLeases):
        look_seconds = 0

        async def get_lease(self, _name: str) -> dict[str, Any] | None:
            await asyncio.sleep(self.look_seconds)
            return await super().get_lease(_name)

    leases = SlowLeases()
    await candidate(leases, "first").acquire()
    second = candidate(leases, "second")
    leases.look_seconds = 20
    assert not await second._try()
    leases.look_seconds = 1
    assert not await second._try(), "its holder may have renewed it a second ago"
    leases.look_seconds = 15
    assert await second._try()
