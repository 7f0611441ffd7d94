"""Fills the task table by SQL, with rows as proxies and executors leave them."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert

from asynctasks.database import Database
from asynctasks.instants import utc_now
from asynctasks.statements.conditions import tasks
from asynctasks.task import TaskStatus, new_task_id
from benchmarks.machine.bench import Bench

# Versions and variants as in RFC 9562, and the time first, so that ids sort as real ones do.
_ID = """(
  lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0')
  || '7' || substr(md5({n}::text), 1, 3) || '8' || substr(md5({n}::text || 'b'), 1, 15)
)::uuid"""

_FINISHED = f"""
INSERT INTO tasks (
  id, version, operation, queue, arguments, labels, status, attempt, max_attempts, attempts,
  created_at, started_at, finished_at, executor, attempt_started_at, reply_to,
  response_status, response_content_type, response_body, error
)
SELECT
  {_ID.format(at="at", n="n")}, 3, 'create-client', 'clients',
  json_build_object('email', 'ann-' || n || '@example.com', 'name', 'Ann'),
  CASE WHEN n % 20 = 0 THEN json_build_object('team', 'sales') ELSE json_build_object() END,
  CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'succeeded' END, 1, 5,
  json_build_array(json_build_object('number', 1, 'outcome', 'succeeded', 'executor', 'e-1',
                                     'startedAt', at, 'finishedAt', at)),
  at, at, at, 'executor-1', at, 'asyncapiproxy.replies.f1a9f6e2-3d3c-4d3f-9a51-1f6c30c4f0a1',
  CASE WHEN n % 100 = 0 THEN 422 ELSE 201 END, 'application/json',
  convert_to(
    json_build_object('id', n, 'email', 'ann-' || n || '@example.com', 'name', 'Ann')::text, 'UTF8'
  ),
  NULL
FROM (
  SELECT n, now() - interval '1 hour' - ({{until}} - n) * interval '20 milliseconds' AS at
  FROM generate_series({{since}}, {{until}}) AS n
) AS made
"""

_QUEUED = f"""
INSERT INTO tasks (
  id, operation, queue, arguments, max_attempts, created_at, next_publish_at, published
)
SELECT
  {_ID.format(at="at", n="n")}, 'create-client', 'clients',
  json_build_object('email', 'ann-' || n || '@example.com', 'name', 'Ann'),
  5, at, {{next_publish_at}}, {{published}}
FROM (
  SELECT n, now() - interval '1 minute' - n * interval '1 millisecond' AS at
  FROM generate_series(1, {{rows}}) AS n
) AS made
"""

_HELD = f"""
INSERT INTO tasks (
  id, operation, queue, tenant, fair_key, arguments, max_attempts, created_at, next_publish_at,
  published
)
SELECT
  {_ID.format(at="at", n="n")}, 'create-client', 'clients', fair_key, fair_key, '{{{{}}}}', 5, at,
  at, FALSE
FROM (
  SELECT n, (ARRAY[{{fair_keys}}])[1 + n % {{keys}}] AS fair_key,
    now() - ({{rows}} - n) * interval '1 microsecond' AS at
  FROM generate_series(1, {{rows}}) AS n
) AS made
"""

_ROWS_AT_ONCE = 5_000


def add_finished(bench: Bench, url: str, *, since: int, until: int) -> None:
    """Finished tasks number `since` to `until`, the newer with the higher number."""
    bench.sql(_FINISHED.format(since=since, until=until), url=url)
    _settle(bench, url)


def add_queued(bench: Bench, url: str, *, rows: int, published: bool) -> None:
    """Queued tasks: with a message each that is not lost, or all due to be published."""
    next_publish_at = "now() + interval '1 hour'" if published else "at"
    statement = _QUEUED.format(rows=rows, published=str(published), next_publish_at=next_publish_at)
    bench.sql(statement, url=url)
    _settle(bench, url)


def add_held(bench: Bench, url: str, *, rows: int, fair_keys: Sequence[str]) -> None:
    """Queued tasks that came just now and are held, of these tenants in turn."""
    quoted = ", ".join(f"'{key}'" for key in fair_keys)
    statement = _HELD.format(rows=rows, fair_keys=quoted, keys=len(fair_keys))
    bench.sql(statement, url=url)
    _settle(bench, url)


def add_failed(bench: Bench, url: str, *, operation: str, queue: str, rows: int) -> None:
    """Tasks of one operation that have used up their attempts just now, on either database."""
    asyncio.run(_add_failed(url, operation=operation, queue=queue, rows=rows))
    if url.startswith("postgresql"):
        _settle(bench, url)
    else:
        os.sync()


async def _add_failed(url: str, *, operation: str, queue: str, rows: int) -> None:
    database = Database(url, statement_seconds=None)
    try:
        for number in range(0, rows, _ROWS_AT_ONCE):
            made = [_failed(operation, queue) for _ in range(min(_ROWS_AT_ONCE, rows - number))]
            async with database.write() as connection:
                await connection.execute(insert(tasks), made)
    finally:
        await database.close()


def _failed(operation: str, queue: str) -> dict[str, Any]:
    now = utc_now()
    detail = "Cannot connect to host orders.example:443"
    attempt = {"outcome": "failed", "executor": "executor-1", "detail": detail}
    times = {"startedAt": now.isoformat(), "finishedAt": now.isoformat()}
    error = {
        "type": "upstream-unreachable",
        "title": "The upstream could not be reached",
        "status": 502,
    }
    return {
        "id": new_task_id(),
        "version": 11,
        "operation": operation,
        "queue": queue,
        "arguments": {"item": "pencil", "customer": "ann@example.com"},
        "status": TaskStatus.FAILED,
        "attempt": 5,
        "max_attempts": 5,
        "attempts": [{"number": number, **attempt, **times} for number in range(1, 6)],
        "created_at": now,
        "started_at": now,
        "finished_at": now,
        "attempt_started_at": now,
        "executor": "executor-1",
        "error": {**error, "detail": detail},
    }


def _settle(bench: Bench, url: str) -> None:
    """Else what the filling left to write would be written during the measurement."""
    bench.sql("VACUUM (ANALYZE) tasks", url=url)
    bench.sql("CHECKPOINT", url=url)
    os.sync()
