"""What of a queue's work limits and pauses let run now. Decides only: no clock, no I/O.

Executors for tasks that are held would have nothing to do.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asynctasks.limit_rows import PausedKind
from asynctasks.limits.hold import hold_by_pause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynctasks.limits.gates import Gates
    from asynctasks.limits.limit_state import LimitState
    from asynctasks.operations.operation import Operation, Operations
    from asynctasks.statements.demand import Demand


@dataclass(frozen=True, slots=True)
class Startable:
    """How many of a queue's tasks executors could run, and what keeps the others back."""

    tasks: int
    reason: str | None = None
    """One word, such as Paused; None where nothing is kept back."""
    detail: str = ""
    """Why, in a sentence without its full stop."""


class Startables:
    """What of each queue's work may run, by how limits and pauses stand."""

    def __init__(self, operations: Operations, gates: Gates, demands: Mapping[str, Demand]) -> None:
        self._operations = operations
        self._gates = gates
        self._demands = demands
        self._in_hand = _in_hand(operations, demands)

    def of(self, queue: str, *, seconds: float) -> Startable:
        """Of this queue: what may start now, and what a rate lets start within so many seconds."""
        left = {
            name: _room(state, self._in_hand[name], seconds)
            for name, state in self._gates.states.items()
        }
        tasks, kept = 0, self._paused(queue)
        for name, work in self._demands[queue].operations.items():
            operation = self._operations.get(name)
            if operation is None:
                tasks += work.queued
                continue
            if self._gates.held_among([operation]):
                starts = work.polls
            else:
                limits = [each for each in operation.limits if each in left]
                released = int(min([work.held, *(max(0.0, left[each]) for each in limits)]))
                left.update({each: left[each] - released for each in limits})
                starts = work.polls + work.published + released
            tasks += starts
            if starts < work.queued and kept is None:
                kept = self._why(operation)
        return Startable(tasks, *kept) if kept else Startable(tasks)

    def _paused(self, queue: str) -> tuple[str, str] | None:
        pause = self._gates.pauses.of(PausedKind.QUEUE, queue)
        return pause and ("Paused", hold_by_pause(pause).detail)

    def _why(self, operation: Operation) -> tuple[str, str]:
        if self._gates.is_paused(operation):
            reason = "Paused"
        elif self._gates.held_among([operation]):
            reason = "UpstreamDown"
        else:
            reason = "LimitReached"
        hold = self._gates.why_held(operation, "")
        # It may have gone meanwhile: what is counted here is of another moment.
        limits = " and ".join(operation.limits)
        return reason, hold.detail if hold else f"limit {limits} has no room for {operation.name}"


def _in_hand(operations: Operations, demands: Mapping[str, Demand]) -> Counter[str]:
    """By limit, how many tasks are neither held nor ended."""
    counted: Counter[str] = Counter()
    for demand in demands.values():
        for name, work in demand.operations.items():
            for limit in operations[name].limits if name in operations else ():
                counted[limit] += work.in_hand
    return counted


def _room(state: LimitState, in_hand: int, seconds: float) -> float:
    """How many more tasks the limit lets start."""
    most = math.inf
    if state.limit.concurrency is not None:
        most = state.limit.concurrency - in_hand
    if state.limit.rate_per_second is not None:
        most = min(most, state.limit.rate_per_second * seconds)
    if (at_once := state.breaker.most_at_once) is not None:
        most = min(most, at_once - in_hand)
    return most
