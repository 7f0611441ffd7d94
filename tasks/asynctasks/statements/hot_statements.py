"""The statements that every task goes through, and every poll, in PostgreSQL's own words.

Each writes a whole group of tasks from arrays and is a transaction of its own, one round trip. The
driver runs it beneath SQLAlchemy, which would cost more than the statement itself
(docs/decisions/0011-hot-statements.md). SQLite's forms are in `store` and `claims`; the contract
tests run both. The claims are in `hot_claims`.

A new column that tasks begin with goes into `ADDED`, one that an attempt leaves behind into
`ANSWER_COLUMNS`: its type is read off the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql

from asynctasks.instants import aware
from asynctasks.json_values import json_text
from asynctasks.statements.conditions import ANSWER_COLUMNS, tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ADDED = (
    "id",
    "operation",
    "revision",
    "queue",
    "principal",
    "tenant",
    "priority",
    "fair_key",
    "idempotency_key",
    "fingerprint",
    "coalescing_key",
    "arguments",
    "sealed_arguments",
    "sealed_headers",
    "body_headers",
    "body",
    "body_blob",
    "labels",
    "batch",
    "max_attempts",
    "created_at",
    "published",
    "reply_to",
    "asynctask",
    "callbacks",
    "traceparent",
    "tracestate",
)
"""What a new task's row begins with, as it is given."""
MOST_BYTES = 4 * 1024 * 1024
"""Of one statement's JSON and bodies: PostgreSQL and the driver hold them several times."""
_POSTGRESQL = postgresql.dialect()


def _columns(*names: str) -> dict[str, str]:
    """Columns of the table, and their types."""
    return {name: tasks.c[name].type.compile(_POSTGRESQL) for name in names}


_GIVEN = {
    **_columns(*ADDED, "deadline"),
    **dict.fromkeys(("deadline_seconds", "delay_seconds", "publish_in_seconds"), "FLOAT"),
}
_ENDED = {
    **_columns("id", "attempt", "status", "attempts", *ANSWER_COLUMNS),
    "given_back": "INTEGER",
    "retry_in_seconds": "FLOAT",
    **_columns("upstream_job", "progress"),
}
_STEPS = {
    **_columns("id", "attempt", "upstream_job", "progress"),
    "changes": "INTEGER",
    "poll_in_seconds": "FLOAT",
}


def _names(columns: Iterable[str], of: str = "") -> str:
    return ", ".join(f"{of}{name}" for name in columns)


def _arrays(columns: Mapping[str, str], *, first: int = 1) -> str:
    """What stands in the FROM: rows of these columns, from a parameter for each."""
    arrays = _names(f"${n}::{kind}[]" for n, kind in enumerate(columns.values(), start=first))
    return f"unnest({arrays}) AS given ({_names(columns)})"


ADD = f"""
INSERT INTO tasks ({_names(ADDED)},
                   status, deadline, run_after, next_publish_at)
SELECT {_names(ADDED)},
       'queued',
       coalesce(deadline, now() + make_interval(secs => deadline_seconds)),
       now() + make_interval(secs => delay_seconds),
       now() + make_interval(secs => publish_in_seconds)
FROM {_arrays(_GIVEN)}
ON CONFLICT DO NOTHING
"""  # noqa: S608 - our own names

_ADDED_WITH_PLACES = [
    "taken.holder IS NOT NULL OR published" if name == "published" else f"new.{name}"
    for name in ADDED
]
_GIVEN_WITH_PLACES = {**_GIVEN, "place_of": "TEXT", "publish_grace_seconds": "FLOAT"}
ADD_WITH_PLACES = f"""
WITH new AS (
    SELECT * FROM {_arrays(_GIVEN_WITH_PLACES)}
),
asked AS (
    SELECT operation, fair_key, place_of AS holder, count(*)::integer AS places
    FROM new
    WHERE place_of IS NOT NULL
    GROUP BY operation, fair_key, place_of
    ORDER BY operation, fair_key, place_of
),
free AS (
    SELECT asked.*
    FROM asked
    CROSS JOIN LATERAL (
        SELECT
        FROM reserved_places AS reserved
        WHERE reserved.operation = asked.operation
          AND reserved.fair_key = asked.fair_key
          AND reserved.holder = asked.holder
          AND reserved.places >= asked.places
        FOR UPDATE
    ) AS enough
    LIMIT cardinality($1::uuid[])
),
taken AS (
    UPDATE reserved_places AS reserved
    SET places = reserved.places - free.places
    FROM free
    WHERE reserved.operation = free.operation
      AND reserved.fair_key = free.fair_key
      AND reserved.holder = free.holder
    RETURNING reserved.operation, reserved.fair_key, reserved.holder
)
INSERT INTO tasks ({_names(ADDED)},
                   status, deadline, run_after, next_publish_at)
SELECT {_names(_ADDED_WITH_PLACES)},
       'queued',
       coalesce(deadline, now() + make_interval(secs => deadline_seconds)),
       now() + make_interval(secs => delay_seconds),
       now() + make_interval(secs => CASE WHEN taken.holder IS NULL THEN publish_in_seconds
                                          ELSE publish_grace_seconds END)
FROM new
LEFT JOIN taken ON taken.operation = new.operation
               AND taken.fair_key = new.fair_key
               AND taken.holder = new.place_of
ON CONFLICT DO NOTHING
RETURNING id, published
"""  # noqa: S608 - our own names
"""The same where places were reserved for some; those whose place is gone are held."""


def _ours(given: str) -> str:
    """Of the given pairs of id and attempt those that the executor in $1 still runs, locked."""
    return f"""
    {given}
    CROSS JOIN LATERAL (
        SELECT cancel_requested
        FROM tasks
        WHERE id = given.id
          AND attempt = given.attempt
          AND status || '' = 'running'  -- or the index of all that run would be walked for each
          AND executor = $1
        FOR UPDATE
    ) AS held
"""  # noqa: S608 - our own names


FINISH = f"""
UPDATE tasks
SET status = CASE WHEN is_cancelled THEN 'cancelled' ELSE ended.status END,
    version = tasks.version + 1,
    attempts = ended.attempts,
    {_names(f"{name} = ended.{name}" for name in ANSWER_COLUMNS if name != "error")},
    error = CASE WHEN is_cancelled THEN $2::json ELSE ended.error END,
    upstream_job = coalesce(ended.upstream_job, tasks.upstream_job),
    progress = coalesce(ended.progress, tasks.progress),
    drains = drains + CASE WHEN is_cancelled THEN 0 ELSE given_back END,
    lease_until = NULL,
    finished_at = CASE WHEN is_cancelled OR NOT is_queued THEN clock_timestamp() END,
    run_after = CASE WHEN NOT is_cancelled
                     THEN clock_timestamp() + make_interval(secs => retry_in_seconds) END,
    next_publish_at = CASE WHEN NOT is_cancelled
                           THEN clock_timestamp() + make_interval(secs => retry_in_seconds) END
FROM (
    SELECT given.*,
           given.status = 'queued' AS is_queued,
           -- A task whose cancel was asked for gets no further attempt.
           given.status = 'queued' AND held.cancel_requested AS is_cancelled
    FROM {_ours(_arrays(_ENDED, first=5))}
    LIMIT cardinality($5::uuid[])
) AS ended
WHERE tasks.id = ended.id
RETURNING tasks.id, tasks.attempt, tasks.cancel_requested,
          tasks.operation = ANY ($3::text[]) AND (
              SELECT EXISTS (
                  SELECT
                  FROM tasks
                  WHERE status = 'queued' AND NOT published AND upstream_job IS NULL
                    AND operation = ANY ($3::text[])
                    AND queue = ANY ($4::text[])
              )
          ) AS is_waited_for
"""  # noqa: S608 - our own names

GO_ON = f"""
WITH ours AS (
    SELECT given.*, held.cancel_requested
    FROM {_ours(_arrays(_STEPS, first=2))}
    LIMIT cardinality($2::uuid[])
),
going_on AS (
    UPDATE tasks
    SET status = 'queued',
        version = tasks.version + changes,
        lease_until = NULL,
        run_after = clock_timestamp() + make_interval(secs => poll_in_seconds),
        next_publish_at = clock_timestamp() + make_interval(secs => poll_in_seconds),
        upstream_job = ours.upstream_job,
        progress = ours.progress
    FROM ours
    WHERE tasks.id = ours.id AND NOT ours.cancel_requested
)
SELECT id, attempt, cancel_requested FROM ours
"""  # noqa: S608 - our own names
"""Attempts whose upstream's job has not ended. A task whose cancel was asked for is only told."""


def additions(
    new: Sequence[Mapping[str, Any]], *, with_places: bool = False
) -> Iterator[list[list[Any] | None]]:
    """The parameters of ADD: mostly once, and more often where much is sent with the tasks."""
    arrays = _parameters(new, _GIVEN_WITH_PLACES if with_places else _GIVEN)
    if len(new) > 1 and _bytes(arrays) > MOST_BYTES:
        half = len(new) // 2
        yield from additions(new[:half], with_places=with_places)
        yield from additions(new[half:], with_places=with_places)
    else:
        yield arrays


def endings(ended: Sequence[Mapping[str, Any]]) -> list[list[Any] | None]:
    """The parameters of FINISH from the fifth on.

    In one order everywhere, as claims are: nobody waits in a circle.
    """
    return _parameters(sorted(ended, key=lambda one: one["id"]), _ENDED)


def steps(going_on: Sequence[Mapping[str, Any]]) -> list[list[Any] | None]:
    """The parameters of GO_ON from the second on, in the same order."""
    return _parameters(sorted(going_on, key=lambda one: one["id"]), _STEPS)


_LARGE = {"JSON", "BYTEA"}
_AS_SENT: dict[str, Callable[[Any], Any]] = {
    "JSON": json_text,
    "TIMESTAMP WITH TIME ZONE": aware,
}


def _parameters(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]
) -> list[list[Any] | None]:
    return [_array([row[name] for row in rows], kind) for name, kind in columns.items()]


def _bytes(arrays: Iterable[list[Any] | None]) -> int:
    kinds = _GIVEN_WITH_PLACES.values()
    large = [array for array, kind in zip(arrays, kinds, strict=False) if kind in _LARGE]
    return sum(len(value) for array in large for value in array or () if value is not None)


def _array(values: list[Any], kind: str) -> list[Any] | None:
    """The values as they travel; None where there are none, which unnest takes for NULLs."""
    if values.count(None) == len(values):
        return None
    sent = _AS_SENT.get(kind)
    if sent is None:
        return values
    return [None if value is None else sent(value) for value in values]
