"""Where a request stands in its caller's trace, or in ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynctasks.traces.trace_context import TraceContext, trace_context

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_KEY = "asyncproxy.trace"


def trace_of(scope: MutableMapping[str, Any]) -> TraceContext | None:
    """The span that answers the request, else the caller's; None where there is neither."""
    ours: TraceContext | None = scope.get(_KEY)
    return callers_trace(scope) if ours is None else ours


def callers_trace(scope: MutableMapping[str, Any]) -> TraceContext | None:
    """What the caller says of its own trace; None where it says nothing that is valid."""
    parents = _lines(scope, b"traceparent")
    return trace_context(parents, _lines(scope, b"tracestate")) if parents else None


def set_trace(scope: MutableMapping[str, Any], trace: TraceContext) -> None:
    """Have what the request leads to be children of our span."""
    scope[_KEY] = trace


def _lines(scope: MutableMapping[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for given, value in scope["headers"] if given == name]
