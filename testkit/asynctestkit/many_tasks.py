"""Fills the table of an embedded installation by statements, with rows as its services leave them.

One task in a hundred has failed, one in twenty is labelled, one in ten waits, since its operation
is paused, and one in fifty tells of another's end.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

PAUSED = "get-client"
_RECEIVER = "https://erp.example.com/hooks"

_MADE = """
WITH RECURSIVE
  numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :tasks),
  made AS (
    SELECT n, made_ms, printf('%012x7%03x8%015x', made_ms, n % 4096, n) AS id,
      strftime('%Y-%m-%d %H:%M:%f', made_ms / 1000.0, 'unixepoch') || '000' AS at
    FROM (SELECT n, :now_ms - (:tasks - n) * 10 AS made_ms FROM numbers)
  )
"""
_FINISHED = f"""
INSERT INTO tasks (
  id, version, operation, queue, arguments, labels, status, attempt, max_attempts, attempts,
  created_at, started_at, finished_at, executor, response_status, response_content_type,
  response_body, error, delivery_of
)
{_MADE}
SELECT
  id, 3,
  CASE n % 50 WHEN 7 THEN 'callback' ELSE 'create-client' END,
  CASE n % 50 WHEN 7 THEN 'callbacks' ELSE 'clients' END,
  CASE n % 50
    WHEN 7 THEN json_object(
      'url', '{_RECEIVER}',
      'task', json_object('id', '01a21f04-b050-73d1-a200-391adb50f4c7', 'status', 'succeeded')
    )
    ELSE json_object('email', 'ann-' || n || '@example.com', 'name', 'Ann')
  END,
  CASE n % 20 WHEN 0 THEN json_object('team', 'sales') ELSE '{{}}' END,
  CASE n % 100 WHEN 0 THEN 'failed' ELSE 'succeeded' END,
  1, 5,
  json_array(
    json_object('number', 1, 'outcome', 'succeeded', 'executor', 'e-1', 'startedAt', at,
      'finishedAt', at)
  ),
  at, at, at, 'e-1',
  CASE n % 100 WHEN 0 THEN 422 ELSE 201 END, 'application/json',
  CAST(json_object('id', n, 'name', 'Ann') AS BLOB), NULL,
  CASE n % 50 WHEN 7 THEN id END
FROM made WHERE n % 10 <> 1
"""
_HELD = f"""
INSERT INTO tasks (id, operation, queue, arguments, max_attempts, created_at, next_publish_at)
{_MADE}
SELECT id, '{PAUSED}', 'clients', json_object('id', n), 5, at, at FROM made WHERE n % 10 = 1
"""


def add_many_tasks(database: Path, *, tasks: int, now_ms: int) -> None:
    """So many, the last of them of just now; pause PAUSED before."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        for statement in (_FINISHED, _HELD):
            connection.execute(statement, {"tasks": tasks, "now_ms": now_ms})
