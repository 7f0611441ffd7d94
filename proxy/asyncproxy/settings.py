"""The proxy's settings."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic.networks import IPvAnyNetwork
from pydantic_settings import NoDecode

from asynctasks.settings import LONGEST_SECONDS, Settings, separated

Origin = Annotated[str, Field(pattern=r"^(\*|https?://[A-Za-z0-9.\[\]:-]+)$")]
"""As browsers write it: scheme, host and port, and nothing behind them."""


class ReplyStrategy(StrEnum):
    """How replies come back to the proxy that waits for them."""

    SHARED = "shared"
    """One exclusive queue for each proxy process."""
    PER_TASK = "per-task"
    """One queue for each waiting call: about five times the cost."""


class AuditPlace(StrEnum):
    """Where changes by callers are written down, once these are told apart."""

    OFF = "off"
    LOG = "log"
    """One line each on the logger `audit`."""
    TABLE = "table"
    """And a row each in the table `audit_entries` of the task database."""


class ProxySettings(Settings):
    """The settings of a proxy."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on; 0.0.0.0 in a container."""
    port: int = Field(default=8080, ge=0, le=65_535)
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()
    """The networks of the proxies in front whose X-Forwarded-* headers are taken at their word,
    separated by commas."""
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Whose pages in a browser may call, separated by commas; `*` is everybody's."""
    docs: bool = True
    """Whether /docs and /openapi.json are served."""
    ui: bool = True
    """Whether /ui is served, a page for people who look after tasks."""
    request_log: bool = False
    """Whether each request is a line of the log: its path, but neither query nor body."""
    reply_strategy: ReplyStrategy = ReplyStrategy.SHARED
    access_file: Path | None = None
    """Who may do what. Without it everyone who reaches the port may do everything."""
    max_body_bytes: int = Field(default=1_048_576, ge=1_024)
    """A larger request is answered 413."""
    max_body_values: int = Field(default=20_000, ge=1_000)
    """A request whose body has more values, objects and arrays included, is answered 413: checking
    them keeps all others waiting."""
    max_batch_lines: int = Field(default=10_000, ge=1, le=1_000_000)
    """Calls that one request may make of an operation, a line each; none is made of what is behind
    them."""
    max_held_body_bytes: int = Field(default=67_108_864, ge=1_024)
    """Bytes of bodies that came and are not stored yet, of all callers; further ones are answered
    503. One alone may be larger."""
    max_url_bytes: int = Field(default=16_384, ge=1_024, le=1_048_576)
    """A request with a longer URL is answered 414."""
    max_header_bytes: int = Field(default=65_536, ge=4_096, le=1_048_576)
    """A request whose line and headers are larger is answered 431."""
    max_connections: int = Field(default=25_000, ge=1)
    """Open HTTP connections; further ones are answered 503. More than `max_waiting`: a caller who
    waits has one."""
    keep_alive_seconds: float = Field(default=75, ge=1, le=3_600)
    """How long a connection may be idle: longer than a balancer in front keeps it for reuse, or a
    call may be on its way when it is closed."""
    head_seconds: float = Field(default=15, gt=0, le=600)
    """How long the line and the headers of a request may take; then it is answered 408."""
    body_seconds: float = Field(default=30, gt=0, le=3_600)
    """How long a body may take, and a second more for each KiB of it; then it is answered 408."""
    client_stall_seconds: float = Field(default=30, gt=0, le=3_600)
    """How long a client may leave unread what was sent to it before it is cut off."""
    max_wait_seconds: float = Field(default=60, ge=0, le=600)
    """The longest wait window a caller may ask for by `Prefer: wait=N`."""
    write_seconds: float = Field(default=4, gt=0, le=60)
    """How long a caller waits for its task to be stored, before it is told 503, and published."""
    list_seconds: float = Field(default=5, gt=0, le=60)
    """How long a page of tasks may take to be found; then it is answered 503. A quarter of the
    connections are for that."""
    relay_interval_seconds: float = Field(default=0.5, gt=0, le=60)
    """How often the relay looks for tasks that are due: half of it is the average extra delay."""
    watch_interval_seconds: float = Field(default=0.25, gt=0, le=60)
    """How often tasks that someone watches are looked at, all of them by one query."""
    retention_seconds: float = Field(default=7 * 86_400, ge=86_400, le=LONGEST_SECONDS)
    """How long a finished task is kept, and with it its idempotency key: a day at least."""
    max_waiting: int = Field(default=20_000, ge=1)
    """Callers that may wait at a time; further ones are answered 503, unless they do not wait."""
    audit: AuditPlace = AuditPlace.LOG
    """Whether, and where, each change by a caller is written down, where there is an access file.
    """
    audit_retention_seconds: float = Field(default=90 * 86_400, ge=86_400, le=LONGEST_SECONDS)
    """How long an entry is kept in that table."""
    adaptive_window: bool = True
    """Answer 202 at once where the queue is so long that the reply cannot come in the window."""
    linger_seconds: float = Field(default=0, ge=0, le=600)
    """How long it serves on after SIGTERM, and asks callers to connect anew: until all that leads
    callers here has heard of it."""
    shutdown_seconds: float = Field(default=20, gt=0, le=600)
    """How long open requests get to finish after that."""

    @field_validator("trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _separate(cls, value: Any) -> Any:
        return separated(value)
