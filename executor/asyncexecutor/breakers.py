"""Tells the limits of an operation how their upstream fares, before an attempt's end is recorded.

An attempt without such limits pays nothing, and one that succeeds only while there are failures to
forget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from asyncexecutor.database_waits import when_there
from asyncexecutor.upstream_sign import sign_of
from asynctasks.limits.limit_state import BreakerKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncexecutor.failures import AttemptFailedError
    from asyncexecutor.runner import Answer, JobGoesOn
    from asyncexecutor.upstream_sign import Sign
    from asynctasks.limits.gates import Gates
    from asynctasks.limits.limit import Limit
    from asynctasks.limits.limit_state import LimitState
    from asynctasks.operations.operation import Operation
    from asynctasks.statements.claimed_task import ClaimedTask
    from asynctasks.statements.limit_states import LimitStates

log = structlog.get_logger(__name__)


class Breakers:
    """Notes what attempts say of their upstreams."""

    def __init__(self, states: LimitStates, gates: Gates) -> None:
        self._states = states
        self._gates = gates

    async def note(
        self,
        task: ClaimedTask,
        operation: Operation,
        result: Answer | JobGoesOn | AttemptFailedError,
    ) -> str | None:
        """Note it; the limit whose upstream is down, where the attempt has failed by that.

        A poll is no call of what is limited, and so says nothing.
        """
        if task.upstream_job is not None:
            return None
        broken = [limit for limit in operation.declared_limits if limit.breaker is not None]
        sign = sign_of(result, operation.retry) if broken else None
        if sign is None:
            return None
        if sign.is_up:
            await self._note_success(task, broken)
            return None
        return await self._note_failure(task, broken, sign)

    async def _note_success(self, task: ClaimedTask, broken: Sequence[Limit]) -> None:
        doubted = [one for one in broken if self._is_doubted(one)]
        if doubted:
            started_at = task.attempt_started_at
            self._know(
                await when_there(lambda: self._states.note_success(doubted, started_at=started_at))
            )

    async def _note_failure(
        self, task: ClaimedTask, broken: Sequence[Limit], sign: Sign
    ) -> str | None:
        # What ends while the upstream is left alone is no news, unless that asks for time.
        if sign.asked_seconds is not None or not all(map(self._rests, broken)):
            self._know(
                await when_there(
                    lambda: self._states.note_failure(
                        broken,
                        started_at=task.attempt_started_at,
                        asked_seconds=sign.asked_seconds,
                    )
                )
            )
        return next((limit.name for limit in broken if self._is_open(limit)), None)

    def _is_doubted(self, limit: Limit) -> bool:
        return self._gates.breaker(limit.name).is_doubted and not self._rests(limit)

    def _rests(self, limit: Limit) -> bool:
        return self._gates.breaker(limit.name).most_at_once == 0

    def _is_open(self, limit: Limit) -> bool:
        return self._gates.breaker(limit.name).kind is BreakerKind.OPEN

    def _know(self, states: Mapping[str, LimitState]) -> None:
        for name, state in states.items():
            before, now = self._gates.breaker(name).kind, state.breaker.kind
            if now is not before:
                log.warning("limit's breaker has turned", limit=name, breaker=now.value)
        self._gates.know(states)
