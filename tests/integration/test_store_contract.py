"""What the task table promises to proxies and executors, each test on both databases."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, InternalError, StatementError

import asynctasks.database
import asynctasks.instants
import asynctasks.statements.upkeep
from asynctasks.database import Database
from asynctasks.errors import DatabaseUnavailableError, TaskNotFoundError
from asynctasks.instants import utc_now
from asynctasks.json_values import read_json, written
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Problem, Response
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.conditions import tasks
from asynctasks.statements.pages import Filter
from asynctasks.task import Task, TaskStatus, new_task_id
from asynctestkit.eventually import eventually
from asynctestkit.releasing import release

HEADERS = (("Link", "</a>"), ("link", "</b>"), ("X-Name", "Gr\xfc\xdfe"))
SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, Response(201, "application/json", b'{"id": 1}', HEADERS))
MakeTask = Callable[..., NewTask]
OpenParts = Callable[[str], AbstractAsyncContextManager[Any]]


async def test_a_task_is_found_as_it_was_added(parts: Any):
    as_given: dict[str, Any] = {
        "id": new_task_id(),
        "operation": "create-client",
        "revision": "0123456789abcdef",
        "queue": "clients",
        "principal": "ann",
        "tenant": "red",
        "priority": 7,
        "fair_key": "red",
        "idempotency_key": "key",
        "fingerprint": "print",
        "coalescing_key": None,
        "arguments": {"name": "Ann"},
        "sealed_arguments": "sealed",
        "sealed_headers": "sealed, too",
        "body_headers": [["Content-Type", "text/plain"]],
        "body": b"as it came",
        "body_blob": None,
        "labels": {"team": "blue"},
        "batch": "import-7",
        "max_attempts": 7,
        "created_at": utc_now(),
        "deadline": utc_now() + timedelta(hours=1),
        "published": True,
        "reply_to": "replies",
        "asynctask": "default/mine/uid",
        "callbacks": [{"url": "https://a.example", "events": ["failed"], "include": "nothing"}],
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vendor=a",
    }
    decided: dict[str, Any] = {
        "publish_in_seconds": 30.0,
        "publish_grace_seconds": 60.0,
        "delay_seconds": 60.0,
        "deadline_seconds": None,
        "place_of": None,
    }
    assert NewTask.__dataclass_fields__.keys() == as_given.keys() | decided.keys()
    new = NewTask(**{**as_given, "arguments": written(as_given["arguments"])}, **decided)
    added = await parts.store.add(new)
    assert (added.id, added.is_new) == (new.id, True)
    async with parts.database.read() as connection:
        task = (await connection.execute(select(tasks).where(tasks.c.id == new.id))).one()
    assert {name: getattr(task, name) for name in as_given} == as_given
    assert (task.run_after - task.next_publish_at).total_seconds() == pytest.approx(30, abs=0.1)
    assert (task.status, task.version, task.attempt) == (TaskStatus.QUEUED, 1, 0)
    assert (task.started_at, task.finished_at, task.response_status, task.error) == (None,) * 4


async def test_an_unknown_task_is_not_found(parts: Any):
    with pytest.raises(TaskNotFoundError):
        await parts.store.find(uuid4())


@pytest.mark.parametrize(
    "value",
    [
        "nul \u0000, a quote ', a percent % and a colon :x",
        "📮 żółć \u202e",
        {"deep": [[[[[[{"er": [None, True, 1.5, 2**53, -1, ""]}]]]]]]},
        {"": {"'; DROP TABLE tasks; --": []}},
        ["x" * 200_000],
    ],
)
async def test_arguments_come_back_as_they_were(parts: Any, new_task: MakeTask, value: Any):
    new = new_task(arguments={"value": value})
    await parts.store.add(new)
    shown = (await parts.store.find(new.id)).arguments
    assert read_json(orjson.dumps(shown)) == {"value": value}
    claimed = await parts.claims("one").claim(new.id)
    assert claimed.arguments == {"value": value}


async def test_a_naive_datetime_is_refused(parts: Any, new_task: MakeTask):
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - what is to be refused
    with pytest.raises((StatementError, ValueError), match="time zone"):
        await parts.store.add(new_task(deadline=naive))


async def test_an_instant_is_the_same_in_any_zone(parts: Any, new_task: MakeTask):
    tokyo = datetime.fromisoformat("2100-01-01T09:00:00.123456+09:00")
    new = new_task(deadline=tokyo)
    await parts.store.add(new)
    found = (await parts.store.find(new.id)).deadline
    assert found == tokyo
    assert found.utcoffset() == timedelta(0)
    assert await parts.claims("one").claim(new.id) is not None


async def test_equal_idempotency_keys_at_once_from_two_processes_lead_to_one_task(
    database_url: str, open_parts: OpenParts, new_task: MakeTask
):
    news = [
        new_task(idempotency_key=f"key-{number % 5}", fingerprint=f"print-{number % 5}")
        for number in range(50)
    ]
    async with open_parts(database_url) as one, open_parts(database_url) as other:
        added = await asyncio.gather(
            *((one if number % 2 else other).store.add(new) for number, new in enumerate(news))
        )
    ids: dict[str, set[UUID]] = {}
    for new, answer in zip(news, added, strict=True):
        assert answer.is_new is (answer.id == new.id)
        assert answer.fingerprint == new.fingerprint
        ids.setdefault(str(new.idempotency_key), set()).add(answer.id)
    assert [len(found) for found in ids.values()] == [1] * 5
    assert sum(answer.is_new for answer in added) == 5


async def test_a_key_is_its_principals_and_its_operations_alone(parts: Any, new_task: MakeTask):
    news = [
        new_task(idempotency_key="key"),
        new_task(idempotency_key="key", principal="ann"),
        new_task(idempotency_key="key", principal="ann", tenant="red"),
        new_task(idempotency_key="key", operation="other"),
        new_task(idempotency_key=None),
        new_task(idempotency_key=None),
    ]
    added = await asyncio.gather(*map(parts.store.add, news))
    assert [answer.id for answer in added] == [new.id for new in news]


async def test_of_fifty_claimers_in_two_processes_one_gets_the_task(
    database_url: str, open_parts: OpenParts, new_task: MakeTask
):
    new = new_task()
    async with open_parts(database_url) as one, open_parts(database_url) as other:
        await one.store.add(new)
        claims = [(one if n % 2 else other).claims(f"executor-{n}") for n in range(50)]
        claimed = await asyncio.gather(*(claim.claim(new.id) for claim in claims))
        winners = [n for n, task in enumerate(claimed) if task is not None]
        assert len(winners) == 1
        task = await one.store.find(new.id)
        assert task.executor == f"executor-{winners[0]}"
        assert (task.status, task.attempt, task.version) == (TaskStatus.RUNNING, 1, 2)


async def test_two_messages_of_one_task_in_one_batch_claim_it_once(parts: Any, new_task: MakeTask):
    news = [new_task() for _ in range(20)]
    await asyncio.gather(*map(parts.store.add, news))
    claims = parts.claims("one")
    claimed = await asyncio.gather(*(claims.claim(new.id) for new in news + news))
    assert sorted(task.id for task in claimed if task) == sorted(new.id for new in news)


async def test_a_claim_before_its_time_finds_nothing(parts: Any, new_task: MakeTask):
    new = new_task(delay_seconds=0.4)
    await parts.store.add(new)
    claims = parts.claims("one")
    assert await claims.claim(new.id) is None

    async def claimed() -> None:
        assert await claims.claim(new.id) is not None

    await eventually(claimed)
    assert utc_now() - new.created_at > timedelta(seconds=0.3)


async def test_a_claim_past_the_deadline_finds_nothing(parts: Any, new_task: MakeTask):
    new = new_task(deadline=utc_now() - timedelta(seconds=1))
    await parts.store.add(new)
    assert await parts.claims("one").claim(new.id) is None


async def test_a_finished_task_has_its_response_and_cannot_be_claimed(
    parts: Any, new_task: MakeTask
):
    task = await claimed_task(parts, new_task)
    claims = parts.claims("one")
    assert await parts.store.finished_among([task.id]) == []
    assert await claims.finish(task, SUCCEEDED)
    found = await parts.store.find(task.id)
    assert (found.status, found.response) == (TaskStatus.SUCCEEDED, SUCCEEDED.response)
    assert found.finished_at is not None
    assert await parts.store.finished_among([task.id, uuid4()]) == [task.id]
    assert await claims.claim(task.id) is None
    assert not await claims.finish(task, SUCCEEDED)


async def test_an_error_comes_back_as_it_was(parts: Any, new_task: MakeTask):
    task = await claimed_task(parts, new_task)
    problem = Problem("upstream-unreachable", "No answer", 502, "nul \u0000 and 📮")
    await parts.claims("one").finish(task, Outcome(TaskStatus.FAILED, error=problem))
    found = await parts.store.find(task.id)
    assert (found.status, found.error) == (TaskStatus.FAILED, problem.to_json())
    for error_type, ids in ((problem.type, [task.id]), ("upstream", [])):
        page = await parts.store.page(Filter(error_type=error_type), before=None, size=50)
        assert [one.id for one in page.tasks] == ids


async def test_an_earlier_attempts_outcome_is_refused(parts: Any, new_task: MakeTask):
    first = await claimed_task(parts, new_task)
    claims = parts.claims("one")
    again = Outcome(TaskStatus.QUEUED, retry_after_seconds=0)
    assert await claims.finish(first, again)
    second = await claims.claim(first.id)
    assert second.attempt == 2
    assert not await claims.finish(first, Outcome(TaskStatus.FAILED))
    assert (await parts.store.find(first.id)).status is TaskStatus.RUNNING
    assert await claims.finish(second, SUCCEEDED)


async def test_another_executors_outcome_is_refused(parts: Any, new_task: MakeTask):
    task = await claimed_task(parts, new_task)
    assert not await parts.claims("other").finish(task, SUCCEEDED)
    assert await parts.claims("one").finish(task, SUCCEEDED)


async def test_outcomes_of_many_tasks_in_one_batch_do_not_mix(parts: Any, new_task: MakeTask):
    claims = parts.claims("one")
    tasks = [await claimed_task(parts, new_task) for _ in range(10)]
    outcomes = [
        Outcome(
            TaskStatus.SUCCEEDED,
            Response(200 + n, f"text/{n}", bytes([n]) * n, (("ETag", str(n)),) * (n % 2)),
        )
        if n % 2
        else Outcome(TaskStatus.QUEUED, retry_after_seconds=60)
        for n in range(10)
    ]
    assert all(await asyncio.gather(*map(claims.finish, tasks, outcomes)))
    for task, outcome in zip(tasks, outcomes, strict=True):
        found = await parts.store.find(task.id)
        assert (found.status, found.response) == (outcome.status, outcome.response)
        assert (found.finished_at is None) is (outcome.response is None)


async def test_each_change_that_callers_see_adds_one_to_the_version_and_no_other_does(
    parts: Any, new_task: MakeTask
):
    new, claims = new_task(), parts.claims("one")

    async def version() -> int:
        return (await parts.store.find(new.id)).version

    await parts.store.add(new)
    assert await version() == 1
    await release(parts.database)
    await parts.store.hold([new.id])
    assert await version() == 1
    first = await claims.claim(new.id)
    assert await version() == 2
    await claims.renew([new.id])
    await claims.look([new.id])
    assert await version() == 2
    await claims.finish(first, Outcome(TaskStatus.QUEUED, retry_after_seconds=0))
    assert await version() == 3
    second = await claims.claim(new.id)
    assert await version() == 4
    await claims.finish(second, SUCCEEDED)
    assert await version() == 5
    await claims.finish(second, SUCCEEDED)
    await claims.claim(new.id)
    assert await version() == 5


async def test_a_retry_is_not_claimed_before_its_backoff(parts: Any, new_task: MakeTask):
    task = await claimed_task(parts, new_task)
    claims = parts.claims("one")
    await claims.finish(task, Outcome(TaskStatus.QUEUED, retry_after_seconds=60))
    assert await claims.claim(task.id) is None
    assert await release(parts.database) == []


async def test_what_is_due_is_given_to_one_of_many_and_again_when_it_is_made_due(
    database_url: str, open_parts: OpenParts, new_task: MakeTask
):
    async with open_parts(database_url) as one, open_parts(database_url) as other:
        news = [new_task() for _ in range(30)]
        await asyncio.gather(*map(one.store.add, news))
        await one.store.add(new_task(publish_in_seconds=60))
        taken = await asyncio.gather(*(release(each.database) for each in (one, other) * 4))
        found = [due.id for batch in taken for due in batch]
        assert sorted(found) == sorted(new.id for new in news)
        assert await release(other.database) == []
        await one.store.hold([news[0].id])
        again = await release(other.database)
        assert [due.id for due in again] == [news[0].id]


async def test_a_running_task_is_not_made_due(parts: Any, new_task: MakeTask):
    task = await claimed_task(parts, new_task)
    await parts.store.hold([task.id])
    assert await release(parts.database) == []


async def test_a_lease_is_renewed_for_its_holder_alone(parts: Any, new_task: MakeTask):
    task = await claimed_task(parts, new_task)
    before = (await parts.store.find(task.id)).lease_until
    assert await parts.claims("other").renew([task.id]) == []
    assert await parts.claims("other").look([task.id]) == []
    assert (await parts.store.find(task.id)).lease_until == before
    held = await parts.claims("one", lease_seconds=600).renew([task.id, uuid4()])
    assert [(one.id, one.attempt, one.cancel_requested) for one in held] == [(task.id, 1, False)]
    assert (await parts.store.find(task.id)).lease_until > before + timedelta(seconds=500)
    assert await parts.claims("one").look([task.id]) == held


async def test_a_claim_that_waited_for_a_lock_has_its_whole_lease(
    postgresql_url: str, open_parts: OpenParts, new_task: MakeTask
):
    async with open_parts(postgresql_url) as parts:
        task = new_task()
        await parts.store.add(task)
        async with asyncio.TaskGroup() as tasks, parts.database.write() as connection:
            await connection.execute(text("SELECT id FROM tasks FOR UPDATE"))
            claiming = tasks.create_task(parts.claims("one", lease_seconds=60).claim(task.id))

            async def waits() -> None:
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                async with parts.database.read() as onlooker:
                    assert (await onlooker.execute(text(waiting))).scalar_one() > 0

            await eventually(waits)
            released_at = (
                await connection.execute(
                    text("SELECT clock_timestamp() FROM (SELECT pg_sleep(1)) AS slept")
                )
            ).scalar_one()
        claimed = claiming.result()
        assert claimed is not None
        assert claimed.attempt_started_at >= released_at
        lease_until = (await parts.store.find(task.id)).lease_until
        assert lease_until is not None
        assert lease_until - released_at >= timedelta(seconds=60)


async def test_only_the_databases_clock_decides_what_is_due_leased_or_late(
    parts: Any, new_task: MakeTask, monkeypatch: pytest.MonkeyPatch
):
    """This process's clock is ten years off, either way."""
    true_now = utc_now()
    for years in (-10, 10):
        off = true_now + timedelta(days=365 * years)
        for module in (asynctasks.instants, asynctasks.statements.upkeep):
            monkeypatch.setattr(module, "utc_now", lambda off=off: off)
        due, later = new_task(created_at=off), new_task(created_at=off, delay_seconds=60)
        alive = new_task(created_at=off, deadline=true_now + timedelta(minutes=1))
        late = new_task(created_at=off, deadline=true_now - timedelta(minutes=1))
        for new in (due, later, alive, late):
            await parts.store.add(new)
        claims = parts.claims("one", lease_seconds=30)
        claimed = {new.id: await claims.claim(new.id) for new in (due, later, alive, late)}
        assert [task is not None for task in claimed.values()] == [True, False, True, False]
        lease = (await parts.store.find(due.id)).lease_until
        assert abs(lease - datetime.now(UTC) - timedelta(seconds=30)) < timedelta(seconds=5)


async def test_every_instant_in_the_row_is_aware_utc(parts: Any, new_task: MakeTask):
    task = await claimed_task(parts, new_task)
    await parts.claims("one").finish(task, SUCCEEDED)
    found = await parts.store.find(task.id)
    instants = [getattr(found, name) for name in Task.model_fields if name.endswith("_at")]
    present = [instant for instant in instants if instant is not None]
    assert len(present) >= 4
    assert all(instant.utcoffset() == timedelta(0) for instant in present)
    assert found.created_at <= found.started_at + timedelta(seconds=1)
    assert found.started_at <= found.finished_at


async def test_a_database_without_its_tables_is_an_error_and_no_unavailability(
    parts: Any, new_task: MakeTask
):
    """Waiting would mend nothing."""
    async with parts.database.write() as connection:
        await connection.execute(text("DROP TABLE tasks"))
    with pytest.raises(DBAPIError, match="tasks"):
        await parts.store.find(uuid4())


async def test_an_sqlite_file_that_cannot_be_opened_or_is_locked_is_unavailable(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asynctasks.database, "SQLITE_BUSY_SECONDS", 0.1)
    holder, other = Database(sqlite_url), Database(sqlite_url)
    async with holder.write():
        with pytest.raises(DatabaseUnavailableError, match="locked"):
            async with other.write():
                pass
    nowhere = Database("sqlite:////nowhere/at/all.db")
    with pytest.raises(DatabaseUnavailableError):
        await nowhere.ping()
    for database in (holder, other, nowhere):
        await database.close()


async def claimed_task(parts: Any, new_task: MakeTask) -> ClaimedTask:
    new = new_task()
    await parts.store.add(new)
    task = await parts.claims("one").claim(new.id)
    assert task is not None
    return task


async def test_the_text_of_a_refusal_repeats_no_callers_data(parts: Any, new_task: MakeTask):
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - what is to be refused
    with pytest.raises((StatementError, ValueError)) as caught:
        await parts.store.add(new_task(arguments={"name": "Ann Example"}, deadline=naive))
    assert "Ann Example" not in str(caught.value)


STATE = "cannot switch to state 15; another operation (2) is in progress"


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError(STATE),
        asyncpg.InterfaceError(STATE),
        InternalError("SELECT 1", {}, Exception(STATE)),  # as SQLAlchemy passes the first on
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_connection_that_ends_under_a_statement_is_an_unavailable_database(
    postgresql_url: str, error: Exception
):
    database = Database(postgresql_url)
    with pytest.raises(DatabaseUnavailableError, match="cannot switch to state 15"):
        async with database.read():
            raise error
    await database.close()
