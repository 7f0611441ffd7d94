"""GroupCommit on real databases: grouped, isolated, durable, and never a caller left waiting."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import asynctasks.group_commit
from asynctasks.database import Database
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.group_commit import (
    LONGEST_PAUSE_SECONDS,
    USUAL_PAUSE_SECONDS,
    Batch,
    GroupCommit,
    pause_seconds,
)
from asynctasks.operations.new_task import NewTask
from asynctasks.statements.store import TaskStore
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.servers import PostgresqlServer
from benchmarks.systems.unbatched import write_alone


class Counted:
    """A database that counts its write transactions, and holds them while `gate` is closed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.has_one_writer = database.has_one_writer
        self.transactions = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        self.transactions += 1
        await self.gate.wait()
        async with self.database.write() as connection:
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncGenerator[AsyncConnection]:
        self.transactions += 1
        await self.gate.wait()
        async with self.database.statement() as connection:
            yield connection


@pytest.fixture
async def counted(database_url: str) -> AsyncIterator[Counted]:
    database = Database(database_url)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE facts (number INTEGER PRIMARY KEY)"))
    yield Counted(database)
    await database.close()


def committing(counted: Counted) -> GroupCommit:
    database: Any = counted
    return GroupCommit(database)


async def insert_all(connection: AsyncConnection, numbers: Sequence[int]) -> list[int]:
    """Refuses what is no number in the driver, what is there already in the database."""
    await connection.execute(
        text("INSERT INTO facts VALUES (:number)"), [{"number": number} for number in numbers]
    )
    return [number * 10 for number in numbers]


async def insert_at_once(database: Database, numbers: Sequence[int]) -> list[int]:
    async with database.statement() as connection:
        return await insert_all(connection, numbers)


insert = Batch(insert_all)
insert_alone = Batch(insert_all, at_once=insert_at_once)


async def stored(database: Database) -> list[int]:
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT number FROM facts ORDER BY number"))
        return list(rows.scalars())


async def test_a_lone_write_is_committed_at_once_and_gets_its_own_result(counted: Counted):
    async with committing(counted) as commits:
        began = time.monotonic()
        assert await commits.write(insert, 4) == 40
        assert time.monotonic() - began < 5
        assert await stored(counted.database) == [4]
        assert counted.transactions == 1


async def test_two_hundred_writes_at_once_share_two_transactions(counted: Counted):
    async with committing(counted) as commits:
        counted.gate.clear()
        first = asyncio.create_task(commits.write(insert, 0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [asyncio.create_task(commits.write(insert, n)) for n in range(1, 201)]
        await asyncio.sleep(0)
        counted.gate.set()
        assert await asyncio.gather(first, *rest) == [n * 10 for n in range(201)]
    assert counted.transactions == 2
    assert await stored(counted.database) == list(range(201))


async def test_the_benchmark_writes_each_in_a_transaction_of_its_own(counted: Counted):
    async with committing(counted) as commits:
        alone = [write_alone(commits, insert, number) for number in range(3)]
        assert await asyncio.gather(*alone) == [0, 10, 20]
    assert counted.transactions == 3


async def test_a_kind_of_write_waits_for_no_other_where_the_database_has_many_writers(
    counted: Counted,
):
    """And where it has one, all that wait for it share the next transaction."""
    has_begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def held_up(connection: AsyncConnection, numbers: Sequence[int]) -> list[int]:
        has_begun.set()
        await may_go_on.wait()
        return await insert_all(connection, numbers)

    async with committing(counted) as commits:
        first = asyncio.create_task(commits.write(Batch(held_up), 1))
        await has_begun.wait()
        others = [
            asyncio.create_task(commits.write(batch, number))
            for number, batch in enumerate([insert, insert_alone] * 2, start=2)
        ]
        if counted.has_one_writer:
            for _ in range(10):
                await asyncio.sleep(0)
            assert counted.transactions == 1
        else:
            assert await asyncio.gather(*others) == [20, 30, 40, 50]
            assert counted.transactions == 3
        assert not first.done()
        may_go_on.set()
        assert await asyncio.gather(first, *others) == [10, 20, 30, 40, 50]
    assert counted.transactions == (2 if counted.has_one_writer else 3)
    assert await stored(counted.database) == [1, 2, 3, 4, 5]


async def test_only_a_write_that_follows_a_group_waits_for_more(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    pauses: list[int] = []

    def noted(last_size: int, last_seconds: float) -> float:
        pauses.append(last_size)
        assert (last_seconds == 0) == counted.has_one_writer
        return pause_seconds(last_size, last_seconds)

    monkeypatch.setattr(asynctasks.group_commit, "pause_seconds", noted)
    async with committing(counted) as commits:
        await commits.write(insert, 1)
        await commits.write(insert, 2)
        await asyncio.gather(*(commits.write(insert, n) for n in (3, 4, 5)))
        assert pauses == []
        await commits.write(insert, 6)
        await commits.write(insert, 7)
    assert pauses == [3]
    assert counted.transactions == 5


def test_the_pause_grows_with_the_group_before_and_is_bounded():
    pauses = [pause_seconds(size, 0.0001) for size in (2, 4, 8, 100, 500)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.001
    assert pauses[-1] == USUAL_PAUSE_SECONDS


def test_the_pause_is_as_long_as_a_slow_transaction_and_is_bounded():
    pauses = [pause_seconds(2, seconds) for seconds in (0.001, 0.01, 1, 10)]
    assert pauses == [0.001, 0.01, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


@pytest.mark.parametrize("bad", [7, "no number", 2**70, object()])
@pytest.mark.parametrize("insert", [insert, insert_alone])
async def test_an_item_that_cannot_be_stored_fails_alone(
    counted: Counted, insert: Batch[Any, int], bad: Any
):
    async with committing(counted) as commits:
        await commits.write(insert, 7)
        counted.gate.clear()
        writes = [asyncio.create_task(commits.write(insert, item)) for item in (0, 1, bad, 2, 3)]
        await asyncio.sleep(0)
        counted.gate.set()
        results = await asyncio.gather(*writes, return_exceptions=True)
    assert results[:2] + results[3:] == [0, 10, 20, 30]
    assert isinstance(results[2], Exception)
    assert not isinstance(results[2], DatabaseUnavailableError)
    assert await stored(counted.database) == [0, 1, 2, 3, 7]


async def test_the_write_of_a_cancelled_caller_is_committed(counted: Counted):
    async with committing(counted) as commits:
        counted.gate.clear()
        caller = asyncio.create_task(commits.write(insert, 1))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        counted.gate.set()
        assert await commits.write(insert, 2) == 20
        assert await stored(counted.database) == [1, 2]


async def test_leaving_flushes_what_waits_and_later_writes_are_refused(counted: Counted):
    async with committing(counted) as commits:
        counted.gate.clear()
        writes = [asyncio.create_task(commits.write(insert, number)) for number in range(50)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, counted.gate.set)
    assert await asyncio.gather(*writes) == [n * 10 for n in range(50)]
    with pytest.raises(DatabaseUnavailableError):
        await commits.write(insert, 99)


async def test_the_bodys_own_error_passes_and_what_waits_is_flushed(counted: Counted):
    writes: list[asyncio.Task[int]] = []

    async def service() -> None:
        async with committing(counted) as commits:
            writes.append(asyncio.create_task(commits.write(insert, 1)))
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await service()
    assert await writes[0] == 10


async def test_a_body_that_is_cancelled_flushes_and_is_cancelled(counted: Counted):
    writes: list[asyncio.Task[int]] = []
    has_asked = asyncio.Event()

    async def service() -> None:
        async with committing(counted) as commits:
            writes.append(asyncio.create_task(commits.write(insert, 1)))
            await asyncio.sleep(0)
            has_asked.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(service())
    await has_asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await task
    assert await writes[0] == 10


async def test_whoever_still_waits_when_even_the_flush_is_cancelled_is_told(counted: Counted):
    writes: list[asyncio.Task[int]] = []
    has_asked = asyncio.Event()

    async def service() -> None:
        async with committing(counted) as commits:
            counted.gate.clear()
            writes.append(asyncio.create_task(commits.write(insert, 1)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            writes.append(asyncio.create_task(commits.write(insert, 2)))
            await asyncio.sleep(0)
            has_asked.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(service())
    await has_asked.wait()
    task.cancel()
    await asyncio.sleep(0)  # it is about to flush
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await task
    async with asyncio.timeout(PATIENCE_SECONDS):
        results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailableError] * 2


async def test_a_batch_larger_than_one_statement_may_be_is_stored_whole(
    database_url: str, new_task: Callable[..., NewTask]
):
    database = Database(database_url)
    async with GroupCommit(database) as commits:
        store = TaskStore(database, commits)
        tasks = [new_task(idempotency_key=f"key-{n}") for n in range(1_200)]
        added = await asyncio.gather(*map(store.add, tasks))
    assert [one.id for one in added] == [task.id for task in tasks]
    await database.close()


async def test_a_terminated_connection_is_replaced_without_the_caller_noticing(
    postgresql_url: str, new_task: Callable[..., NewTask]
):
    database = Database(postgresql_url)
    async with GroupCommit(database) as commits:
        store = TaskStore(database, commits)
        for _ in range(5):
            await asyncio.gather(*(store.add(new_task()) for _ in range(5)))
            await terminate_all(postgresql_url)
            added = await store.add(new_task())
            assert (await store.find(added.id)).id == added.id
    await database.close()


async def test_a_connection_terminated_in_the_midst_of_a_batch_is_no_failure(postgresql_url: str):
    database = Database(postgresql_url)
    attempts = 0

    async def killed_once(connection: AsyncConnection, numbers: Sequence[int]) -> Sequence[int]:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        await connection.execute(text("SELECT 1"))
        return numbers

    async with GroupCommit(database) as commits:
        assert await commits.write(Batch(killed_once), 5) == 5
        assert attempts == 2
    await database.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    """Private, because tests here end it; each leaves it running."""
    with PostgresqlServer() as server:
        yield server


async def test_a_restart_of_the_database_goes_unnoticed_by_the_next_reader_and_writer(
    server: PostgresqlServer,
):
    database = Database(server.url)
    await make_facts(database)
    async with GroupCommit(database) as commits:
        await asyncio.gather(*(read_one(database) for _ in range(5)))  # fills the pool
        await asyncio.to_thread(server.stop)  # meanwhile the loop sees the connections close
        server.start()
        assert await stored(database) == []
        assert await commits.write(insert, 1) == 10
        assert await stored(database) == [1]
    await database.close()


async def test_a_database_that_is_down_is_told_fast_and_used_again_when_it_is_back(
    server: PostgresqlServer,
):
    database = Database(server.url)
    await make_facts(database)
    async with GroupCommit(database) as commits:
        await commits.write(insert, 1)
        server.kill()
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailableError):
            await commits.write(insert, 2)
        with pytest.raises(DatabaseUnavailableError):
            await stored(database)
        with pytest.raises(DatabaseUnavailableError):
            await database.ping()
        assert time.monotonic() - began < 4.5
        server.start()
        assert await commits.write(insert, 3) == 30
        assert await stored(database) == [1, 3]
    await database.close()


@pytest.mark.parametrize(
    ("user", "name"), [("limited", "postgres"), ("tests", "there_is_none"), ("nobody", "postgres")]
)
async def test_a_database_that_answers_with_a_refusal_is_unavailable(
    server: PostgresqlServer, user: str, name: str
):
    """Out of connections, as starting up or shutting down, is an answer, not a lost connection."""
    admin = await asyncpg.connect(server.url)
    await admin.execute("DROP ROLE IF EXISTS limited")
    await admin.execute("CREATE ROLE limited LOGIN CONNECTION LIMIT 0")
    await admin.close()
    address = server.url.partition("@")[2].partition("/")[0]
    database = Database(f"postgresql://{user}@{address}/{name}")
    with pytest.raises(DatabaseUnavailableError):
        await database.ping()
    with pytest.raises(DatabaseUnavailableError):
        await database.fetch("SELECT 1")
    await database.close()


async def test_writers_in_a_deadlock_both_succeed(postgresql_url: str):
    database = Database(postgresql_url)
    await make_facts(database)
    turns = asyncio.Barrier(2)
    tries = 0

    async def lock_both(connection: AsyncConnection, orders: Sequence[str]) -> Sequence[str]:
        nonlocal tries
        tries += 1
        first, second = orders[0]
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({first})"))
        if tries <= 2:
            await turns.wait()
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({second})"))
        return orders

    batch = Batch(lock_both)
    async with GroupCommit(database) as one, GroupCommit(database) as other:
        results = await asyncio.gather(one.write(batch, "12"), other.write(batch, "21"))
    assert results == ["12", "21"]
    assert tries == 3
    await database.close()


async def test_writes_under_way_while_the_database_is_killed_all_end(server: PostgresqlServer):
    database = Database(server.url)
    await make_facts(database)
    numbers = iter(range(10_000))
    committed: set[int] = set()
    refused = 0

    async def writer(commits: GroupCommit) -> None:
        nonlocal refused
        while refused < 30:
            number = next(numbers)
            try:
                await commits.write(insert, number)
                committed.add(number)
            except DatabaseUnavailableError:
                refused += 1

    async with asyncio.timeout(PATIENCE_SECONDS), GroupCommit(database) as commits:
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(writer(commits))

            def some() -> None:
                assert len(committed) > 50

            await eventually(some)
            await asyncio.to_thread(server.kill)
        server.start()
        assert committed <= set(await stored(database))
    await database.close()


async def make_facts(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS facts"))
        await connection.execute(text("CREATE TABLE facts (number INTEGER PRIMARY KEY)"))


async def read_one(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT pg_sleep(0.05)"))


async def terminate_all(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()
