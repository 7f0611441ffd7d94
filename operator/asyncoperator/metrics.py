"""What Prometheus reads of the operator: docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

LEADING = Gauge("asyncapiproxy_operator_leading", "1 in the replica that leads.", registry=None)
QUEUED = Gauge(
    "asyncapiproxy_queued_tasks", "Tasks that wait for an executor.", ["queue"], registry=None
)
OLDEST_QUEUED = Gauge(
    "asyncapiproxy_oldest_queued_task_seconds",
    "How long the task that is next has waited.",
    ["queue"],
    registry=None,
)
RUNNING = Gauge("asyncapiproxy_running_tasks", "Tasks that run.", ["queue"], registry=None)
EXECUTORS = Gauge(
    "asyncapiproxy_executors", "Executors, by kind.", ["queue", "kind"], registry=None
)
SCALINGS = Counter("asyncapiproxy_scalings", "Scalings.", ["queue", "direction"], registry=None)
DEMAND_UNKNOWN = Gauge(
    "asyncapiproxy_demand_unknown",
    "1 while the demand cannot be read and the scale is kept.",
    ["queue"],
    registry=None,
)
MIRROR_WRITES = Counter(
    "asyncapiproxy_mirror_writes", "Writes to AsyncTask objects.", ["kind"], registry=None
)
MIRROR_STALE = Gauge(
    "asyncapiproxy_mirror_stale_tasks",
    "Tasks whose object shows an earlier version.",
    registry=None,
)
MIRROR_OBJECTS = Gauge(
    "asyncapiproxy_mirror_objects", "AsyncTask objects that there are.", registry=None
)
MIRROR_DEGRADED = Gauge(
    "asyncapiproxy_mirror_degraded",
    "1 while the mirror leaves out what its limits do not allow.",
    registry=None,
)
METRICS = (
    LEADING,
    QUEUED,
    OLDEST_QUEUED,
    RUNNING,
    EXECUTORS,
    SCALINGS,
    DEMAND_UNKNOWN,
    MIRROR_WRITES,
    MIRROR_STALE,
    MIRROR_OBJECTS,
    MIRROR_DEGRADED,
)
