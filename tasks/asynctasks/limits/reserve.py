"""How many places a process may take ahead, so that its tasks start without a release. Pure.

Where a limit is far from being reached, deciding each start under its lock costs more than the
start. What is reserved counts as in hand, and is taken back as soon as anybody waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctasks.limits.rooms import Rooms

if TYPE_CHECKING:
    from asynctasks.limits.rooms import Group, Situation

SHARE = 0.5
"""Of the room that there is; the rest is left to others."""


def places_ahead(situation: Situation, group: Group, *, wanted: int) -> int:
    """How many of the wanted places tasks like these may have, of whom nobody else waits."""
    return max(0, min(wanted, int(Rooms(situation).left_for(group) * SHARE)))
