"""A delivery as the proxy shows it: that a URL is told of a task's end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncapiproxy.client.task_state import instant_in

if TYPE_CHECKING:
    from datetime import datetime

    from asyncapiproxy.client.task_state import Document, TaskStatus


@dataclass(frozen=True, slots=True, repr=False)
class Delivery:
    """One callback of a task, and how far it has come, as of the moment when the proxy said so."""

    document: Document
    """The whole of it, as JSON."""

    @property
    def number(self) -> int:
        """Which of the task's deliveries it is, from 1."""
        return self.document["number"]

    @property
    def id(self) -> str:
        """Its `webhook-id`, by which the receiver knows it; that of a redelivery is the same."""
        return self.document["id"]

    @property
    def task_id(self) -> str:
        """By which it is retried and cancelled, as any task."""
        return self.document["taskId"]

    @property
    def url(self) -> str:
        """Who is told."""
        return self.document["url"]

    @property
    def event(self) -> TaskStatus:
        """The end that it tells of."""
        return self.document["event"]

    @property
    def status(self) -> TaskStatus:
        """Where it stands: a delivery is a task, which succeeds once its receiver answers 2xx."""
        return self.document["status"]

    @property
    def attempts(self) -> list[Document]:
        """Each try that has ended: `number`, `outcome`, `responseStatus`, `detail` and times."""
        return self.document["attempts"]

    @property
    def created_at(self) -> datetime | None:
        """When it came to be."""
        return instant_in(self.document, "createdAt")

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""
        return instant_in(self.document, "finishedAt")

    @property
    def next_attempt_at(self) -> datetime | None:
        """When it is tried again."""
        return instant_in(self.document, "nextAttemptAt")

    def __repr__(self) -> str:
        """Short, and without the URL, which may be a secret."""
        return f"<Delivery {self.number} {self.status}>"
