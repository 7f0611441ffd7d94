"""The trigger that adds a delivery for each of a task's callbacks as the task ends.

So it is done in the very transaction that ends the task, whichever statement of whichever process
that is, and a task without callbacks pays for nothing but the look whether it has any
(docs/decisions/0014-deliveries-by-a-trigger.md). A migration that makes the table anew on SQLite,
as Alembic's batches do, has to make the trigger anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_ENDS = """
    NEW.callbacks IS NOT NULL
    AND NEW.status IN ('succeeded', 'failed', 'cancelled', 'expired')
    AND OLD.status IN ('queued', 'running')
"""
_ADDED = """
    id, operation, queue, delivery_of, arguments, max_attempts, created_at, next_publish_at
"""

# A UUIDv7: 48 bits of milliseconds, and the version set over those of a random v4.
_FUNCTION = """
CREATE OR REPLACE FUNCTION asyncapiproxy_add_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tasks ({added}, {inherited})
    SELECT encode(
               set_bit(set_bit(overlay(
                   uuid_send(gen_random_uuid())
                   PLACING substring(int8send(floor(
                       extract(epoch FROM clock_timestamp()) * 1000
                   )::bigint) FROM 3)
                   FROM 1 FOR 6
               ), 52, 1), 53, 1),
               'hex'
           )::uuid,
           'callback',
           'callbacks',
           NEW.id,
           json_build_object(
               'url', callback ->> 'url',
               'include', callback ->> 'include',
               'task', json_build_object(
                   'id', NEW.id,
                   'operation', NEW.operation,
                   'status', NEW.status,
                   'version', NEW.version,
                   'attempt', NEW.attempt,
                   'labels', NEW.labels,
                   'createdAt', {created_at},
                   'finishedAt', {finished_at}
               )
           ),
           10,
           clock_timestamp(),
           clock_timestamp(),
           {values}
    FROM json_array_elements(NEW.callbacks) AS callback
    WHERE callback::jsonb -> 'events' ? NEW.status;
    RETURN NULL;
END
$$
"""
_INSTANTS = {
    name: f"to_char(NEW.{name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    for name in ("created_at", "finished_at")
}
_TRIGGER = f"""
CREATE TRIGGER asyncapiproxy_add_deliveries AFTER UPDATE OF status ON tasks
FOR EACH ROW WHEN ({_ENDS}) EXECUTE FUNCTION asyncapiproxy_add_deliveries()
"""

_HYPHENED = " || '-' || ".join(
    f"substr(NEW.id, {first}, {length})"
    for first, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
)
_NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
_TRIGGER_ON_SQLITE = """
CREATE TRIGGER asyncapiproxy_add_deliveries AFTER UPDATE OF status ON tasks
FOR EACH ROW WHEN {ends}
BEGIN
    INSERT INTO tasks ({added}, {inherited})
    SELECT printf('%012x', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER))
               || '7' || substr(lower(hex(randomblob(2))), 2)
               || substr('89ab', 1 + abs(random() % 4), 1)
               || substr(lower(hex(randomblob(8))), 2),
           'callback',
           'callbacks',
           NEW.id,
           json_object(
               'url', callback.value ->> 'url',
               'include', callback.value ->> 'include',
               'task', json_object(
                   'id', {hyphened},
                   'operation', NEW.operation,
                   'status', NEW.status,
                   'version', NEW.version,
                   'attempt', NEW.attempt,
                   'labels', json(NEW.labels),
                   'createdAt', replace(NEW.created_at, ' ', 'T') || 'Z',
                   'finishedAt', replace(NEW.finished_at, ' ', 'T') || 'Z'
               )
           ),
           10,
           {now},
           {now},
           {values}
    FROM json_each(NEW.callbacks) AS callback
    WHERE NEW.status IN (SELECT value FROM json_each(callback.value, '$.events'));
END
"""


def make_delivery_trigger(connection: Connection, *, inherited: Sequence[str]) -> None:
    """Have deliveries added, each with these columns of the task whose end it tells of."""
    columns = {
        "added": _ADDED,
        "inherited": ", ".join(inherited),
        "values": ", ".join(f"NEW.{name}" for name in inherited),
    }
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_FUNCTION.format(**columns, **_INSTANTS))
        connection.exec_driver_sql(_TRIGGER)
    else:
        connection.exec_driver_sql(
            _TRIGGER_ON_SQLITE.format(**columns, ends=_ENDS, hyphened=_HYPHENED, now=_NOW)
        )


def drop_delivery_trigger(connection: Connection) -> None:
    """Have none added any more."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP TRIGGER asyncapiproxy_add_deliveries ON tasks")
        connection.exec_driver_sql("DROP FUNCTION asyncapiproxy_add_deliveries")
    else:
        connection.exec_driver_sql("DROP TRIGGER asyncapiproxy_add_deliveries")
