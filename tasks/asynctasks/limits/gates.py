"""How limits and pauses stand, as one process knows it: at most a second old.

Release decides by what it reads under a lock; these only save work and tell people. What a process
writes itself it knows at once.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from asynctasks.instants import utc_now
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.hold import hold_by_limit, hold_by_pause, hold_by_rate
from asynctasks.limits.limit_state import BreakerState, Standing
from asynctasks.limits.pauses import Pauses
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from asynctasks.limits.hold import Hold
    from asynctasks.limits.limit import Limit
    from asynctasks.limits.limit_state import LimitState
    from asynctasks.limits.pauses import Pause

REFRESH_SECONDS = 1.0


class _Bounded(Protocol):
    """An operation, as far as limits and pauses concern it."""

    @property
    def name(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def limits(self) -> tuple[str, ...]: ...


class Gates:
    """What lets tasks start or holds them, as it was read last."""

    def __init__(
        self,
        read: Callable[[], Awaitable[Standing]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._standing = Standing({}, Pauses())
        self._known_at: dict[str, float] = {}
        self.loop = Loop("limits and pauses", self.refresh, interval_seconds=REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Read how all stands; at once after a change. Raises DatabaseUnavailableError."""
        began_at = self._clock()
        read = await self._read()
        later = {
            name: self._standing.states[name]
            for name, known_at in self._known_at.items()
            if known_at > began_at and name in read.states
        }
        self._standing = replace(read, states={**read.states, **later})
        self._known_at = {
            name: self._known_at[name] if name in later else began_at for name in read.states
        }

    def know(self, states: Mapping[str, LimitState]) -> None:
        """Take over what this process has written of these limits."""
        self._standing = replace(self._standing, states={**self._standing.states, **states})
        self._known_at.update(dict.fromkeys(states, self._clock()))

    @property
    def pauses(self) -> Pauses:
        """All that is paused."""
        return self._standing.pauses

    @property
    def states(self) -> dict[str, LimitState]:
        """How each limit stands by now."""
        return {name: self._state(name) for name in self._standing.states}

    def in_effect(self, declared: Limit) -> Limit:
        """The limit with what somebody has set in place of the file's."""
        state = self._standing.states.get(declared.name)
        return declared if state is None else state.limit

    def is_paused(self, operation: _Bounded) -> bool:
        """Whether somebody has paused its queue, itself or one of its limits."""
        return self._pause(operation) is not None

    def held_among(self, operations: Iterable[_Bounded]) -> list[str]:
        """The names of those of which no attempt may start: paused, or their upstream rests."""
        if not self._standing.pauses.by_name and not self._standing.states:
            return []
        return [each.name for each in operations if not self._lets_start(each)]

    def breaker(self, limit: str) -> BreakerState:
        """How the limit's breaker stands by now."""
        known = self._standing.states.get(limit)
        if known is None:
            return BreakerState()
        # Of most time changes nothing, and each attempt asks.
        return self._state(limit).breaker if known.breaker.is_doubted else known.breaker

    def why_held(self, operation: _Bounded, fair_key: str) -> Hold | None:
        """What a held task of it waits for; None where it is about to start.

        A rate is told last, of which the next may start at any moment: whatever else holds it does
        so for longer.
        """
        pause = self._pause(operation)
        if pause is not None:
            return hold_by_pause(pause)
        known = [name for name in operation.limits if name in self._standing.states]
        holds = [self._hold(name, fair_key) for name in known]
        states = self._standing.states
        rates = [hold_by_rate(states[name].limit, fair_key=fair_key) for name in known]
        return next((hold for hold in (*holds, *rates) if hold is not None), None)

    def _lets_start(self, operation: _Bounded) -> bool:
        rests = (self.breaker(name).most_at_once == 0 for name in operation.limits)
        return not self.is_paused(operation) and not any(rests)

    def _pause(self, operation: _Bounded) -> Pause | None:
        pauses = self._standing.pauses
        if not pauses.by_name:
            return None
        of_limits = (pauses.of(PausedKind.LIMIT, name) for name in operation.limits)
        return pauses.of_tasks(queue=operation.queue, operation=operation.name) or next(
            (pause for pause in of_limits if pause is not None), None
        )

    def _state(self, name: str) -> LimitState:
        """As it is by now, though it was read a moment ago."""
        state = self._standing.states[name]
        since = self._clock() - self._known_at[name]
        breaker = state.breaker
        return replace(
            state,
            allowed_in_seconds=state.allowed_in_seconds - since,
            breaker=replace(
                breaker,
                open_for_seconds=breaker.open_for_seconds - since,
                failing_seconds=breaker.failing_seconds + since,
            ),
        )

    def _hold(self, name: str, fair_key: str) -> Hold | None:
        running = self._standing.running.get(name, {})
        return hold_by_limit(
            self._state(name),
            fair_key=fair_key,
            running=sum(running.values()),
            running_of_key=running.get(fair_key, 0),
            now=utc_now(),
        )
