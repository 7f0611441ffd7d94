"""Elects the one operator that acts, by a Lease, in the way of client-go's leader election.

    start ──▶ ┌───────────┐  looks every `retry_seconds`, and stays one while another holds it,
              │ candidate │  or is quicker to take it, or the API server does not answer (then
              └─────┬─────┘  `obstacle` says why)
                    │
                    │ there is no Lease, or its holder is empty, or it has not changed for as
                    │ long as it says itself, counted from our own first look at it as it is:
                    ▼ we write our name
              ┌───────────┐  writes a new `renewTime` every `retry_seconds`; where that fails,
              │  leading  │  again within a second; after a conflict, on the Lease as it is now,
              └──┬─────┬──┘  if its holder is still us
     told to stop│     │
                 │     │ another holds it, or it was deleted, or `renew_seconds` are over since
                 ▼     ▼ the beginning of the last write that worked
          ┌────────┐ ┌──────┐
          │released│ │ lost │  LeadershipLostError; the process ends at once, without cleaning up
          └────────┘ └──────┘
    the holder is empty:
    another leads at its next look

The Lease holds `holderIdentity`, who leads; `leaseDurationSeconds`, how long others wait for a sign
of life; `renewTime`, that sign; `acquireTime` and `leaseTransitions`, since when this one leads and
how many did before. Each write names the version it is based on, so of two writers one meets a
conflict.

No clock is compared with another's: to a candidate `renewTime` is only something that changes. Both
sides measure a time of their own from each renewal, and the leader's begins earlier and is shorter:

               renewal begins                     must have worked by now, or it is lost
    leader     ├────────── renew_seconds ─────────┤
    candidate       ├─────────────── lease_seconds ───────────────┤
                    has seen it                                   may take it

So two never lead at a time, as long as their clocks run about equally fast. It is no fence, though:
a process that was suspended may finish the write that it was at before it finds out.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from asyncoperator.cluster.custom_object import INSTALLATION
from asyncoperator.cluster.kube_errors import (
    KubeConflictError,
    KubeError,
    KubeExistsError,
    KubeGoneError,
)
from asynctasks.errors import AsyncApiProxyError
from asynctasks.json_values import as_object
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncoperator.cluster.custom_object import Object
    from asyncoperator.cluster.kube import Kube

RELEASED_SECONDS = 1
"""A released Lease is free at once; this is for readers that look at its times alone."""
RELEASE_SECONDS = 2.0
"""How long giving it back may hold up the end of an operator that has stopped."""

log = structlog.get_logger(__name__)


class LeadershipLostError(AsyncApiProxyError):
    """The Lease is another's, or could not be renewed in time: this operator must not act."""


@dataclass(slots=True)
class Observation:
    """When a Lease last changed, by our own clock: the holder's may be wrong."""

    record: tuple[Any, ...] = ()
    changed_at: float = 0.0

    def is_free(self, lease: Object, *, now: float, lease_seconds: float) -> bool:
        """Whether nobody holds the Lease, or its holder has not renewed it for its duration.

        The first look at a Lease starts the wait, however old its times are.
        """
        spec = _spec(lease)
        record = tuple(spec.get(name) for name in ("holderIdentity", "renewTime", "acquireTime"))
        if record != self.record:
            self.record, self.changed_at = record, now
        if not spec.get("holderIdentity"):
            return True
        return now - self.changed_at >= (spec.get("leaseDurationSeconds") or lease_seconds)


@dataclass(slots=True)
class Leader:
    """Our candidacy for one Lease: first `acquire`, then `hold`, at last `release`."""

    kube: Kube
    name: str
    identity: str
    installation: str
    """By the Lease's label, other installations in the namespace know of ours."""
    lease_seconds: int
    renew_seconds: float
    retry_seconds: float
    clock: Callable[[], float] = time.monotonic
    is_leading: bool = False
    _standing_by: Loop = field(init=False)
    _holding: Loop = field(init=False)
    _observed: Observation = field(default_factory=Observation)
    _lease: Object = field(default_factory=dict[str, Any])
    _renewed_at: float = 0.0

    def __post_init__(self) -> None:
        self._standing_by = Loop(
            f"lease {self.name}",
            self._look,
            interval_seconds=self.retry_seconds,
            # One that has just started refuses everybody until it knows the Roles.
            waits_for=(KubeError,),
        )
        # What is away has until the Lease ends, and no longer.
        self._holding = Loop(
            f"lease {self.name}", self._renew, interval_seconds=self.retry_seconds, waits_for=()
        )

    @property
    def loops(self) -> Sequence[Loop]:
        """Of which one runs at a time."""
        return (self._standing_by, self._holding)

    @property
    def obstacle(self) -> str | None:
        """Why the Lease could not be looked at, for /readyz."""
        away = self._standing_by.obstacle
        return None if away is None else f"the Lease cannot be looked at: {away}"

    async def acquire(self) -> None:
        """Return as the leader. An API server that is away, or refuses us, is waited for."""
        await self._standing_by.run()
        log.info("operator leads", lease=self.name, identity=self.identity)

    async def hold(self) -> None:
        """Renew again and again. It only ends by raising LeadershipLostError, or cancelled."""
        await self._holding.run()

    async def release(self) -> None:
        """Let another lead at once; where that does not work, they wait for the Lease to end."""
        if not self.is_leading:
            return
        self.is_leading = False
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._give_back()
        except (KubeError, LeadershipLostError, TimeoutError) as error:
            log.warning("lease not released", lease=self.name, reason=str(error))

    async def _give_back(self) -> None:
        given_back = {"holderIdentity": "", "leaseDurationSeconds": RELEASED_SECONDS}
        while True:
            try:
                await self._write(self._lease, {"renewTime": _now(), **given_back})
            except KubeConflictError:
                # A renewal that was cancelled may have been written all the same.
                await self._read_again()
            else:
                return

    async def _look(self) -> None:
        self.is_leading = await self._try()
        if self.is_leading:
            self._standing_by.end()

    async def _renew(self) -> None:
        left = self._renewed_at + self.renew_seconds - self.clock()
        try:
            async with asyncio.timeout(left):
                await self._renew_until_done()
        except TimeoutError:
            raise LeadershipLostError(
                f"The Lease {self.name} could not be renewed for {self.renew_seconds:g} s"
            ) from None

    async def _try(self) -> bool:
        lease = await self.kube.get_lease(self.name)
        # Not before: the Lease may have been renewed while the look was on its way.
        now = self.clock()
        try:
            if lease is None:
                self._lease = await self.kube.create_lease(self._new())
            elif self._observed.is_free(lease, now=now, lease_seconds=self.lease_seconds):
                spec = _spec(lease)
                turns = (spec.get("leaseTransitions") or 0) + 1
                await self._write(lease, self._ours(acquired=True) | {"leaseTransitions": turns})
            else:
                return False
        except (KubeConflictError, KubeExistsError, KubeGoneError):
            return False  # another was quicker
        self._renewed_at = now
        return True

    async def _renew_until_done(self) -> None:
        while True:
            now = self.clock()
            try:
                await self._write(self._lease, self._ours())
            except KubeConflictError:
                await self._read_again()
            except KubeGoneError as error:
                raise LeadershipLostError(f"The Lease {self.name} was deleted") from error
            except KubeError as error:
                log.warning("lease not renewed", lease=self.name, reason=str(error))
                await asyncio.sleep(min(1.0, self.retry_seconds))
            else:
                self._renewed_at = now
                return

    async def _read_again(self) -> None:
        """After a conflict: somebody wrote to our Lease, maybe only a label."""
        try:
            lease = await self.kube.get_lease(self.name)
        except KubeError as error:
            log.warning("lease not read", lease=self.name, reason=str(error))
            await asyncio.sleep(min(1.0, self.retry_seconds))
            return
        holder = _spec(lease or {}).get("holderIdentity")
        if lease is None or holder != self.identity:
            raise LeadershipLostError(f"The Lease {self.name} is held by {holder or 'nobody'}")
        self._lease = lease

    async def _write(self, lease: Object, spec: Object) -> None:
        metadata = lease["metadata"]
        labels = (as_object(metadata.get("labels")) or {}) | self._labels
        body = lease | {"metadata": metadata | {"labels": labels}, "spec": _spec(lease) | spec}
        self._lease = await self.kube.replace_lease(self.name, body)

    def _new(self) -> Object:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "labels": self._labels},
            "spec": self._ours(acquired=True) | {"leaseTransitions": 0},
        }

    @property
    def _labels(self) -> Object:
        return {INSTALLATION: self.installation}

    def _ours(self, *, acquired: bool = False) -> Object:
        now = _now()
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.lease_seconds,
            "renewTime": now,
        }
        return spec | {"acquireTime": now} if acquired else spec


def _spec(lease: Object) -> Object:
    return as_object(lease.get("spec")) or {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
