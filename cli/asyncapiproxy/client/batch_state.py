"""A batch as the proxy shows it: one action on many tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Document = dict[str, Any]
BatchAction = Literal["cancel", "retry", "delete"]
BatchStatus = Literal["queued", "running", "succeeded", "cancelled"]


@dataclass(frozen=True, slots=True, repr=False)
class BatchState:
    """Where a batch stands, as of the moment when the proxy said so."""

    document: Document
    """The whole of it, as JSON."""
    text: str = ""
    """The document as it came; empty where it came within another."""

    @property
    def id(self) -> str:
        """The batch's id."""
        return self.document["id"]

    @property
    def action(self) -> BatchAction:
        """What is done with each task."""
        return self.document["action"]

    @property
    def status(self) -> BatchStatus:
        """Where it stands."""
        return self.document["status"]

    @property
    def is_done(self) -> bool:
        """Whether it changes no further task."""
        return self.status in {"succeeded", "cancelled"}

    @property
    def counts(self) -> dict[str, int]:
        """Of tasks: `matched`, found so far; of these `done`, `skipped` and `failed`."""
        return self.document["counts"]

    @property
    def failures(self) -> dict[str, int]:
        """How many failed, by the name of the problem."""
        return self.document["failures"]

    def __repr__(self) -> str:
        """Short."""
        return f"<BatchState {self.id} {self.action} {self.status}>"


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """With how many tasks a batch would be done now."""

    statuses: dict[str, int]
    """By where these stand."""
    is_complete: bool
    """False where there may be more, which were not counted."""
    text: str
    """The document as it came."""

    @property
    def matched(self) -> int:
        """All of them."""
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A page of batches, the newest first."""

    batches: tuple[BatchState, ...]
    next_token: str | None
    """What the next page is asked for by; None after the last."""
