"""What to write so that the objects show the tasks. Decides only: no clock, no I/O.

Each row that was read is in one of these situations, by the object that shows its task:

       the object            the task                                 what is done
    A  shows this version, of the object as it is                     settled
    B  shows another                                                  Show
    C  there is none         lives on, and had an object before       Create
    D  there is none         lives, and never had one                 Create; degraded, it waits
    E  there is none         has ended, and is worth an object        Create
    F  there is none         has ended, and is not                    settled
    G  a person's, unseen    lives, and was never shown in it         it waits
    H  a person's, unseen    has ended, or was shown in it            settled

Settled is marked in the row, and is read no more before the task changes. What waits is read again
in the next tick. The mirror makes no object for a task that a person's object asked for (G, H):
that object is gone, or the watch has not told of it yet. In F a task had succeeded before it was
ever shown; or somebody deleted its object, which cancelled it; or its object would have to go at
once, by its time or by the history. A task that is being cancelled is in F before it has ended.

Besides, each object that shows an end, or why there is no task, is in one of these. One in B is
not: it may show an end that a retry has undone.

       the object                                                     what is done
    I  its time is over; a person's own has one only if it says so    Delete, "ttl"
    J  the mirror's own, one of more than the history may have        Delete, "history"
    K  the mirror's own, and more objects are wanted than may be      Delete, "limit"
    L  any other                                                      it stays

Of J and K the oldest go first. A task that lives is never deleted from view.

The writes stand in the order of their weight, and what does not fit the budget is left out:

    B, ended ──▶ I, J, K ──▶ B, live ──▶ E ──▶ C, D
    one write each ───────────────────▶  two, for the object and its status; the oldest first

A plan may be cut short anywhere: what is left out is still as it was, and asked for again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

    from asyncoperator.mirror.asynctask import ObservedTask
    from asyncoperator.mirror.object_cache import ObjectCache
    from asynctasks.statements.mirroring import MirroredTask

CREATE_COST = 2
"""The API server takes an object and its status in two writes."""
STALE_TASKS = 500
BEHIND_SECONDS = 60.0
"""More stale tasks, or some for longer, are more than the budget can show."""
LONGEST_MIN_AGE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many AsyncTask objects there may be in etcd, and for how long."""

    ttl_succeeded_seconds: float = 3_600
    ttl_unsuccessful_seconds: float = 86_400
    history_limit: int = 1_000
    """Objects of finished tasks."""
    object_limit: int = 5_000

    def ttl_seconds(self, status: TaskStatus) -> float:
        """How long the object of a task that ended so is kept."""
        return (
            self.ttl_succeeded_seconds
            if status is TaskStatus.SUCCEEDED
            else self.ttl_unsuccessful_seconds
        )


@dataclass(frozen=True, slots=True)
class Create:
    """Make the object of a task, and show it."""

    row: MirroredTask


@dataclass(frozen=True, slots=True)
class Show:
    """Write the status of an object."""

    row: MirroredTask
    seen: ObservedTask


@dataclass(frozen=True, slots=True)
class Delete:
    """Take a finished task's object away."""

    seen: ObservedTask
    reason: Literal["ttl", "history", "limit"]


Write = Create | Show | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes in the order of their weight, and what needs none."""

    writes: list[Write] = field(default_factory=list[Write])
    settled: dict[UUID, int] = field(default_factory=dict["UUID", int])
    """Tasks of which there is nothing more to show, and their versions: to be marked."""
    is_short: bool = False
    """Whether the budget left something out."""
    is_full: bool = False
    """Whether more live tasks are to be shown than there may be objects."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """How far the mirror is behind, and what it leaves out for that."""

    min_age_seconds: float
    is_degraded: bool = False


def pressure_after(
    before: Pressure, *, stale: int, behind_seconds: float, min_age_seconds: float
) -> Pressure:
    """To be asked every few seconds: each time behind doubles the minimum age, else it halves."""
    if stale > STALE_TASKS or behind_seconds > BEHIND_SECONDS:
        doubled = max(1.0, before.min_age_seconds * 2)
        return Pressure(max(min_age_seconds, min(doubled, LONGEST_MIN_AGE_SECONDS)), True)  # noqa: FBT003
    return Pressure(max(min_age_seconds, before.min_age_seconds / 2))


def plan(
    rows: Collection[MirroredTask],
    objects: ObjectCache,
    *,
    now: datetime,
    budget: int,
    limits: Limits,
    is_degraded: bool = False,
) -> Plan:
    """What to write now, within so many writes.

    First how tasks ended, then deletions, what runs, new failures, and new slow tasks the oldest
    first. Degraded, new slow tasks are left out.
    """
    finished = _finished(objects)
    needs = _Needs(objects, now, limits, is_degraded, oldest_kept=_oldest_kept(finished, limits))
    for row in rows:
        needs.add(row)
    # An object that is out of date may show an end that a retry has undone.
    changing = {show.seen.name for show in needs.shows}
    deletes = [
        Delete(seen, "ttl")
        for seen in objects
        if seen.name not in changing and _has_expired(seen, now, limits)
    ]
    going = changing | {delete.seen.name for delete in deletes}
    kept = [seen for _, seen in finished if seen.name not in going]
    surplus = max(0, len(kept) - limits.history_limit)
    deletes += [Delete(seen, "history") for seen in kept[:surplus]]
    creates = sorted(needs.creates, key=lambda create: create.row.created_at)
    creates.sort(key=lambda create: not create.row.status.is_final)
    # The oldest of the rest make room: for those that are too many, and for new ones.
    room = limits.object_limit - len(objects) + len(deletes)
    more = kept[surplus:][: max(0, len(creates) - room)]
    deletes += [Delete(seen, "limit") for seen in more]
    ended = [show for show in needs.shows if show.row.status.is_final]
    running = [show for show in needs.shows if not show.row.status.is_final]
    allowed = max(0, room + len(more))
    wanted = [*ended, *deletes, *running, *creates[:allowed]]
    writes = _affordable(wanted, budget)
    return Plan(
        writes,
        needs.settled,
        is_short=len(writes) < len(wanted),
        is_full=len(creates) > allowed,
    )


class _Needs:
    """What the rows need to be shown."""

    def __init__(
        self,
        objects: ObjectCache,
        now: datetime,
        limits: Limits,
        is_degraded: bool,
        *,
        oldest_kept: datetime | None,
    ) -> None:
        self.settled: dict[UUID, int] = {}
        self.shows: list[Show] = []
        self.creates: list[Create] = []
        self._objects = objects
        self._now = now
        self._limits = limits
        self._is_degraded = is_degraded
        self._oldest_kept = oldest_kept

    def add(self, row: MirroredTask) -> None:
        seen = self._objects.of_task(row)
        if seen is not None:
            self._add_to_object(row, seen)
        elif row.asynctask is None and _is_wanted(row, self._now, self._limits, self._oldest_kept):
            is_new_slow = not row.status.is_final and row.mirrored_version == 0
            if not (self._is_degraded and is_new_slow):
                self.creates.append(Create(row))
        elif row.mirrored_version > 0 or row.status.is_final:
            self.settled[row.id] = row.version

    def _add_to_object(self, row: MirroredTask, seen: ObservedTask) -> None:
        if (
            seen.version == row.version
            and seen.task_status is row.status
            and seen.observed_generation == seen.generation
        ):
            self.settled[row.id] = row.version
        else:
            self.shows.append(Show(row, seen))


def _affordable(wanted: list[Write], budget: int) -> list[Write]:
    for count, write in enumerate(wanted):
        budget -= CREATE_COST if isinstance(write, Create) else 1
        if budget < 0:
            return wanted[:count]
    return wanted


def _is_wanted(
    row: MirroredTask, now: datetime, limits: Limits, oldest_kept: datetime | None
) -> bool:
    is_cancelled = row.cancel_requested or row.status is TaskStatus.CANCELLED
    if is_cancelled and row.mirrored_version > 0:
        return False  # somebody deleted its object, and so cancelled it
    if row.finished_at is None or not row.status.is_final:
        return True
    if row.status is TaskStatus.SUCCEEDED and row.mirrored_version == 0:
        return False
    ends_at = row.finished_at + timedelta(seconds=limits.ttl_seconds(row.status))
    return (
        limits.history_limit > 0
        and ends_at > now
        and (oldest_kept is None or row.finished_at > oldest_kept)
    )


def _has_expired(seen: ObservedTask, now: datetime, limits: Limits) -> bool:
    ended_at, seconds = _ended_at(seen), seen.ttl_seconds
    if ended_at is None:
        return False
    if seconds is None:
        # A person's manifest that a tool applies again and again would run again, too.
        if not seen.is_ours or seen.task_status is None:
            return False
        seconds = limits.ttl_seconds(seen.task_status)
    return ended_at + timedelta(seconds=seconds) <= now


def _ended_at(seen: ObservedTask) -> datetime | None:
    """When what it shows had finished; None while it has not."""
    if not seen.is_final:
        return None
    return seen.finished_at or seen.created_at


def _finished(objects: ObjectCache) -> list[tuple[datetime, ObservedTask]]:
    """The mirror's own objects of finished tasks, and when those had finished; the oldest first."""
    finished = [
        (ended_at, seen)
        for seen in objects
        if seen.is_ours and (ended_at := _ended_at(seen)) is not None
    ]
    return sorted(finished, key=lambda one: (one[0], one[1].name))


def _oldest_kept(finished: list[tuple[datetime, ObservedTask]], limits: Limits) -> datetime | None:
    """A task that finished before this would be the first to go again; None while there is room."""
    if limits.history_limit <= 0 or len(finished) < limits.history_limit:
        return None
    return finished[-limits.history_limit][0]
