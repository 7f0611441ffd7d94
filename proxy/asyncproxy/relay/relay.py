"""Runs the relay's duties, each in a loop of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncproxy.relay.batches import LARGEST_SHARE as SHARE_OF_BATCHES
from asyncproxy.relay.batches import BatchDuty
from asyncproxy.relay.breakers import Breakers
from asyncproxy.relay.dead_leases import DeadLeases
from asyncproxy.relay.expiry import Expiry
from asyncproxy.relay.orphans import Orphans
from asyncproxy.relay.publish import Publish
from asyncproxy.relay.purge import Purge
from asyncproxy.relay.release import LARGEST_SHARE, LONGEST_PAUSE_SECONDS, Release
from asynctasks.loop import Loop
from asynctasks.statements.batch_search import BatchSearch
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.old_tasks import OldTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from asyncproxy.access.audit import Entry
    from asyncproxy.settings import ProxySettings
    from asynctasks.blobs.blobs import Blobs
    from asynctasks.broker.protocol import Broker
    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.releases import Releases
    from asynctasks.statements.batch_steps import BatchSteps
    from asynctasks.statements.batches import Batches
    from asynctasks.statements.releases import HeldTasks
    from asynctasks.statements.roster import Roster
    from asynctasks.statements.store import TaskStore
    from asynctasks.statements.upkeep import Upkeep

LATE_SECONDS = 1.0
"""How often dead leases, passed deadlines and breakers that were changed are looked for."""
PURGE_SECONDS = 60.0
ORPHANS_SECONDS = 300.0
"""How often blobs that nobody refers to are looked for, which reads the names of all others."""


def relay_loops(
    *,
    store: TaskStore,
    upkeep: Upkeep,
    roster: Roster,
    held: HeldTasks,
    releases: Releases,
    broker: Broker,
    blobs: Blobs,
    settings: ProxySettings,
    queues: Collection[str],
    operations: LiveOperations,
    batches: Batches,
    batch_steps: BatchSteps,
    audit: Callable[[Entry], None] | None = None,
    late_seconds: float = LATE_SECONDS,
) -> list[Loop]:
    """One proxy's relay; `queues` are those of the operations."""
    grace = settings.publish_grace_seconds
    publish = Publish(store, upkeep, broker, queues=queues, grace_seconds=grace)
    interval_seconds = settings.relay_interval_seconds
    release = Release(releases, queues=queues, interval_seconds=interval_seconds)
    purge = Purge(
        OldTasks(batch_steps.database),
        roster,
        held,
        batches,
        operations,
        retention_seconds=settings.retention_seconds,
    )
    breakers = Breakers(LimitStates(batch_steps.database), operations)
    release_loop = Loop(
        "relay: release what is held",
        release.held,
        interval_seconds=lambda: release.interval_seconds,
        largest_share=LARGEST_SHARE,
        longest_pause_seconds=LONGEST_PAUSE_SECONDS,
    )
    batch_duty = BatchDuty(
        batches,
        BatchSearch(batch_steps.database),
        batch_steps,
        broker,
        interval_seconds=interval_seconds,
        audit=audit,
    )
    batch_loop = Loop(
        "relay: batches",
        batch_duty.step,
        interval_seconds=lambda: batch_duty.interval_seconds,
        largest_share=SHARE_OF_BATCHES,
    )
    return [release_loop, batch_loop] + [
        Loop(f"relay: {duty}", tick, interval_seconds=interval_seconds)
        for duty, tick, interval_seconds in (
            ("publish polls", publish.polls, interval_seconds),
            ("publish what is lost", publish.lost, grace / 2),
            ("dead leases", DeadLeases(upkeep, broker).end, late_seconds),
            ("expiry", Expiry(upkeep, broker).expire, late_seconds),
            ("breakers", breakers.follow_file, late_seconds),
            ("purge tasks", purge.tasks, PURGE_SECONDS),
            ("purge batches", purge.old_batches, PURGE_SECONDS),
            ("orphaned blobs", Orphans(blobs).delete, ORPHANS_SECONDS),
            ("forget executors", purge.executors, PURGE_SECONDS),
            ("forget turns", purge.turns, PURGE_SECONDS),
        )
    ]
