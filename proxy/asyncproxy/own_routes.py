"""How a path of the proxy's own is served: documented once, with a slash at its end, to HEAD.

And what is asked of its parameters.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from asynctasks.errors import ParametersInvalidError, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import APIRouter, Request

    from asyncproxy.schemas import Responses


def add_route(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Callable[..., Coroutine[Any, Any, Any]],
    *,
    summary: str,
    responses: Responses,
    status: int = 200,
    to_head: bool = True,
    openapi_extra: dict[str, Any] | None = None,
) -> None:
    """Serve the path by the endpoint, whose name is the operation's id in the OpenAPI document."""
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        operation_id=endpoint.__name__,
        summary=summary,
        status_code=status,
        responses=responses,
        openapi_extra=openapi_extra,
    )
    # Not by a redirect, which would lead to the host that the request names.
    also = [method, "HEAD"] if method == "GET" and to_head else [method]
    router.add_api_route(f"{path}/", endpoint, methods=also, include_in_schema=False)
    if also != [method]:
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)


def refuse_repeated(request: Request, *, many: str = "") -> None:
    """Raise ParametersInvalidError for a parameter given twice, unless there may be many of it.

    FastAPI takes the last one, without a word.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    faults = [
        Violation("", f"it is given {count} times; give one", parameter=name)
        for name, count in given.items()
        if count > 1 and name != many
    ]
    if faults:
        raise ParametersInvalidError(faults)
