"""Pauses: what somebody has stopped for a time. What runs goes on, nothing of it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asynctasks.limit_rows import PausedKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """That a queue, an operation or a limit is paused, since when and by whom."""

    kind: PausedKind
    name: str
    paused_at: datetime
    paused_by: str
    """Empty where callers are not told apart."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """All that is paused."""

    by_name: Mapping[tuple[PausedKind, str], Pause] = field(
        default_factory=dict[tuple[PausedKind, str], Pause]
    )

    def of(self, kind: PausedKind, name: str) -> Pause | None:
        """The pause of this one; None where it goes on."""
        return self.by_name.get((kind, name))

    def of_tasks(self, *, queue: str, operation: str) -> Pause | None:
        """What keeps the operation's tasks in this queue from starting, limits apart."""
        return self.of(PausedKind.QUEUE, queue) or self.of(PausedKind.OPERATION, operation)
