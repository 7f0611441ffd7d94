"""What services tell of their work as spans; here the form of it that tells nothing.

One trace of a task:

    the caller's ── SERVER, the call ── PRODUCER, its row ─┬─ CONSUMER, an attempt ── CLIENT
                                                           ├─ CONSUMER, the next ──── CLIENT
                                                           ├─ INTERNAL, a poll ────── CLIENT
                                                           └─ CONSUMER, a delivery ── CLIENT

The row has the PRODUCER's place, and a delivery's row has it from its task's. So all that follows,
days later too, is its child, and has a link to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from uuid import UUID

    from yarl import URL

    from asynctasks.traces.trace_context import TraceContext


class Span:
    """A piece of work, while it is entered. This one is told to nobody."""

    context: TraceContext | None = None
    """Its place in the trace; None where what comes next is a child of what came before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it; what was raised is its error, by the name of its class alone."""

    def answered(self, status: int, *, task_id: str | None = None) -> None:
        """Note the status of the HTTP response, and the task that it tells of."""

    def ended(self, outcome: str, *, error: str | None) -> None:
        """Note how an attempt or a poll ended, and the kind of its error, if it had one."""


NO_SPAN = Span()


class Traces:
    """Makes spans; each child of `parent`, where there is one. This one makes none."""

    are_on = False

    def serving(
        self, parent: TraceContext | None, *, method: str, route: str, path: str, scheme: str
    ) -> Span:
        """That of a call of an operation."""
        del parent, method, route, path, scheme
        return NO_SPAN

    def sending(
        self, parent: TraceContext | None, *, task_id: UUID, operation: str, queue: str
    ) -> Span:
        """That of a task's row and message."""
        del parent, task_id, operation, queue
        return NO_SPAN

    def attempting(
        self,
        parent: TraceContext | None,
        *,
        task_id: UUID,
        operation: str,
        queue: str,
        attempt: int,
        is_poll: bool,
    ) -> Span:
        """That of an attempt, or of one poll of the job that it has started."""
        del parent, task_id, operation, queue, attempt, is_poll
        return NO_SPAN

    def calling(self, parent: TraceContext | None, *, method: str, url: URL) -> Span:
        """That of one HTTP request, told without user, query and fragment."""
        del parent, method, url
        return NO_SPAN

    async def close(self) -> None:
        """Send what has not been sent, as far as that can be done in a few seconds."""


NO_TRACES = Traces()
