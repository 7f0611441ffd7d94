"""What a release asks and writes, in the words of each database.

The walk from group to group and the first few rows of each are beyond what SQLAlchemy says for
both. Parameters that hold many values are arrays on PostgreSQL, and JSON's text on SQLite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseStatements:
    """The statements on one database, with the parameters of each in their order."""

    heads: str
    """Queues; how many. The groups that wait: the queue, operation, priority and key of each."""
    counts: str
    """Operations; queues; who asks. What is in hand of the operations by key, and the places that
    others than who asks have reserved; of each queue how many messages it has, and how many tasks
    its executors run at once."""
    keys: str
    """Limits; keys. What is noted of those who share the limits."""
    tasks: str
    """Groups; how many of each. The tasks of each group that have waited longest."""
    release: str
    """Ids; after how many seconds a message counts as lost. Those of the tasks that were held."""


_SEEN_SECONDS = 90
"""As long as an executor that has not reported itself counts."""
_FIRST = """
        SELECT {columns}
        FROM tasks
        WHERE {held} AND queue = {before}.queue {following}
        ORDER BY operation, priority, fair_key, next_publish_at
        LIMIT 1"""
_FOLLOWING = """
          AND (operation, priority, fair_key)
              > (heads.operation, heads.priority, heads.fair_key)"""
_COUNTS = """
SELECT 'started' AS what, operation AS name, fair_key AS key, count(*) AS number
FROM tasks
WHERE status = 'running' AND operation {among_operations}
GROUP BY operation, fair_key
UNION ALL
SELECT 'started', operation, fair_key, count(*)
FROM tasks
WHERE status = 'queued' AND upstream_job IS NOT NULL AND operation {among_operations}
GROUP BY operation, fair_key
UNION ALL
SELECT 'published', operation, fair_key, count(*)
FROM tasks
WHERE {is_published} AND upstream_job IS NULL AND operation {among_operations}
GROUP BY operation, fair_key
UNION ALL
SELECT 'messages', queue, '', count(*)
FROM tasks
WHERE {is_published} AND queue {among_queues}
GROUP BY queue
UNION ALL
SELECT 'capacity', queue, '', sum(concurrency)
FROM executors
WHERE consuming AND seen_at >= {seen_since} AND queue {among_queues}
GROUP BY queue
UNION ALL
SELECT 'reserved', operation, fair_key, sum(places)
FROM reserved_places
WHERE places > 0 AND holder <> {asking} AND operation {among_operations}
GROUP BY operation, fair_key
"""


def _written(text: str, words: Mapping[str, str], *, columns: str) -> str:
    """The text with what both databases share, and what each says in its own words."""
    first = _FIRST.format(columns=columns, before="asked", following="", **words)
    following = _FIRST.format(columns=columns, before="heads", following=_FOLLOWING, **words)
    return text.format(
        first=first,
        following=following,
        group="queue, operation, priority, fair_key",
        **words,
    )


def _postgresql(text: str) -> str:
    return _written(
        text,
        {
            "held": "status = 'queued' AND NOT published AND upstream_job IS NULL",
            "is_published": "status = 'queued' AND published",
            "among_operations": "= ANY ($1::text[])",
            "among_queues": "= ANY ($2::text[])",
            "asking": "$3::text",
            "seen_since": f"now() - make_interval(secs => {_SEEN_SECONDS})",
        },
        columns="queue, operation, priority, fair_key, next_publish_at",
    )


ON_POSTGRESQL = ReleaseStatements(
    heads=_postgresql("""
WITH RECURSIVE heads AS (
    SELECT first.*
    FROM unnest($1::text[]) AS asked (queue)
    CROSS JOIN LATERAL ({first}
    ) AS first
    UNION ALL
    SELECT following.*
    FROM heads
    CROSS JOIN LATERAL ({following}
    ) AS following
)
SELECT {group}
FROM heads
WHERE next_publish_at <= statement_timestamp()
LIMIT $2
"""),
    counts=_postgresql(_COUNTS),
    keys="""
SELECT name, key, turn,
       extract(epoch FROM allowed_at - statement_timestamp())::float AS allowed_in_seconds
FROM limit_keys
WHERE name = ANY ($1::text[]) AND key = ANY ($2::text[])
""",
    tasks=_postgresql("""
SELECT asked.number - 1 AS number, held.id, held.waited_seconds
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[])
    WITH ORDINALITY AS asked ({group}, number)
CROSS JOIN LATERAL (
    SELECT id, extract(epoch FROM statement_timestamp() - next_publish_at)::float AS waited_seconds
    FROM tasks
    WHERE {held}
      AND queue = asked.queue
      AND operation = asked.operation
      AND priority = asked.priority
      AND fair_key = asked.fair_key
      AND next_publish_at <= statement_timestamp()
    ORDER BY next_publish_at
    LIMIT $5
) AS held
ORDER BY asked.number, held.waited_seconds DESC
"""),
    release=_postgresql("""
UPDATE tasks
SET published = TRUE,
    next_publish_at = clock_timestamp() + make_interval(secs => $2::float)
FROM (
    SELECT waiting.id
    FROM unnest($1::uuid[]) AS asked (id)
    CROSS JOIN LATERAL (
        SELECT id FROM tasks WHERE id = asked.id AND {held} FOR UPDATE SKIP LOCKED
    ) AS waiting
    LIMIT cardinality($1::uuid[])
) AS released
WHERE tasks.id = released.id
RETURNING tasks.id, tasks.operation, tasks.queue
"""),
)


def _sqlite(text: str) -> str:
    return _written(
        text,
        {
            # As its indexes have it, since SQLite compares words.
            "held": "status = 'queued' AND published = 0 AND upstream_job IS NULL",
            "is_published": "status = 'queued' AND published = 1",
            "among_operations": "IN (SELECT value FROM json_each(?1))",
            "among_queues": "IN (SELECT value FROM json_each(?2))",
            "asking": "?3",
            "seen_since": f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{_SEEN_SECONDS} seconds')",
            "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        },
        columns="id",
    )


ON_SQLITE = ReleaseStatements(
    heads=_sqlite("""
WITH RECURSIVE heads AS (
    SELECT first.queue, first.operation, first.priority, first.fair_key, first.next_publish_at
    FROM (SELECT value AS queue FROM json_each(?1)) AS asked
    CROSS JOIN tasks AS first ON first.id = ({first}
    )
    UNION ALL
    SELECT following.queue, following.operation, following.priority, following.fair_key,
           following.next_publish_at
    FROM heads
    CROSS JOIN tasks AS following ON following.id = ({following}
    )
)
SELECT {group}
FROM heads
WHERE next_publish_at <= {now}
LIMIT ?2
"""),
    counts=_sqlite(_COUNTS),
    keys="""
SELECT name, key, turn,
       (julianday(allowed_at) - julianday('now')) * 86400.0 AS allowed_in_seconds
FROM limit_keys
WHERE name IN (SELECT value FROM json_each(?1)) AND key IN (SELECT value FROM json_each(?2))
""",
    tasks=_sqlite("""
SELECT asked.number, held.id,
       (julianday('now') - julianday(held.next_publish_at)) * 86400.0 AS waited_seconds
FROM (
    SELECT key AS number,
           value ->> 0 AS queue,
           value ->> 1 AS operation,
           value ->> 2 AS priority,
           value ->> 3 AS fair_key
    FROM json_each(?1)
) AS asked
CROSS JOIN tasks AS held ON held.id IN (
    SELECT id
    FROM tasks
    WHERE {held}
      AND queue = asked.queue
      AND operation = asked.operation
      AND priority = asked.priority
      AND fair_key = asked.fair_key
      AND next_publish_at <= {now}
    ORDER BY next_publish_at
    LIMIT ?2
)
ORDER BY asked.number, held.next_publish_at
"""),
    release=_sqlite("""
UPDATE tasks
SET published = 1,
    next_publish_at = strftime('%Y-%m-%d %H:%M:%f000', 'now', ?2 || ' seconds')
WHERE id IN (SELECT value FROM json_each(?1)) AND {held}
RETURNING id, operation, queue
"""),
)
