"""How queues, operations and limits stand at one moment, as callers see it."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncproxy.stranded import SEEN_SECONDS
from asynctasks.declarations.declared import Declared
from asynctasks.instants import rfc3339
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit import Breaker, Limit
from asynctasks.limits.limit_state import BreakerKind, LimitState
from asynctasks.statements.task_counts import Counts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from asynctasks.limits.limit import Bounds
    from asynctasks.limits.limit_state import Standing
    from asynctasks.limits.pauses import Pauses
    from asynctasks.operations.operation import Operation, Operations
    from asynctasks.statements.limit_states import LimitStates
    from asynctasks.statements.roster import Roster
    from asynctasks.statements.task_counts import TaskCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All that is known of what this proxy's operations share, to be shown in parts."""

    operations: Operations
    standing: Standing
    counts: Collection[Counts]
    executors: Mapping[str, int]
    """By queue, how many consume it."""

    @property
    def queues(self) -> list[str]:
        """Those of the operations, and any other that has tasks."""
        declared = {operation.queue for operation in self.operations.values()}
        return sorted(declared | {one.queue for one in self.counts})

    @property
    def limits(self) -> list[str]:
        """All that operations name."""
        return sorted(self.standing.states)

    def operations_of(self, kind: PausedKind, name: str) -> list[str]:
        """The operations whose tasks share it, those that left tasks behind, too."""
        left = [
            one.operation for one in self.counts if (kind, name) == (PausedKind.QUEUE, one.queue)
        ]
        return sorted({*sharing(self.operations, kind, name), *left})

    def limit(self, name: str) -> dict[str, Any]:
        """How a limit stands; one that no operation names bounds nothing."""
        bare = Limit(name=name)
        state = self.standing.states.get(name, LimitState(limit=bare, declared=bare))
        operations = self.operations_of(PausedKind.LIMIT, name)
        counts = [one for one in self.counts if one.operation in operations]
        return {
            "name": name,
            "operations": operations,
            "declared": _declared(state.declared),
            "changed": dict(state.changed),
            **_bounds(state.limit),
            "running": sum(one.running for one in counts),
            "held": sum(one.held for one in counts),
            "startsLeft": _starts_left(state),
            "breaker": self._breaker(state),
            "paused": _pause(self.standing.pauses, PausedKind.LIMIT, name),
        }

    def queue(self, name: str) -> dict[str, Any]:
        """How a queue stands, and each operation on it."""
        counts = {one.operation: one for one in self.counts if one.queue == name}
        names = self.operations_of(PausedKind.QUEUE, name)
        return {
            "name": name,
            **_counts(counts.values()),
            "executors": self.executors.get(name, 0),
            "paused": _pause(self.standing.pauses, PausedKind.QUEUE, name),
            "operations": [
                self._operation(each, counts.get(each, Counts(name, each))) for each in names
            ],
        }

    def operation(self, name: str) -> dict[str, Any]:
        """How an operation stands on the queue that it has now.

        Where it is not declared any more: on one where it left tasks, if there is any.
        """
        left = [one for one in self.counts if one.operation == name]
        known = self.operations.get(name)
        if known is None:
            return self._operation(name, left[0] if left else Counts("", name))
        found = [one for one in left if one.queue == known.queue]
        return self._operation(name, *found or [Counts(known.queue, name)])

    def _operation(self, name: str, counts: Counts) -> dict[str, Any]:
        known = self.operations.get(name)
        return {
            "name": name,
            "queue": counts.queue or None,
            **_counts([counts]),
            "limits": [] if known is None else list(known.limits),
            "paused": _pause(self.standing.pauses, PausedKind.OPERATION, name),
        }

    def _breaker(self, state: LimitState) -> dict[str, Any] | None:
        if state.declared.breaker is None:
            return None
        breaker = state.breaker
        is_open = breaker.kind is BreakerKind.OPEN
        return {
            "state": breaker.kind,
            "failures": breaker.failures,
            "openedAt": breaker.opened_at and rfc3339(breaker.opened_at),
            "probeAt": rfc3339(breaker.probe_at) if is_open and breaker.probe_at else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewReader:
    """Reads how it stands from the task database."""

    states: LimitStates
    counts: TaskCounts
    roster: Roster
    seconds: float
    """How long counting may take."""

    async def read(self, operations: Operations) -> Overview:
        """As it stands now; raises ReadTooLongError, DatabaseUnavailableError."""
        standing = await self.states.read(operations.values())
        return Overview(
            operations=operations,
            standing=standing,
            counts=await self.counts.read(seconds=self.seconds),
            executors=await self.roster.consumers(SEEN_SECONDS),
        )


def sharing(operations: Operations, kind: PausedKind, name: str) -> list[str]:
    """The declared operations whose tasks share it."""
    return [each.name for each in operations.values() if name in _shares(each)[kind]]


def _shares(operation: Operation) -> dict[PausedKind, tuple[str, ...]]:
    return {
        PausedKind.QUEUE: (operation.queue,),
        PausedKind.OPERATION: (operation.name,),
        PausedKind.LIMIT: operation.limits,
    }


def _declared(part: Declared) -> dict[str, Any]:
    """What the file says, by its keys there; of a breaker what it leaves out, too."""
    told: dict[str, Any] = {}
    for name, field in type(part).model_fields.items():
        if name in part.model_fields_set - {"name"} or isinstance(part, Breaker):
            value = getattr(part, name)
            key = str(field.validation_alias)
            told[key] = _declared(value) if isinstance(value, Declared) else value
    return told


def _bounds(limit: Bounds) -> dict[str, Any]:
    has_rate = limit.rate_per_second is not None
    return {
        "concurrency": limit.concurrency,
        "ratePerSecond": limit.rate_per_second,
        "burst": limit.burst if has_rate else None,
    }


def _starts_left(state: LimitState) -> int | None:
    """How many attempts the rate lets start right now."""
    limit = state.limit
    if limit.rate_per_second is None:
        return None
    return math.floor(limit.burst - limit.spent_starts(state.allowed_in_seconds))


def _counts(counts: Iterable[Counts]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for one in counts:
        for what in _COUNTED:
            total[what] += getattr(one, what)
    return {what: total[what] for what in _COUNTED}


_COUNTED = ("queued", "held", "published", "running")


def _pause(pauses: Pauses, kind: PausedKind, name: str) -> dict[str, Any] | None:
    pause = pauses.of(kind, name)
    if pause is None:
        return None
    return {"since": rfc3339(pause.paused_at), "by": pause.paused_by or None}
