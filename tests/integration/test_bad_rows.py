"""Rows that somebody has edited by hand: each fails alone, and all others are served."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog.testing
from sqlalchemy import text

from asyncproxy.relay.bad_rows import ASIDE_SECONDS, MOST, BadRows
from asyncproxy.relay.dead_leases import DeadLeases
from asyncproxy.relay.expiry import Expiry
from asyncproxy.relay.publish import Publish
from asyncproxy.relay.purge import Purge
from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import DatabaseUnavailableError, TaskNotFoundError
from asynctasks.instants import utc_now
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.new_task import NewTask
from asynctasks.statements.batches import Batches
from asynctasks.statements.old_tasks import OldTasks
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.roster import Roster
from asynctasks.statements.upkeep import Upkeep
from asynctasks.task import TaskStatus, new_task_id
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, inside
from asynctestkit.ready import ready

MakeTask = Callable[..., NewTask]
DEEP = '{"a":' * 300 + "1" + "}" * 300
"""As deep as orjson reads and does not write."""
BAD_ROWS = {
    "attempts null": {"attempts": "null"},
    "attempts of another kind": {"attempts": "7"},
    "attempts too deep": {"attempts": f"[{DEEP}]"},
    "attempts that are no JSON": {"attempts": '["\\ud800"]'},
}


async def write(parts: Any, task_id: UUID, **columns: Any) -> None:
    """By SQL, past all that we check. Text is cast to what the column is on PostgreSQL."""
    is_sqlite = parts.database.dialect == "sqlite"
    json = set[str]() if is_sqlite else {"attempts", "labels", "arguments", "error", "upstream_job"}
    values = ", ".join(
        f"{name} = CAST(:{name} AS {'json' if name in json else 'text'})"
        if isinstance(value, str)
        else f"{name} = :{name}"
        for name, value in columns.items()
    )
    async with parts.database.write() as connection:
        await connection.execute(
            text(f"UPDATE tasks SET {values} WHERE id = :task_id"),
            {**columns, "task_id": task_id.hex if is_sqlite else task_id},
        )


def earlier(parts: Any, seconds: float) -> Any:
    instant = utc_now() - timedelta(seconds=seconds)
    return (
        instant.strftime("%Y-%m-%d %H:%M:%S.%f") if parts.database.dialect == "sqlite" else instant
    )


async def dead(parts: Any, new: NewTask, *, seconds: float = 1) -> UUID:
    await parts.store.add(new)
    assert await parts.claims("killed").claim(new.id) is not None
    await write(parts, new.id, lease_until=earlier(parts, seconds))
    return new.id


def spoil(ids: list[UUID]) -> tuple[list[UUID], list[UUID]]:
    """Which to make bad, with batches of two: a whole batch, and one behind a good one."""
    spoilt = [ids[0], ids[1], ids[3]]
    return spoilt, [one for one in ids if one not in spoilt]


def told(logs: list[Any]) -> list[str]:
    return [line["task_id"] for line in logs if line["event"] == "bad row"]


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
async def test_a_dead_executors_bad_row_is_told_once_and_the_others_are_queued(
    parts: Any, new_task: MakeTask, bad: dict[str, str]
):
    ids = [await dead(parts, new_task(), seconds=9 - n) for n in range(7)]
    spoilt, good = spoil(ids)
    for task_id in spoilt:
        await write(parts, task_id, **bad)
    duty = DeadLeases(Upkeep(parts.database), InMemoryBroker(), batch=2)
    with structlog.testing.capture_logs() as logs:
        for _ in range(8):
            await duty.end()
    assert told(logs) == list(map(str, spoilt))
    for task_id in good:
        assert (await parts.store.find(task_id)).interruptions == 1
    assert await Upkeep(parts.database).dead(limit=10) == spoilt


async def test_a_bad_row_is_queued_once_it_has_been_mended(parts: Any, new_task: MakeTask):
    task_id = await dead(parts, new_task())
    await write(parts, task_id, attempts="null")
    duty = DeadLeases(Upkeep(parts.database), InMemoryBroker())
    now = 0.0
    duty._bad_rows._clock = lambda: now
    await duty.end()
    await write(parts, task_id, attempts="[]")
    await duty.end()
    assert await Upkeep(parts.database).dead(limit=1) == [task_id]
    now += ASIDE_SECONDS
    await duty.end()
    assert (await parts.store.find(task_id)).status is TaskStatus.QUEUED


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
async def test_a_bad_row_past_its_deadline_is_told_once_and_the_others_expire(
    parts: Any, new_task: MakeTask, bad: dict[str, str]
):
    ids = [await dead(parts, new_task(), seconds=-60) for _ in range(6)]
    spoilt, good = spoil(ids)
    queued = new_task()
    await parts.store.add(queued)
    for number, task_id in enumerate([*ids, queued.id]):
        await write(parts, task_id, deadline=earlier(parts, 9 - number))
    for task_id in spoilt:
        await write(parts, task_id, **bad)
    duty = Expiry(Upkeep(parts.database), InMemoryBroker(), batch=2)
    with structlog.testing.capture_logs() as logs:
        for _ in range(8):
            await duty.expire()
    assert told(logs) == list(map(str, spoilt))
    for task_id in (*good, queued.id):
        assert (await parts.store.find(task_id)).status is TaskStatus.EXPIRED


async def test_bad_rows_are_purged_like_all_others(parts: Any, new_task: MakeTask):
    bad = [
        *BAD_ROWS.values(),
        {"status": "paused"},
        {"labels": "null"},
        {"arguments": DEEP},
        {"error": "[]"},
    ]
    news = [new_task() for _ in bad]
    for new, columns in zip(news, bad, strict=True):
        await parts.store.add(new)
        await write(parts, new.id, **({"status": "failed"} | columns))
        await write(parts, new.id, finished_at=earlier(parts, 90_000))
    purge = Purge(
        OldTasks(parts.database),
        Roster(parts.database),
        HeldTasks(parts.database, grace_seconds=60),
        Batches(parts.database),
        LiveOperations({}),
        retention_seconds=86_400,
        batch=3,
    )
    assert [await purge.tasks() for _ in range(3)] == [True, True, False]
    for new in news:
        with pytest.raises(TaskNotFoundError):
            await parts.store.find(new.id)


async def test_a_row_that_cannot_be_published_is_told_once_and_the_others_are_published(
    parts: Any, new_task: MakeTask, amqp_url: str, queue_prefix: str
):
    bad, good = new_task(), [new_task() for _ in range(3)]
    odd = new_task()
    for new in (bad, *good, odd):
        await parts.store.add(new)
        await write(parts, new.id, upstream_job='{"url": "http://upstream/jobs/1"}')
    await write(parts, bad.id, queue="q" * 300)  # longer than AMQP can say
    await write(parts, odd.id, labels="null", attempts="null", arguments=DEEP)
    async with RabbitmqBroker(
        amqp_url, queues=["clients"], prefix=f"{queue_prefix}p", publish_seconds=20
    ) as broker:
        publish = Publish(
            parts.store,
            Upkeep(parts.database),
            broker,
            queues=["clients"],
            grace_seconds=0.01,
            untaken_seconds=0,
        )
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                await publish.polls()
                await publish.lost()
        assert told(logs) == [str(bad.id)]

        async def published() -> None:
            await ready(broker, 4)

        await eventually(published)


async def test_a_caller_whose_reply_cannot_be_sent_does_not_keep_others_from_theirs(
    parts: Any, new_task: MakeTask
):
    class Refusing(InMemoryBroker):
        async def reply(self, reply_to: str, reply: Any) -> None:
            if reply_to == "bad":
                raise ValueError("Routing key too long")
            await super().reply(reply_to, reply)

    broker, replies = Refusing(), list[Any]()
    async with broker.temporary_reply_queue(replies.append) as name:
        news = [new_task(reply_to="bad"), new_task(reply_to=name)]
        for number, new in enumerate(news):
            await parts.store.add(new)
            await write(parts, new.id, deadline=earlier(parts, 9 - number))
        await Expiry(Upkeep(parts.database), broker).expire()
        await asyncio.sleep(0)
    assert [reply.task_id for reply in replies] == [news[1].id]


def test_a_row_that_was_set_aside_counts_for_an_hour_and_no_longer():
    now = 0.0
    bad_rows = BadRows("publish", lambda: now)
    with structlog.testing.capture_logs():
        for _ in range(MOST):
            bad_rows.set_aside(new_task_id(), ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            bad_rows.set_aside(new_task_id(), ZeroDivisionError())
        now = ASIDE_SECONDS
        bad_rows.set_aside(new_task_id(), ZeroDivisionError())
    assert len(bad_rows) == 1


async def test_more_bad_rows_than_there_can_be_are_a_fault_of_ours_and_end_the_loop():
    bad_rows, ids = BadRows("expiry"), [new_task_id() for _ in range(MOST + 1)]

    async def move(_: Any) -> list[Any]:
        raise ZeroDivisionError

    with structlog.testing.capture_logs(), pytest.raises(ZeroDivisionError):
        await bad_rows.apart(ids, move)
    assert len(bad_rows) == MOST


async def test_a_database_that_is_away_makes_no_row_bad():
    async def move(_: Any) -> list[Any]:
        raise DatabaseUnavailableError

    bad_rows = BadRows("expiry")
    with pytest.raises(DatabaseUnavailableError):
        await bad_rows.apart([new_task_id()], move)
    assert len(bad_rows) == 0


UNREADABLE = {
    "an unknown status": {"status": "paused"},
    "attempts that are no JSON": {"attempts": '["\\ud800"]'},
    "an error of another shape": {"status": "failed", "error": '{"a": 1}'},
}
READABLE: dict[str, tuple[dict[str, str], str, Any]] = {
    "labels null": ({"labels": "null"}, "labels", {}),
    "attempts null": ({"attempts": "null"}, "attempts", []),
    "arguments odd": ({"arguments": "[1]"}, "arguments", [1]),
    "arguments too deep to write": ({"arguments": DEEP}, "arguments", json.loads(DEEP)),
}


@pytest.mark.parametrize("bad", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_page_leaves_out_a_row_that_cannot_be_read_and_goes_on_to_the_next(
    database_url: str, bad: dict[str, str]
):
    async with inside(database_url=database_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        client = await installation.client(proxy)
        ids = [
            (await client.post("/create-client", json={}, headers=ASYNC)).json()["id"]
            for _ in range(5)
        ]
        await write(proxy.connections, UUID(ids[2]), **bad)
        with structlog.testing.capture_logs() as logs:
            shown: list[str] = []
            url = "/tasks?page_size=3"
            while True:
                page = await client.get(url)
                assert page.status_code == 200
                shown += [task["id"] for task in page.json()["tasks"]]
                if "next" not in page.links:
                    break
                url = page.links["next"]["url"]
        assert shown == [ids[4], ids[3], ids[1], ids[0]]
        (line,) = [line for line in logs if line["event"] == "tasks cannot be read"]
        assert line["task_ids"] == [ids[2]]
        for path in ("", "/events"):
            one = await client.get(f"/tasks/{ids[2]}{path}")
            assert one.status_code == 500
            assert one.json()["type"].endswith("/task-unreadable")
            assert ids[2] in one.json()["detail"]


@pytest.mark.parametrize(("bad", "member", "shown"), READABLE.values(), ids=READABLE)
async def test_what_can_be_read_of_an_odd_row_is_shown(
    database_url: str, bad: dict[str, str], member: str, shown: Any
):
    async with inside(database_url=database_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        client = await installation.client(proxy)
        accepted = await client.post("/create-client", json={}, headers=ASYNC)
        task_id = accepted.json()["id"]
        await write(proxy.connections, UUID(task_id), **bad)
        one = (await client.get(f"/tasks/{task_id}")).json()
        assert one[member] == shown
        assert (await client.get("/tasks?view=full")).json()["tasks"] == [one]


async def test_an_answer_nested_deeper_than_we_write_is_shown_as_it_came(sqlite_url: str):
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        client = await installation.client(proxy)
        accepted = await client.post("/create-client", json={}, headers=ASYNC)
        task_id = accepted.json()["id"]
        async with proxy.connections.database.write() as connection:
            await connection.execute(
                text(
                    "UPDATE tasks SET status = 'succeeded', response_status = 200,"
                    " response_content_type = 'application/json', response_body = :body"
                ),
                {"body": DEEP.encode()},
            )
        for url in ("/tasks?view=full", f"/tasks/{task_id}", f"/tasks/{task_id}/events"):
            answer = await client.get(url)
            assert answer.status_code == 200
            assert f'"body":{DEEP}' in answer.text
