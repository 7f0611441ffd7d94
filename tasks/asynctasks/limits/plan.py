"""Which held tasks may start now. Pure: no clock, no I/O.

What becomes of a queued task, and where its limits count it:

    held ───── release ────▶ published ───── claim ────▶ running ─────▶ ended
     ▲  a row, no message      │  ▲  │                     │  │
     │                         │  └──┘ message lost        │  └─▶ waits for its job's next poll
     ├───── paused meanwhile ──┘                           │
     └───── retry, lease run out, given back ──────────────┘

From the release on a task is in hand of its limits, until its attempt has ended: what is counted
are rows, so that nothing can leak. The rate is spent at the claim; what is published and has not
been claimed counts as about to spend it.

Where nothing waits a task need not be held at all: it is inserted as published in a place that its
process has reserved (`limits/reserve`). Such places are in hand like what is published, until one
who waits could start in them: then they are taken back, and the plan is made anew.

The order: priority first, which grows with the time that the longest waiting task of that priority
has waited, so that none starves. Then whose turn it is: each start moves the turn of its key on by
one over its weight, and the lowest is next (stride scheduling). Then age.

All tasks of a priority age together. Were each older for itself, a key's backlog would be of a
higher priority than what others submit now, and keep them waiting for its whole length.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asynctasks.limits.rooms import Group, HeldTask, Key, KeyState, Rooms, Situation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

SECONDS_A_PRIORITY = 60.0
"""So long a wait counts as much as one priority more, up to the highest."""
HIGHEST_PRIORITY = 9


@dataclass(slots=True)
class Plan:
    """What to release, in order, and how it goes on from there."""

    tasks: list[UUID] = field(default_factory=list["UUID"])
    turns: dict[str, float] = field(default_factory=dict[str, float])
    """Of limits: a key with no higher turn than that is not ahead of the others any more."""
    key_turns: dict[Key, float] = field(default_factory=dict[Key, float])
    waits: bool = False
    """Whether held tasks are left."""
    has_more: bool = False
    """Whether some of these may start at once: no more of them had been read."""
    more_in_seconds: float = math.inf
    """When the next may start by a rate, if no other task ends before."""


def plan(situation: Situation, groups: Sequence[Group]) -> Plan:
    """The tasks that may start now, in the order in which they are to."""
    rooms, fairness, made = Rooms(situation), _Fairness(situation), Plan()
    waiting = [_Waiting(group) for group in groups]
    ready = [one for one in waiting if rooms.left_for(one.group) > 0]
    priorities = _effective_priorities(one.group for one in ready)

    def rank(one: _Waiting) -> tuple[float, ...]:
        """The lowest is next."""
        priority = priorities[one.group.priority]
        return -priority, fairness.ahead(one.group), -one.first.waited_seconds

    ranked = [(rank(one), number) for number, one in enumerate(ready)]
    heapq.heapify(ranked)
    while ranked:
        ranked_at, number = heapq.heappop(ranked)
        one = ready[number]
        if rooms.left_for(one.group) <= 0:
            continue
        # Another of its key may have started since it was ranked.
        if ranked_at == rank(one):
            made.tasks.append(one.first.id)
            rooms.take(one.group)
            fairness.start(one.group)
            one.taken += 1
        if one.has_read:
            heapq.heappush(ranked, (rank(one), number))
    left = [one.group for one in waiting if one.is_left]
    made.waits = bool(left)
    made.has_more = any(rooms.left_for(group) > 0 for group in left)
    made.more_in_seconds = min(map(rooms.more_in_seconds, left), default=math.inf)
    made.turns, made.key_turns = fairness.moved(_limits_of(left, situation))
    return made


@dataclass(slots=True)
class _Waiting:
    """A group, and how many of it are taken."""

    group: Group
    taken: int = 0

    @property
    def first(self) -> HeldTask:
        return self.group.tasks[self.taken]

    @property
    def has_read(self) -> bool:
        return self.taken < len(self.group.tasks)

    @property
    def is_left(self) -> bool:
        return self.has_read or self.group.is_cut


class _Fairness:
    """Whose turn it is, in each of the limits that are shared evenly."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._turns: dict[str, float] = {}
        self._key_turns: dict[Key, float] = {}

    def ahead(self, group: Group) -> float:
        """By how much its key has had more than its share, in the worst of its limits.

        Measured from where a limit's turn was at first, which leaves the order as it is.
        """
        return max((self._ahead(name, group.fair_key) for name in self._shared(group)), default=0.0)

    def start(self, group: Group) -> None:
        """One of the group starts: the turn of its key moves on, and its limits' up to that."""
        for name in self._shared(group):
            state = self._situation.states[name]
            turn = state.turn + self._ahead(name, group.fair_key)
            weight = state.limit.weight_of(group.fair_key)
            self._turns[name] = max(self._turns.get(name, state.turn), turn)
            self._key_turns[name, group.fair_key] = turn + 1 / weight

    def moved(self, limits: set[str]) -> tuple[dict[str, float], dict[Key, float]]:
        """The turns of these limits and of their keys, as far as they have moved.

        Where nobody waits for a limit, all have had what they asked for, and nobody is ahead.
        """
        return (
            {name: turn for name, turn in self._turns.items() if name in limits},
            {key: turn for key, turn in self._key_turns.items() if key[0] in limits},
        )

    def _shared(self, group: Group) -> list[str]:
        states = self._situation.states
        limits = self._situation.limits_of[group.operation]
        return [name for name in limits if states[name].limit.fair_by is not None]

    def _ahead(self, name: str, key: str) -> float:
        known = self._situation.keys.get((name, key), KeyState())
        turn = self._key_turns.get((name, key), known.turn)
        return max(0.0, turn - self._situation.states[name].turn)


def _effective_priorities(groups: Iterable[Group]) -> dict[int, int]:
    waited: defaultdict[int, float] = defaultdict(float)
    for group in groups:
        waited[group.priority] = max(waited[group.priority], group.tasks[0].waited_seconds)
    return {
        priority: min(HIGHEST_PRIORITY, priority + int(seconds / SECONDS_A_PRIORITY))
        for priority, seconds in waited.items()
    }


def _limits_of(groups: Iterable[Group], situation: Situation) -> set[str]:
    return {name for group in groups for name in situation.limits_of[group.operation]}
