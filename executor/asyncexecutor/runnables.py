"""What runs each operation. All that stands in its way is told at once, before anything starts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from asyncexecutor.access_tokens import AccessTokens
from asyncexecutor.handler import Handler
from asyncexecutor.handler_threads import HandlerThreads
from asyncexecutor.polled_upstream import PolledUpstream
from asyncexecutor.progress import ProgressNotes
from asyncexecutor.runner import Runnable
from asyncexecutor.upstream import Upstream
from asyncexecutor.upstream_connections import UpstreamConnections
from asyncexecutor.upstream_request import EnvironmentUnfitError
from asynctasks.errors import OperationsFileError
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncexecutor.runner import Runner
    from asynctasks.operations.operation import Operation
    from asynctasks.traces.traces import Traces


class Runnables:
    """Makes what runs operations, and opens what all of them share: connections and threads."""

    def __init__(
        self,
        *,
        concurrency: int,
        environment: Mapping[str, str],
        max_response_bytes: int,
        built_in: Mapping[str, Runner] | None = None,
        traces: Traces = NO_TRACES,
    ) -> None:
        """Operations that no file declares are run by what is `built_in`, by their names."""
        self.notes = ProgressNotes()
        self._connections = UpstreamConnections(limit=concurrency, environment=environment)
        self._tokens = AccessTokens(self._connections, environment)
        self._threads = HandlerThreads(concurrency)
        self._environment = environment
        self._max_response_bytes = max_response_bytes
        self._built_in = built_in or {}
        self._traces = traces
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> None:
        self._opened.enter_context(self._threads)
        await self._opened.enter_async_context(self._connections)

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    def of(self, operations: Iterable[Operation]) -> dict[str, Runnable]:
        """What runs each, by name; raises OperationsFileError with the faults of all."""
        found: dict[str, Runnable] = {}
        faults: list[str] = []
        unfit: dict[str, list[str]] = {}
        for operation in operations:
            try:
                found[operation.name] = Runnable(operation, self._runner(operation))
            except EnvironmentUnfitError as error:
                for place, fault in error.faults:
                    unfit.setdefault(fault, []).append(place)
            except OperationsFileError as error:
                faults.append(str(error))
        faults += [_told(fault, places) for fault, places in unfit.items()]
        if faults:
            raise OperationsFileError("\n".join(faults))
        return found

    def _runner(self, operation: Operation) -> Runner:
        if not operation.is_callable:
            return self._built_in[operation.name]
        if operation.handler is not None:
            return Handler(
                operation,
                operation.handler,
                self._threads,
                self.notes,
                max_response_bytes=self._max_response_bytes,
            )
        assert operation.upstream is not None
        upstream = Upstream(
            operation,
            operation.upstream,
            self._connections,
            self._tokens,
            environment=self._environment,
            max_response_bytes=self._max_response_bytes,
            traces=self._traces,
        )
        poll = operation.upstream.poll
        if poll is None:
            return upstream
        return PolledUpstream(operation, poll, upstream, environment=self._environment)


def _told(fault: str, places: Sequence[str]) -> str:
    """One line, since all operations of a file may show one secret."""
    more = f" (and {len(places) - 1} more like this)" if len(places) > 1 else ""
    return f"{places[0]}: {fault}{more}"


def check_runnable(operations: Iterable[Operation], environment: Mapping[str, str]) -> None:
    """Raise OperationsFileError with all that keeps an executor from running these operations."""
    runnables = Runnables(concurrency=1, environment=environment, max_response_bytes=0)
    runnables.of(each for each in operations if each.is_callable)
