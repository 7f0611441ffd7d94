"""Keeps the executor on the roster, and learns there whether it is to drain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.loop import Loop
from asynctasks.statements.roster import Heartbeat

if TYPE_CHECKING:
    from asyncexecutor.intake import Intake
    from asynctasks.statements.roster import Roster

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class HeartbeatLoop:
    """Reports one executor to the roster, and has its intake drain or consume as that says.

    While the database is away it goes by what it was told last.
    """

    roster: Roster
    intake: Intake
    name: str
    queue: str
    pod: str | None
    concurrency: int
    interval_seconds: float
    loop: Loop = field(init=False)

    def __post_init__(self) -> None:
        self.loop = Loop("heartbeat", self._beat, interval_seconds=self.interval_seconds)

    async def run(self) -> None:
        """Report again and again until the loop is told to end, and then leave the roster."""
        await self.loop.run()
        try:
            await self.roster.leave(self.name)
        except DatabaseUnavailableError as error:
            log.warning("executor not taken off the roster", reason=str(error))

    async def _beat(self) -> bool:
        """Report; whether that has changed what there is to report."""
        draining = await self.roster.beat(self._heartbeat())
        return await self.intake.follow(draining=draining)

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            name=self.name,
            queue=self.queue,
            pod=self.pod,
            concurrency=self.concurrency,
            running=self.intake.in_hand,
            consuming=not self.intake.has_left,
            idle_seconds=self.intake.idle_seconds,
        )
