"""What Prometheus reads of a proxy: docs/metrics.md."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from asynctasks.metrics import SECONDS

if TYPE_CHECKING:
    from asynctasks.traces.trace_context import TraceContext

REQUESTS = Counter(
    "asyncapiproxy_requests",
    "Calls of operations that were answered.",
    ["operation", "outcome"],
    registry=None,
)
WAIT_SECONDS = Histogram(
    "asyncapiproxy_wait_seconds",
    "How long callers were held before they were answered.",
    ["operation"],
    buckets=SECONDS,
    registry=None,
)
PARKED_CALLERS = Gauge("asyncapiproxy_parked_callers", "Callers that are held now.", registry=None)
HELD_BODY_BYTES = Gauge(
    "asyncapiproxy_held_body_bytes",
    "Bytes of bodies that came and are not stored yet.",
    registry=None,
)
CONNECTIONS = Gauge("asyncapiproxy_connections", "Open HTTP connections.", registry=None)
REFUSED_CONNECTIONS = Counter(
    "asyncapiproxy_refused_connections",
    "HTTP connections that were ended for what their peer did, by reason.",
    ["reason"],
    registry=None,
)
RELAY_PUBLISHED = Counter(
    "asyncapiproxy_relay_published", "Tasks that the relay published.", registry=None
)
RELAY_RETURNED = Counter(
    "asyncapiproxy_relay_returned", "Tasks of dead executors that were returned.", registry=None
)
RELAY_EXPIRED = Counter("asyncapiproxy_relay_expired", "Tasks that were expired.", registry=None)
RELAY_PURGED = Counter(
    "asyncapiproxy_relay_purged", "Finished tasks that were forgotten.", registry=None
)
RELAY_ORPHANS = Counter(
    "asyncapiproxy_relay_orphans", "Blobs deleted that no task refers to.", registry=None
)
RELAY_BATCH_TASKS = Counter(
    "asyncapiproxy_relay_batch_tasks",
    "Tasks that batches have cancelled, retried or deleted.",
    ["action"],
    registry=None,
)
RELAY_BAD_ROWS = Counter(
    "asyncapiproxy_relay_bad_rows",
    "Rows that the relay could not handle and set aside.",
    ["duty"],
    registry=None,
)
PUBLISH_FAILURES = Counter(
    "asyncapiproxy_publish_failures", "Publishes that the broker did not confirm.", registry=None
)
STRANDED_TASKS = Gauge(
    "asyncapiproxy_stranded_tasks",
    "Waiting tasks that nobody will run as things stand, by why.",
    ["queue", "reason"],
    registry=None,
)
HELD_TASKS = Gauge(
    "asyncapiproxy_held_tasks",
    "Tasks that wait without a message: for their limits, a pause, or their turn.",
    ["queue"],
    registry=None,
)
WAITING_JOBS = Gauge(
    "asyncapiproxy_waiting_upstream_jobs",
    "Tasks between two polls of the job that their upstream works on.",
    ["operation"],
    registry=None,
)
LIMIT_RUNNING = Gauge(
    "asyncapiproxy_limit_running",
    "Attempts of a limit that run now, upstreams' jobs among them.",
    ["limit"],
    registry=None,
)
LIMIT_OPEN = Gauge(
    "asyncapiproxy_limit_open",
    "1 while the upstream of the limit is taken for down; of limits with a breaker.",
    ["limit"],
    registry=None,
)
PAUSED = Gauge(
    "asyncapiproxy_paused",
    "1 for each queue, operation and limit that is paused.",
    ["kind", "name"],
    registry=None,
)
METRICS = (
    REQUESTS,
    WAIT_SECONDS,
    PARKED_CALLERS,
    HELD_BODY_BYTES,
    CONNECTIONS,
    REFUSED_CONNECTIONS,
    RELAY_PUBLISHED,
    RELAY_RETURNED,
    RELAY_EXPIRED,
    RELAY_PURGED,
    RELAY_ORPHANS,
    RELAY_BATCH_TASKS,
    RELAY_BAD_ROWS,
    PUBLISH_FAILURES,
    STRANDED_TASKS,
    HELD_TASKS,
    WAITING_JOBS,
    LIMIT_RUNNING,
    LIMIT_OPEN,
    PAUSED,
)
OUTCOMES = ("answered", "replayed", "accepted", "rejected", "overloaded", "failed", "left")


class RequestMetrics:
    """The metrics of one operation's calls; what has a label is looked up once."""

    def __init__(self, operation: str) -> None:
        self._answered = {outcome: REQUESTS.labels(operation, outcome) for outcome in OUTCOMES}
        self._seconds = WAIT_SECONDS.labels(operation)

    def answered(self, outcome: str) -> None:
        """Count a call, by one of the OUTCOMES."""
        self._answered[outcome].inc()

    def park(self) -> float:
        """Count a caller as held; returns what `release` needs to know."""
        PARKED_CALLERS.inc()
        return time.perf_counter()

    def release(self, parked_at: float, trace: TraceContext | None = None) -> None:
        """Count and time the end of it."""
        PARKED_CALLERS.dec()
        seconds = time.perf_counter() - parked_at
        self._seconds.observe(seconds, trace and trace.exemplar)
