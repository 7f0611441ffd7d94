"""Keeps the executor on the roster, and learns there whether it is to drain."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.statements.roster import Heartbeat

if TYPE_CHECKING:
    from asyncexecutor.intake import Intake
    from asynctasks.statements.roster import Roster

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
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

    async def run(self, until: asyncio.Event) -> None:
        """Report again and again until then, and then leave the roster."""
        was_away = False
        while not until.is_set():
            try:
                draining = await self.roster.beat(self._heartbeat())
            except DatabaseUnavailableError as error:
                if not was_away:
                    log.warning("executor not reported", reason=str(error))
                was_away = True
            else:
                was_away = False
                if await self.intake.follow(draining=draining):
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self.interval_seconds):
                    await until.wait()
        try:
            await self.roster.leave(self.name)
        except DatabaseUnavailableError as error:
            log.warning("executor not taken off the roster", reason=str(error))

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
