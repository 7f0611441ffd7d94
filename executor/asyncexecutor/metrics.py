"""What Prometheus reads of an executor: docs/metrics.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from asynctasks.metrics import SECONDS
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from asynctasks.outcome import Outcome
    from asynctasks.traces.trace_context import TraceContext

ATTEMPTS = Counter(
    "asyncapiproxy_attempts",
    "Attempts that have ended.",
    ["operation", "outcome"],
    registry=None,
)
ATTEMPT_SECONDS = Histogram(
    "asyncapiproxy_attempt_seconds",
    "How long attempts took.",
    ["operation"],
    buckets=SECONDS,
    registry=None,
)
RUNNING_ATTEMPTS = Gauge("asyncapiproxy_running_attempts", "Attempts that run now.", registry=None)
DEAD_LETTERS = Counter(
    "asyncapiproxy_dead_letters", "Messages put aside for a person.", ["queue"], registry=None
)
DRAINING = Gauge(
    "asyncapiproxy_executor_draining",
    "1 while the executor was told to drain, by the operator or by SIGTERM.",
    registry=None,
)
ABANDONED_HANDLERS = Gauge(
    "asyncapiproxy_abandoned_handlers",
    "Handlers that still run though their attempt has ended: each holds a thread.",
    registry=None,
)
UPSTREAM_POLLS = Counter(
    "asyncapiproxy_upstream_polls",
    "Times that an upstream was asked for its job.",
    ["operation", "outcome"],
    registry=None,
)
METRICS = (
    ATTEMPTS,
    ATTEMPT_SECONDS,
    RUNNING_ATTEMPTS,
    DEAD_LETTERS,
    DRAINING,
    ABANDONED_HANDLERS,
    UPSTREAM_POLLS,
)

OUTCOMES = ("succeeded", "failed", "retried", "cancelled", "given back", "lost")


class AttemptMetrics:
    """The metrics of one operation's attempts; what has a label is looked up once."""

    def __init__(self, operation: str) -> None:
        self._ended = {outcome: ATTEMPTS.labels(operation, outcome) for outcome in OUTCOMES}
        self._seconds = ATTEMPT_SECONDS.labels(operation)

    def ended(
        self, outcome: Outcome | None, seconds: float, trace: TraceContext | None = None
    ) -> None:
        """Count an attempt, if it has ended; without an outcome its task was no longer ours."""
        if outcome is not None and outcome.goes_on:
            return
        self._ended[word_of(outcome)].inc()
        self._seconds.observe(seconds, trace and trace.exemplar)


def word_of(outcome: Outcome | None) -> str:
    """How an attempt ended, in one of OUTCOMES; without an outcome its task was not ours."""
    if outcome is None:
        return "lost"
    if outcome.status is TaskStatus.QUEUED:
        return "given back" if outcome.is_given_back else "retried"
    return outcome.status.value
