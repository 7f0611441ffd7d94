"""Brings what is noted of upstreams in line with the operations file, which may have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.statements.limit_states import LimitStates


@dataclass(frozen=True, slots=True)
class Breakers:
    """The duty: a breaker that was changed or taken out leaves nobody waiting by what it was."""

    states: LimitStates
    operations: LiveOperations

    async def follow_file(self) -> bool:
        """Do it, all at once; returns False. Raises DatabaseUnavailableError."""
        await self.states.follow_file(self.operations.current.values())
        return False
