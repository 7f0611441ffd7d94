"""A pool of executors in memory, scaled by the demand of a real task table."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from asyncoperator.cluster.neighbours import Neighbours
from asyncoperator.scaling.loop import PoolsLoop
from asynctasks.database import Database
from asynctasks.errors import BrokerUnavailableError
from asynctasks.limits.limit import Limit
from asynctasks.operations.new_task import NewTask
from asynctasks.statements.demand import DemandReader
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.roster import Heartbeat, Roster
from asynctestkit.fake_kube import FakeKube
from asynctestkit.inside import by_name, operation

if TYPE_CHECKING:
    from asyncoperator.cluster.kube import Kube
    from asynctasks.broker.protocol import Broker

MakeTask = Callable[..., NewTask]


class Silent:
    """A broker that is away."""

    async def count_ready(self, _: str) -> int:
        raise BrokerUnavailableError


class Scene:
    """A pool, its executors, and the loop of the operator that leads."""

    def __init__(self, parts: Any, new_task: MakeTask, kube: FakeKube) -> None:
        self.parts, self._new_task, self.kube = parts, new_task, kube
        self.roster = Roster(parts.database)
        self.running: dict[str, int] = {}
        self.draining: dict[str, bool] = {}
        self.broker: Any = Silent()
        self.operations = by_name([operation()])
        self.loop = self.new_leader()

    def new_leader(self, database: Database | None = None) -> PoolsLoop:
        """The loop of another operator, which knows nothing of the past."""
        self.loop = PoolsLoop(
            kube=cast("Kube", self.kube),
            demand=DemandReader(database or self.parts.database),
            roster=self.roster if database is None else Roster(database),
            limit_states=LimitStates(database or self.parts.database),
            operations=self.operations,
            broker=cast("Broker", self.broker),
            neighbours=Neighbours(cast("Kube", self.kube), "mine"),
            tick_seconds=2,
            mirror_is_degraded=lambda: False,
        )
        return self.loop

    async def beat(self) -> None:
        """Every executor reports, and does as it is told, as a real one does."""
        for name, pod in list(self.kube.pods_by_name.items()):
            draining = await self._report(name)
            if draining is not self.draining.get(name, False):
                self.draining[name] = draining
                await self._report(name)
            pod.ready = not draining

    async def _report(self, name: str) -> bool:
        running = self.running.get(name, 0)
        return await self.roster.beat(
            Heartbeat(
                name=name,
                queue="clients",
                pod=name,
                concurrency=2,
                running=running,
                consuming=not self.draining.get(name, False),
                idle_seconds=None if running else 5.0,
            )
        )

    async def tick(self, times: int = 1) -> None:
        for _ in range(times):
            await self.beat()
            await self.loop.tick()

    async def submit(self, count: int) -> list[UUID]:
        new = [self._new_task(published=True, publish_in_seconds=60) for _ in range(count)]
        for task in new:
            await self.parts.store.add(task)
        return [task.id for task in new]

    async def hold(self, count: int) -> None:
        """Submit what no executor has a message of."""
        for _ in range(count):
            await self.parts.store.add(self._new_task())

    def limit(self, **declared: Any) -> None:
        """From now on the operation keeps a limit."""
        limit = Limit.model_validate({"name": "crm", **declared})
        self.operations = by_name([operation(limits=["crm"]).bounded_by({"crm": limit})])
        self.new_leader()

    async def run_on(self, name: str, task_id: UUID) -> None:
        await self.parts.claims(name).claim(task_id)
        self.running[name] = self.running.get(name, 0) + 1


OpenScene = Callable[..., Scene]
