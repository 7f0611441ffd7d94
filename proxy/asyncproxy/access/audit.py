"""The audit log: one line for each change that a caller has made or was refused."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncproxy.forwarded import TrustedProxies
from asyncproxy.problems import status_of
from asyncproxy.trace import trace_of
from asynctasks.logs import AUDIT, LineRecord
from asynctasks.traces.trace_context import trace_id_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from starlette.requests import Request

    from asyncproxy.access.principal import Principal

_log = logging.getLogger(AUDIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is written down of one change."""

    action: str
    actor: str
    tenant: str
    operation: str | None
    task_id: UUID | None
    target: str | None
    """What was changed where that is no task: `limit crm concurrency=10`."""
    address: str | None
    trace_id: str | None
    result: str
    """`done` or `refused`."""
    status: int | None = None
    """What it was refused with."""


def log_entry(entry: Entry) -> None:
    """Write its line."""
    told = {
        "event": entry.action,
        "actor": entry.actor,
        "tenant": entry.tenant,
        "operation": entry.operation,
        "task_id": entry.task_id and str(entry.task_id),
        "target": entry.target,
        "address": entry.address,
        "trace_id": entry.trace_id,
        "result": entry.result,
        "status": entry.status,
    }
    _log.handle(LineRecord(AUDIT, told))


@dataclass(frozen=True, slots=True)
class Audit:
    """Where changes are written down."""

    write: Callable[[Entry], None] | None = log_entry
    """What writes an entry; None where none are written."""
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    """Whose word is taken on where a request comes from."""


class Change:
    """One change that a caller asks for."""

    __slots__ = ("_audit", "_request", "action", "operation", "principal", "target", "task_id")

    def __init__(
        self, request: Request, principal: Principal, action: str, *, audit: Audit
    ) -> None:
        self._request = request
        self._audit: Audit | None = audit
        self.principal = principal
        self.action = action
        self.operation: str | None = None
        self.task_id: UUID | None = None
        self.target: str | None = None

    def done(self) -> None:
        """Tell that it was made."""
        self._tell("done")

    def refused(self, error: Exception) -> None:
        """Tell why it was not made, unless it was."""
        self._tell("refused", status=status_of(error))

    def _tell(self, result: str, *, status: int | None = None) -> None:
        audit, self._audit = self._audit, None
        if audit is None or audit.write is None:
            return
        request = self._request
        trace = trace_of(request.scope)
        entry = Entry(
            action=str(self.action),
            actor=self.principal.name,
            tenant=self.principal.tenant,
            operation=self.operation,
            task_id=self.task_id,
            target=self.target,
            address=audit.proxies.address(request) or None,
            trace_id=trace_id_of(trace and trace.traceparent),
            result=result,
            status=status,
        )
        audit.write(entry)
