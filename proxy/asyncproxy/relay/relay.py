"""Runs the relay's duties, each in a loop of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncproxy.relay.dead_leases import DeadLeases
from asyncproxy.relay.expiry import Expiry
from asyncproxy.relay.orphans import Orphans
from asyncproxy.relay.publish import Publish
from asyncproxy.relay.purge import Purge
from asyncproxy.relay.release import LARGEST_SHARE, LONGEST_PAUSE_SECONDS, Release
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Collection

    from asyncproxy.settings import ProxySettings
    from asynctasks.blobs.blobs import Blobs
    from asynctasks.broker.protocol import Broker
    from asynctasks.releases import Releases
    from asynctasks.statements.releases import HeldTasks
    from asynctasks.statements.roster import Roster
    from asynctasks.statements.store import TaskStore
    from asynctasks.statements.upkeep import Upkeep

LATE_SECONDS = 1.0
"""How often dead leases and passed deadlines are looked for."""
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
    late_seconds: float = LATE_SECONDS,
) -> list[Loop]:
    """One proxy's relay; `queues` are those of the operations."""
    grace = settings.publish_grace_seconds
    publish = Publish(store, upkeep, broker, queues=queues, grace_seconds=grace)
    interval_seconds = settings.relay_interval_seconds
    release = Release(releases, queues=queues, interval_seconds=interval_seconds)
    purge = Purge(upkeep, roster, held, retention_seconds=settings.retention_seconds)
    release_loop = Loop(
        "relay: release what is held",
        release.held,
        interval_seconds=lambda: release.interval_seconds,
        largest_share=LARGEST_SHARE,
        longest_pause_seconds=LONGEST_PAUSE_SECONDS,
    )
    return [release_loop] + [
        Loop(f"relay: {duty}", tick, interval_seconds=interval_seconds)
        for duty, tick, interval_seconds in (
            ("publish polls", publish.polls, interval_seconds),
            ("publish what is lost", publish.lost, grace / 2),
            ("dead leases", DeadLeases(upkeep, broker).end, late_seconds),
            ("expiry", Expiry(upkeep, broker).expire, late_seconds),
            ("purge tasks", purge.tasks, PURGE_SECONDS),
            ("orphaned blobs", Orphans(blobs).delete, ORPHANS_SECONDS),
            ("forget executors", purge.executors, PURGE_SECONDS),
            ("forget turns", purge.turns, PURGE_SECONDS),
        )
    ]
