"""The executor's settings."""

from __future__ import annotations

from pydantic import Field

from asynctasks.settings import Settings


class ExecutorSettings(Settings):
    """The settings of an executor."""

    concurrency: int = Field(default=100, ge=1, le=10_000)
    """Attempts at a time; also the prefetch, the limit of connections, and of handlers' threads."""
    lease_seconds: float = Field(default=30, ge=2, le=3_600)
    """How long a claimed task stays ours without a renewal: after so long a dead executor's tasks
    go to another."""
    watch_seconds: float = Field(default=1, gt=0, le=60)
    """How often running tasks are looked at for a cancel or a lost lease."""
    max_interruptions: int = Field(default=5, ge=1, le=100)
    """How many executors a task may outlive before it is taken for what ends them, and failed."""
    revision_wait_seconds: float = Field(default=600, ge=0, le=86_400)
    """How long a task waits for an executor whose operations file is as new as the one by which it
    was accepted; then any runs it that has its operation."""
    max_response_bytes: int = Field(default=1_048_576, ge=1_024)
    """A larger response fails the task; an upstream may have a limit of its own."""
    drain_seconds: float = Field(default=25, ge=0, le=86_400)
    """How long running attempts get to finish after SIGTERM; the rest goes to another executor."""
    roster_seconds: float = Field(default=1, gt=0, le=60)
    """How often the executor reports itself, and learns whether it is to drain."""
    pod_name: str | None = None
    """The pod it runs in, for the operator to choose which to remove; None outside Kubernetes."""
