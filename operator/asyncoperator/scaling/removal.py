"""Which executors drain, come back, or may go: so that no running attempt is ever killed.

Kubernetes chooses itself which pods to remove, so those to go are emptied first: they drain, turn
not ready and get the lowest deletion cost; only as many as are empty are taken off the count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from asynctasks.statements.roster import Executor

FRESH_SECONDS = 10.0
"""An executor unseen for longer is taken for gone; it reports once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Which executors, by name, are to drain, to come back, and to be removed."""

    drain: tuple[str, ...] = ()
    undrain: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    """Those that have drained and are not needed."""


def is_fresh(executor: Executor) -> bool:
    """Whether it is there, as far as we know."""
    return executor.age_seconds <= FRESH_SECONDS


def plan(executors: Collection[Executor], *, replicas: int, desired: int) -> Moves:
    """How to come from so many replicas to those desired.

    `replicas` counts the pods that there are; those that could not be made serve nobody. Where too
    few are left, those that drain come back before new ones are started, the busy first. Only idle
    ones are told to drain, those idle longest first, and never so many that fewer than desired
    would consume: pods that start or fail do not stand in for them.
    """
    here = [executor for executor in executors if is_fresh(executor)]
    draining = [executor for executor in here if executor.draining]
    staying = [executor for executor in here if not executor.draining]
    surplus = replicas - len(draining) - desired
    if surplus < 0:
        back = sorted(draining, key=lambda executor: (executor.has_drained, executor.name))
        returning = {executor.name for executor in back[:-surplus]}
        draining = [executor for executor in draining if executor.name not in returning]
    else:
        returning = set[str]()
    return Moves(
        drain=_to_drain(staying, surplus=surplus, desired=desired),
        undrain=tuple(sorted(returning)),
        remove=tuple(executor.name for executor in draining if executor.has_drained),
    )


def _to_drain(staying: list[Executor], *, surplus: int, desired: int) -> tuple[str, ...]:
    idle = sorted(
        (executor.consuming, -executor.idle_seconds, executor.name)
        for executor in staying
        if executor.idle_seconds is not None
    )
    useless = [name for consumes, _, name in idle if not consumes]
    longest_idle = [name for consumes, _, name in idle if consumes]
    spare = sum(executor.consuming for executor in staying) - desired
    return tuple([*useless, *longest_idle[: max(spare, 0)]][: max(surplus, 0)])
