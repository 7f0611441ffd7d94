"""Which tasks are listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from asyncapiproxy.client.errors import CallInvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncapiproxy.client.task_state import TaskStatus, View


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Tasks to which all that is given applies; without anything all that the caller may read."""

    status: TaskStatus | None = None
    operation: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """All of which it has, each by its name."""
    batch: str | None = None
    """The name of the group that they were submitted in."""
    error_type: str | None = None
    """Of the problem that it has ended by: `upstream-timeout`, or the whole `Problem.type`."""
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    principal: str | None = None
    tenant: str | None = None

    def query(
        self, *, page_size: int, page_token: str | None, view: View = "summary"
    ) -> dict[str, str | list[str] | None]:
        """The parameters of a page, None for what is not asked for."""
        page = {"page_size": str(page_size), "page_token": page_token, "view": view}
        return {**self.words(), **page}

    def words(self) -> dict[str, str | list[str] | None]:
        """As the proxy has them, None for what is not asked for; raises CallInvalidError."""
        return {
            "status": self.status,
            "operation": self.operation,
            "label": [f"{name}={value}" for name, value in self.labels.items()] or None,
            "batch": self.batch,
            "error_type": self.error_type,
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
