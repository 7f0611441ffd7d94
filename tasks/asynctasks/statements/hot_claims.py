"""The claims in PostgreSQL's own words: of tasks that have a message, and of polls that are due.

As the other hot statements (`hot_statements`) they are transactions of their own, beneath
SQLAlchemy. SQLite's forms are in `claim_statements`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_OURS_NOW = """
              queue = $2
          AND operation || '' = ANY ($3::text[])  -- or an index of all waiting jobs would be read
          AND (revision IS NULL
               OR revision = ANY ($4::text[])
               -- Whoever knows it has not come: the operation as it is known here has to do.
               OR created_at <= now() - make_interval(secs => $5::float))
          AND (run_after IS NULL OR run_after <= now())
          AND (deadline IS NULL OR deadline > now())
"""


def _claim(claimable: str, returned: Iterable[str]) -> str:
    """A poll goes on with the attempt whose call has started the job, and nobody sees it."""
    return f"""
UPDATE tasks
SET status = 'running',
    version = tasks.version + CASE WHEN is_poll THEN 0 ELSE 1 END,
    attempt = tasks.attempt + CASE WHEN is_poll THEN 0 ELSE 1 END,
    executor = $6,
    lease_until = clock_timestamp() + make_interval(secs => $7::float),
    attempt_started_at = CASE WHEN is_poll THEN attempt_started_at ELSE clock_timestamp() END,
    started_at = coalesce(started_at, clock_timestamp()),
    published = FALSE,
    next_publish_at = NULL,
    run_after = NULL,
    progress = CASE WHEN is_poll THEN progress END,
    message = CASE WHEN is_poll THEN message END
FROM ({claimable}) AS claimable
WHERE tasks.id = claimable.id
RETURNING {", ".join(f"tasks.{name}" for name in returned)}
"""  # noqa: S608 - our own names


def claim(returned: Iterable[str]) -> str:
    """The claim of the tasks in $1 that returns these columns.

    No limit and no pause keeps a poll. Rows are locked in one order everywhere, so that executors
    with equal messages never wait in a circle.
    """
    claimable = f"""
    SELECT waiting.*
    FROM unnest($1::uuid[]) AS asked (id)
    CROSS JOIN LATERAL (
        SELECT id, upstream_job IS NOT NULL AS is_poll
        FROM tasks
        WHERE id = asked.id
          AND status = 'queued'
          AND (upstream_job IS NOT NULL OR operation <> ALL ($8::text[]))
          -- What has limits starts when it was released.
          AND (upstream_job IS NOT NULL OR published OR operation <> ALL ($9::text[]))
          AND {_OURS_NOW}
        FOR UPDATE
    ) AS waiting
    LIMIT cardinality($1::uuid[])
"""  # noqa: S608 - our own names
    return _claim(claimable, returned)


def take_polls(returned: Iterable[str]) -> str:
    """The claim of as many due polls as $1 says, those that have waited longest.

    What another executor is taking is left to it. They are found once, whatever the plan.
    """
    claimable = f"""
    WITH due AS MATERIALIZED (
        SELECT id, TRUE AS is_poll
        FROM tasks
        WHERE status = 'queued'
          AND NOT published
          AND upstream_job IS NOT NULL
          AND next_publish_at <= now()
          AND {_OURS_NOW}
        ORDER BY next_publish_at
        LIMIT $1
        FOR UPDATE SKIP LOCKED
    )
    SELECT * FROM due
"""  # noqa: S608 - our own names
    return _claim(claimable, returned)


def claim_at_rates(returned: Sequence[str]) -> str:
    """The same where starts are limited by rates: it spends what is claimed, in the same moment.

    The rates are rows of an operation, a limit, and the seconds from one start to the next, for all
    together or for each who shares the limit. Limits are locked in the order of their names, after
    tasks; a release locks limits first, but waits for no task.
    """
    return f"""
WITH claimed AS ({claim(returned)}
),
starts AS (
    SELECT rate.name, claimed.fair_key AS key, rate.is_of_key, sum(rate.seconds) AS seconds
    FROM claimed
    JOIN unnest($10::text[], $11::text[], $12::boolean[], $13::float[])
        AS rate (operation, name, is_of_key, seconds) ON rate.operation = claimed.operation
    WHERE claimed.upstream_job IS NULL
    GROUP BY rate.name, claimed.fair_key, rate.is_of_key
),
spent AS (
    UPDATE limits
    SET allowed_at = greatest(allowed_at, clock_timestamp()) + make_interval(secs => locked.seconds)
    FROM (
        SELECT name, seconds
        FROM limits
        JOIN (SELECT name, sum(seconds) AS seconds FROM starts WHERE NOT is_of_key GROUP BY name)
            AS of_all USING (name)
        ORDER BY name
        FOR UPDATE OF limits
    ) AS locked
    WHERE limits.name = locked.name
    RETURNING limits.name
),
spent_by_keys AS (
    INSERT INTO limit_keys AS known (name, key, allowed_at)
    SELECT name, key, clock_timestamp() + make_interval(secs => seconds)
    FROM starts
    WHERE is_of_key
      AND (SELECT count(*) FROM spent) >= 0  -- after the limits, as a release locks them
    ORDER BY name, key
    ON CONFLICT (name, key) DO UPDATE
    SET allowed_at = greatest(known.allowed_at, clock_timestamp()) + make_interval(secs => (
        SELECT seconds
        FROM starts
        WHERE is_of_key AND starts.name = known.name AND starts.key = known.key
    ))
)
SELECT * FROM claimed
"""  # noqa: S608 - our own names
