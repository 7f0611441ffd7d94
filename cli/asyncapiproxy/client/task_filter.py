"""Which tasks are listed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from asyncapiproxy.client.errors import CallInvalidError

if TYPE_CHECKING:
    from asyncapiproxy.client.task_state import TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Tasks to which all that is given applies; without anything all that the caller may read."""

    status: TaskStatus | None = None
    operation: str | None = None
    label: tuple[str, str] | None = None
    """Its name and its value."""
    created_after: datetime | None = None
    principal: str | None = None
    tenant: str | None = None

    def query(self, *, page_size: int, page_token: str | None) -> dict[str, str | None]:
        """The parameters of a page, None for what is not asked for."""
        created_after = self.created_after
        if created_after is not None and not isinstance(created_after, datetime):  # pyright: ignore[reportUnnecessaryIsInstance] - whatever a program gives
            raise CallInvalidError(f"`created_after` is {created_after!r}: expected a datetime.")
        return {
            "status": self.status,
            "operation": self.operation,
            "label": None if self.label is None else "=".join(self.label),
            "created_after": None if created_after is None else created_after.isoformat(),
            "principal": self.principal,
            "tenant": self.tenant,
            "page_size": str(page_size),
            "page_token": page_token,
        }
