"""What is known after a run, and what may be wrong with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from asynctestkit.chaos.callbacks import Callbacks
from asynctestkit.chaos.faults import Injected
from asynctestkit.chaos.history import Found
from asynctestkit.chaos.ledger import Ledger
from asynctestkit.chaos.limited import Limited
from asynctestkit.chaos.machine import Machine
from asynctestkit.chaos.neighbour import Neighbour
from asynctestkit.chaos.reports import Reports
from asynctestkit.chaos.stalls import Stalls
from asynctestkit.chaos.strangers import Strangers


@dataclass(frozen=True)
class Evidence:
    """All that is known after the run."""

    ledger: Ledger
    found: Found
    injected: Injected
    queues: dict[str, int]
    customers: list[tuple[str, str, str | None]]
    """The upstream's clients: id, email, idempotency key."""
    refusals: int
    upstream: dict[str, Any]
    memory_before: dict[str, int]
    memory_after: dict[str, int]
    neighbour: Neighbour
    reports: Reports
    limited: Limited
    strangers: Strangers
    callbacks: Callbacks
    stale: list[str]
    """Proxies that do not serve what the last change of the operations file has added."""
    waiting: dict[str, float]
    """Callers that each proxy says are waiting, when none is."""
    machine: Machine
    """How fast the machine was meanwhile."""
    stalls: Stalls
    """When the callers themselves were held up."""
    exceptions: list[str]
    """The log lines that hold a traceback, each with its process."""


@dataclass(frozen=True)
class Violation:
    """What is wrong, and with which task."""

    text: str
    task_id: str = ""
    email: str = ""


Check = Callable[[Evidence], Iterator[Violation]]
