"""What becomes of a plan's writes when the API server refuses one, or is away."""

from typing import Any

from asyncoperator.cluster.kube_errors import KubeError, KubeRefusedError, KubeUnavailableError
from asyncoperator.mirror.object_cache import ObjectCache
from asyncoperator.mirror.plan import Show
from asyncoperator.mirror.write_budget import WriteBudget
from asyncoperator.mirror.writer import PAUSE_SECONDS, MirrorWriter
from asynctasks.task import TaskStatus
from asynctestkit.mirrored import row, seen

QUEUED = row(status=TaskStatus.QUEUED)
ANOTHER = row(1, status=TaskStatus.QUEUED)


class Kube:
    """Takes every status, but for the objects that it has a fault for."""

    def __init__(self) -> None:
        self.faults: dict[str, KubeError] = {}
        self.written: list[str] = []

    async def apply_status(self, _: str, name: str, status: Any, *, uid: str) -> dict[str, Any]:
        if fault := self.faults.get(name):
            raise fault
        self.written.append(name)
        metadata = {
            "name": name,
            "uid": uid,
            "resourceVersion": "2",
            "creationTimestamp": "2026-01-31T12:00:00Z",
        }
        return {"metadata": metadata, "spec": {"operation": "wait"}, "status": status}


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def make_writer(kube: Kube, clock: Clock) -> MirrorWriter:
    anything: Any = kube
    return MirrorWriter(
        anything,
        objects=ObjectCache(),
        budget=WriteBudget(per_second=20, burst=40, clock=clock),
        installation="asyncapiproxy",
        owner=None,
        public_url="",
        clock=clock,
    )


async def test_a_refused_object_is_left_alone_for_a_minute_and_then_tried_again():
    kube, clock, one = Kube(), Clock(), seen()
    writer = make_writer(kube, clock)
    kube.faults = {one.name: KubeRefusedError(422, "no")}
    written = await writer.write([Show(QUEUED, one)])
    assert (written.shown, written.error, writer.is_paused(QUEUED.id)) == ({}, None, True)
    kube.faults = {}
    clock.now += PAUSE_SECONDS - 1
    assert (await writer.write([Show(QUEUED, one)])).shown == {}
    clock.now += 1
    assert (await writer.write([Show(QUEUED, one)])).shown == {QUEUED.id: QUEUED.version}
    assert kube.written == [one.name]


async def test_what_was_written_is_told_though_the_server_went_away_meanwhile():
    kube, first, second = Kube(), seen(), seen(1)
    gone = kube.faults[first.name] = KubeUnavailableError()
    written = await make_writer(kube, Clock()).write([Show(QUEUED, first), Show(ANOTHER, second)])
    assert (written.shown, written.error) == ({ANOTHER.id: ANOTHER.version}, gone)
