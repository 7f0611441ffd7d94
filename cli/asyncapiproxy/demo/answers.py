"""The answers of the demo Customer API that take more than a line to build."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

import orjson
from pydantic import ValidationError
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from asyncapiproxy.demo.clients import Client

MEGABYTE: Final = 1_000_000
_CHUNK: Final = b"x" * 65_536


def json_answer(
    content: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Any JSON value, as orjson writes it."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def problem(status: int, detail: str, **members: Any) -> Response:
    """An RFC 9457 problem; its title is the status's own phrase, where it has one."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = f"Status {status}"
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(orjson.dumps(content), status, media_type="application/problem+json")


def invalid(error: ValidationError, detail: str) -> Response:
    """What was wrong and where, never the value: it may be a password."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return problem(400, errors[0]["msg"])
    fields = [
        {"pointer": "".join(f"/{part}" for part in each["loc"]), "detail": each["msg"]}
        for each in errors
    ]
    return problem(422, detail, errors=fields)


def created(client: Client, *, megabytes: int = 0) -> Response:
    """`201` and the client, with a filler that brings the body to so many megabytes."""
    headers = {"Location": f"/clients/{client.id}"}
    if not megabytes:
        return json_answer(asdict(client), status=201, headers=headers)
    start = orjson.dumps(asdict(client)).removesuffix(b"}") + b',"filler":"'
    size = megabytes * MEGABYTE
    headers["Content-Length"] = str(size)
    return StreamingResponse(_filled(start, b'"}', size), 201, headers, "application/json")


async def _filled(start: bytes, end: bytes, size: int) -> AsyncIterator[bytes]:
    yield start
    left = size - len(start) - len(end)
    while left > 0:
        yield _CHUNK[:left]
        left -= len(_CHUNK)
    yield end


class DroppedConnection(Response):
    """No answer: the connection ends under the caller, as when a server dies.

    ASGI has no message for it, and an application that returns without an answer is given a 500
    and an error in the log. But uvicorn's `receive` is bound to the object that holds the
    transport, and once that is closed uvicorn neither expects an answer nor sends one.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Closes the connection; a server that hides it gives its caller a 501 that says so."""
        transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
        if transport is None:
            answer = problem(501, "drop: this server lets no application close a connection")
            await answer(scope, receive, send)
            return
        transport.close()
        await client_gone(receive)


async def client_gone(receive: Receive) -> None:
    """Returns when the connection is closed; the request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
