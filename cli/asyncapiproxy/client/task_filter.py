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
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    principal: str | None = None
    tenant: str | None = None

    def query(self, *, page_size: int, page_token: str | None) -> dict[str, str | None]:
        """The parameters of a page, None for what is not asked for."""
        return {**self.words(), "page_size": str(page_size), "page_token": page_token}

    def words(self) -> dict[str, str | None]:
        """As the proxy has them, None for what is not asked for; raises CallInvalidError."""
        return {
            "status": self.status,
            "operation": self.operation,
            "label": None if self.label is None else "=".join(self.label),
            **{name: self._instant(name) for name in _INSTANTS},
            "principal": self.principal,
            "tenant": self.tenant,
        }

    def _instant(self, name: str) -> str | None:
        instant: object = getattr(self, name)
        if instant is None:
            return None
        if not isinstance(instant, datetime):
            raise CallInvalidError(f"`{name}` is {instant!r}: expected a datetime.")
        return instant.isoformat()


_INSTANTS = ("created_after", "created_before", "finished_after", "finished_before")
