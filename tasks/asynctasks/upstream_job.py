"""An upstream job: what an upstream that is asynchronous itself does after its own answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamJob:
    """A job as the task's row keeps it, so that any executor can ask for it."""

    url: str
    """Where it is asked for."""
    started_at: str
    """In RFC 3339."""
    polls: int = 0
    state: str | None = None
    """What the upstream said of it last, in its own word."""
    progress: int | None = None
    """In percent, as far as the upstream tells."""
    result_url: str | None = None
    """Where its result is, once it has ended and that stands elsewhere."""

    def to_json(self) -> dict[str, Any]:
        """As the row holds it."""
        return {name: value for name in _NAMES if (value := getattr(self, name)) is not None}

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Self:
        """The job of a row."""
        return cls(**value)

    def looks_like(self, other: UpstreamJob | None) -> bool:
        """Whether callers are shown the same of both."""
        return other is not None and (self.url, self.state, self.progress) == (
            other.url,
            other.state,
            other.progress,
        )


_NAMES = tuple(UpstreamJob.__dataclass_fields__)
