"""The client library, and the `asyncapiproxy` command.

The command starts each service, shows tasks, and brings a demo upstream. What a person types
belongs here; what it starts is the services' own. Programs call a proxy by `Client` or
`AsyncClient`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncapiproxy.client.async_client import AsyncClient
    from asyncapiproxy.client.async_task_handle import AsyncTaskHandle
    from asyncapiproxy.client.batch_state import BatchCounts, BatchState
    from asyncapiproxy.client.callback_event import CallbackEvent, CallbackResponse
    from asyncapiproxy.client.callbacks import verify_callback
    from asyncapiproxy.client.client import Client
    from asyncapiproxy.client.delivery import Delivery
    from asyncapiproxy.client.errors import (
        BusyError,
        CallbackInvalidError,
        CallbackKeyUnusableError,
        CallerRefusedError,
        CallInvalidError,
        CallRefusedError,
        ClientError,
        ConflictError,
        NotAProxyError,
        NotFoundError,
        OperationUnknownError,
        ProblemError,
        ProxyUnreachableError,
        TaskCancelledError,
        TaskExpiredError,
        TaskFailedError,
        TaskUnfinishedError,
        TokenUnusableError,
        UrlInvalidError,
    )
    from asyncapiproxy.client.many_calls import SubmittedCall
    from asyncapiproxy.client.problem import Fault, Problem
    from asyncapiproxy.client.task_filter import TaskFilter
    from asyncapiproxy.client.task_handle import TaskHandle
    from asyncapiproxy.client.task_state import TaskPage, TaskState, TaskStatus

__all__ = [
    "AsyncClient",
    "AsyncTaskHandle",
    "BatchCounts",
    "BatchState",
    "BusyError",
    "CallInvalidError",
    "CallRefusedError",
    "CallbackEvent",
    "CallbackInvalidError",
    "CallbackKeyUnusableError",
    "CallbackResponse",
    "CallerRefusedError",
    "Client",
    "ClientError",
    "ConflictError",
    "Delivery",
    "Fault",
    "NotAProxyError",
    "NotFoundError",
    "OperationUnknownError",
    "Problem",
    "ProblemError",
    "ProxyUnreachableError",
    "SubmittedCall",
    "TaskCancelledError",
    "TaskExpiredError",
    "TaskFailedError",
    "TaskFilter",
    "TaskHandle",
    "TaskPage",
    "TaskState",
    "TaskStatus",
    "TaskUnfinishedError",
    "TokenUnusableError",
    "UrlInvalidError",
    "verify_callback",
]

_MODULES = (
    *("client", "async_client", "task_handle", "async_task_handle"),
    *(
        "errors",
        "many_calls",
        "problem",
        "task_filter",
        "task_state",
        "batch_state",
        "delivery",
        "callback_event",
        "callbacks",
    ),
)


def __getattr__(name: str) -> Any:
    """A name of the library, imported when it is asked for: the command starts without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in _MODULES:
        found = getattr(import_module(f"{__name__}.client.{module}"), name, None)
        if found is not None:
            return found
    raise AttributeError(name)
