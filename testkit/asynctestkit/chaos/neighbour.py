"""A second installation on the same database server and broker, which has nothing to do with us.

Nobody breaks its processes; the servers' faults meet it, too.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import asyncpg

from asynctestkit.chaos.ledger import OUR_OWN_REFUSALS, TYPE_PREFIX
from asynctestkit.chaos.system import NEIGHBOUR_PROXY, System

GAP_SECONDS = 0.25
UPSTREAM_FAULTS = frozenset({"upstream-timeout", "upstream-unreachable"})
"""What a stopped upstream does to a task, in any installation."""


@dataclass(frozen=True)
class Neighbour:
    """What its callers were told, and what its database holds in the end."""

    accepted: set[str] = field(default_factory=set[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    statuses: dict[str, str] = field(default_factory=dict[str, str])
    """The end of each task: its status, or for a failure the type of its problem."""


async def call_neighbour(system: System, neighbour: Neighbour, stop: asyncio.Event) -> None:
    """Post at a steady rate until `stop`; every post is a task or is refused in plain words."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as calls:
        number = 0
        while not stop.is_set():
            number += 1
            calls.create_task(_call(system, neighbour, session, number))
            await asyncio.sleep(GAP_SECONDS)


async def _call(
    system: System, neighbour: Neighbour, session: aiohttp.ClientSession, number: int
) -> None:
    body = {"email": f"neighbour{number}@example.com", "name": "Ann"}
    headers = {"Prefer": "wait=3" if number % 2 else "respond-async"}
    async with session.post(
        f"{system.url(NEIGHBOUR_PROXY)}/clients", json=body, headers=headers
    ) as answer:
        if task_id := answer.headers.get("task-id"):
            neighbour.accepted.add(task_id)
        else:
            problem = await answer.json(content_type=None)
            neighbour.refused[problem["type"].removeprefix(TYPE_PREFIX)] += 1


async def read_neighbour(neighbour: Neighbour, database_url: str) -> None:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        rows = await connection.fetch(
            "SELECT id, coalesce(error->>'type', status) AS ended FROM tasks"
        )
    finally:
        await connection.close()
    neighbour.statuses.update(
        {str(row["id"]): row["ended"].removeprefix(TYPE_PREFIX) for row in rows}
    )


def faults_of(neighbour: Neighbour) -> list[str]:
    """What became of its tasks that no fault of the servers explains."""
    lost = [f"{task_id} is lost" for task_id in neighbour.accepted - neighbour.statuses.keys()]
    wrong = [
        f"{task_id} ended as {ended}"
        for task_id, ended in neighbour.statuses.items()
        if ended != "succeeded" and ended not in UPSTREAM_FAULTS
    ]
    unknown = neighbour.refused.keys() - OUR_OWN_REFUSALS
    nobody = [] if neighbour.accepted else ["not one task was accepted"]
    return [*lost, *wrong, *(f"a caller was answered {problem}" for problem in unknown), *nobody]
