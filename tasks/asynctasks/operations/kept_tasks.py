"""Which finished tasks are kept how long, by all that is declared."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asynctasks.operations.operation import Operations

Kind = tuple[str, str]
"""An operation's name and a final status."""


@dataclass(frozen=True, slots=True)
class KeptTasks:
    """Finished tasks that are kept for the same time."""

    seconds: float
    kinds: frozenset[Kind]
    is_rest: bool = False
    """Whether they are all but those of these kinds."""


def kept_tasks(operations: Operations, *, default_seconds: float) -> list[KeptTasks]:
    """All that there may be: first the rest, of operations that are no longer declared, too."""
    kinds: defaultdict[float, set[Kind]] = defaultdict(set)
    for name, operation in operations.items():
        if operation.retention_seconds is not None:
            declared = operation.retention_seconds.model_dump(exclude_none=True)
            for status, seconds in declared.items():
                kinds[seconds].add((name, status))
    kinds.pop(default_seconds, None)
    own = [KeptTasks(seconds, frozenset(of)) for seconds, of in kinds.items()]
    of_all = frozenset(kind for kept in own for kind in kept.kinds)
    return [KeptTasks(default_seconds, of_all, is_rest=True), *own]
