"""How many more tasks may start under each of the bounds that they keep. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from asynctasks.limits.limit import Bounds
    from asynctasks.limits.limit_state import LimitState

Key = tuple[str, str]
"""A limit and one of those who share it."""


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A task that could start, were there room for it."""

    id: UUID
    waited_seconds: float
    """Since it was due: since it was submitted, or its delay or backoff was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Held tasks that only their age tells apart."""

    queue: str
    operation: str
    priority: int
    fair_key: str
    tasks: Sequence[HeldTask]
    """As many of them as were read, the one that has waited longest first."""
    is_cut: bool = False
    """Whether there may be more of them."""


@dataclass(frozen=True, slots=True)
class InHand:
    """How many tasks of one operation and key are neither held nor ended."""

    started: int = 0
    """They run, or wait for the next poll of their upstream's job."""
    published: int = 0
    """They have a message, and no executor has claimed them yet."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.started + self.published

    def __add__(self, other: InHand) -> InHand:
        """Both together."""
        return InHand(self.started + other.started, self.published + other.published)


@dataclass(frozen=True, slots=True)
class KeyState:
    """One of those who share a limit, where something is noted of it."""

    turn: float = 0.0
    allowed_in_seconds: float = 0.0
    """Until its starts so far are spread evenly at its own rate; 0 or less where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that decides what may start, as it is at one moment."""

    limits_of: Mapping[str, Sequence[str]]
    """The limits of each operation."""
    states: Mapping[str, LimitState]
    in_hand: Mapping[tuple[str, str], InHand]
    """By operation and key."""
    keys: Mapping[Key, KeyState] = field(default_factory=dict[Key, KeyState])
    queue_rooms: Mapping[str, int]
    """How many more messages each queue may have; one that is missing takes none."""
    reserved: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """By operation and key the places that processes have taken ahead: in hand, too."""


@dataclass(slots=True)
class Room:
    """What is left under one bound."""

    at_once: float
    """How many more may be in hand."""
    tokens: float = math.inf
    """How many may start now by the rate, less those that are about to."""
    rate: float = math.inf

    @property
    def left(self) -> float:
        """How many more may start."""
        return (
            self.at_once if self.tokens == math.inf else min(self.at_once, math.floor(self.tokens))
        )

    def take(self) -> None:
        """One starts."""
        self.at_once -= 1
        self.tokens -= 1

    @property
    def more_in_seconds(self) -> float:
        """When the next may start; infinite where another has to end before."""
        if self.at_once < 1:
            return math.inf
        return 0.0 if self.tokens >= 1 else (1 - self.tokens) / self.rate


class Rooms:
    """The room under every bound, as tasks take of it."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._in_hand = _in_hand_of_limits(situation)
        self._rooms: dict[tuple[str, ...], Room] = {}

    def left_for(self, group: Group) -> float:
        """How many tasks of the group may start now."""
        return min(room.left for room in self._of(group))

    def more_in_seconds(self, group: Group) -> float:
        """When the next of the group may start, if nothing else changes."""
        return max(room.more_in_seconds for room in self._of(group))

    def take(self, group: Group) -> None:
        """One of the group starts."""
        for room in self._of(group):
            room.take()

    def _of(self, group: Group) -> list[Room]:
        states = self._situation.states
        limits = self._situation.limits_of[group.operation]
        bounds = [
            ("queue", group.queue),
            *(("limit", name) for name in limits),
            *(("key", name, group.fair_key) for name in limits if states[name].limit.per_key),
        ]
        for bound in bounds:
            if bound not in self._rooms:
                self._rooms[bound] = self._room(*bound)
        return [self._rooms[bound] for bound in bounds]

    def _room(self, kind: str, name: str, key: str | None = None) -> Room:
        if kind == "queue":
            return Room(self._situation.queue_rooms.get(name, 0))
        state = self._situation.states[name]
        in_hand = self._in_hand[name, key]
        if key is None:
            return room_of(state, in_hand)
        assert state.limit.per_key is not None
        known = self._situation.keys.get((name, key), KeyState())
        return _room(state.limit.per_key, known.allowed_in_seconds, in_hand)


def room_of(state: LimitState, in_hand: InHand) -> Room:
    """The room under a limit."""
    if state.paused:
        return Room(0)
    room = _room(state.limit, state.allowed_in_seconds, in_hand)
    if (at_once := state.breaker.most_at_once) is not None:
        room.at_once = min(room.at_once, at_once - in_hand.total)
    return room


def _room(bounds: Bounds, allowed_in_seconds: float, in_hand: InHand) -> Room:
    room = Room(math.inf)
    if bounds.concurrency is not None:
        room.at_once = bounds.concurrency - in_hand.total
    if bounds.rate_per_second is not None:
        # GCRA: what has started is spread evenly, and may be so much ahead of the clock.
        room.rate = bounds.rate_per_second
        room.tokens = bounds.burst - bounds.spent_starts(allowed_in_seconds) - in_hand.published
    return room


def _in_hand_of_limits(situation: Situation) -> Mapping[tuple[str, str | None], InHand]:
    """By limit and key; with None as the key of all together."""
    found: defaultdict[tuple[str, str | None], InHand] = defaultdict(InHand)
    reserved = {of: InHand(published=places) for of, places in situation.reserved.items()}
    for (operation, key), count in (*situation.in_hand.items(), *reserved.items()):
        for name in situation.limits_of.get(operation, ()):
            found[name, key] += count
            found[name, None] += count
    return found
