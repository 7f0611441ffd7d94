"""Pauses queues as their ExecutorPools say, and lets them go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncoperator.scaling.executorpool import KIND
from asynctasks.limit_rows import PausedKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncoperator.scaling.executorpool import ExecutorPoolSpec
    from asynctasks.limits.pauses import Pause, Pauses
    from asynctasks.statements.limit_states import LimitStates


async def follow_pauses(
    pools: Mapping[str, ExecutorPoolSpec], pauses: Pauses, states: LimitStates
) -> None:
    """Bring the pauses in the task database to what the pools say, each known by its name.

    What a pool says holds, whoever else has paused or resumed its queue; one that says nothing, or
    is gone, only ends the pause that was its own. Raises DatabaseUnavailableError.
    """
    for name, spec in pools.items():
        found = pauses.of(PausedKind.QUEUE, spec.queue)
        if spec.paused and found is None:
            await states.pause(PausedKind.QUEUE, spec.queue, by=_author(name))
        elif spec.paused is False and found is not None:
            await states.resume(PausedKind.QUEUE, spec.queue)
    asking = {(_author(name), spec.queue) for name, spec in pools.items() if spec.paused}
    for pause in pauses.by_name.values():
        if _is_by_a_pool(pause) and (pause.paused_by, pause.name) not in asking:
            await states.resume(pause.kind, pause.name, paused_by=pause.paused_by)


def _author(pool: str) -> str:
    return f"{KIND} {pool}"


def _is_by_a_pool(pause: Pause) -> bool:
    return pause.kind is PausedKind.QUEUE and pause.paused_by.startswith(_author(""))
