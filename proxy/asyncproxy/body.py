"""Reads the arguments of a call from its body and its parameters."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from asyncproxy.json_text import read_json
from asyncproxy.problems import (
    BodyNotAllowedError,
    BodyTooLargeError,
    MalformedJsonError,
    UnsupportedMediaTypeError,
)
from asyncproxy.request_head import request_head
from asynctasks.errors import ArgumentsInvalidError, Violation
from asynctasks.json_values import as_object
from asynctasks.operations.arguments import pointer

if TYPE_CHECKING:
    from starlette.requests import Request

    from asyncproxy.body_budget import HeldBody
    from asynctasks.operations.operation import Operation


_TEXT_OR_SEPARATOR = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|([,\[{])', re.DOTALL)


def parse_arguments(request: Request, operation: Operation, body: bytes, *, max_values: int) -> Any:
    """What the caller sent, not yet checked against the schema.

    Raises UnsupportedMediaTypeError, BodyTooLargeError, MalformedJsonError, ArgumentsInvalidError,
    ParametersInvalidError.
    """
    arguments: Any = {}
    if body:
        check_media_type(request)
        arguments = read_bounded_json(body, max_values=max_values)
    if operation.call_parameters.all or request.scope.get("query_string"):
        return _with_parameters(arguments, request, operation)
    return arguments  # whatever it is: the schema says what is wrong with it


async def refuse_body(request: Request) -> None:
    """Raise BodyNotAllowedError where there is one."""
    async for chunk in request.stream():
        if chunk:
            raise BodyNotAllowedError(
                f"A {request.method} has no body: its arguments stand in the URL and the headers."
            )


async def read_body(request: Request, held: HeldBody, *, max_bytes: int) -> bytes:
    """The whole body, which is `held` then.

    Raises BodyTooLargeError, OverloadedError, MalformedJsonError where it breaks off.
    """
    refuse_larger(request, max_bytes=max_bytes)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            refuse_larger(request, len(body), max_bytes=max_bytes)
            held.add(len(chunk))
    except ClientDisconnect as error:
        raise MalformedJsonError("The connection ended before the body did.") from error
    return bytes(body)


async def read_json_body(
    request: Request, held: HeldBody, *, max_bytes: int, media_types: tuple[str, ...] = ()
) -> Any:
    """The JSON that a path of the proxy's own is sent, of these media types or of any of JSON.

    Raises what `read_body` does, UnsupportedMediaTypeError and MalformedJsonError.
    """
    body = await read_body(request, held, max_bytes=max_bytes)
    check_media_type(request, media_types)
    return read_json(body)


def read_bounded_json(body: bytes, *, max_values: int, first_line: int = 1) -> Any:
    """The JSON of a body, or of some lines of it; raises BodyTooLargeError, MalformedJsonError."""
    if _has_more_values(body, max_values):
        raise BodyTooLargeError(f"The body has more than {max_values} values.")
    return read_json(body, first_line=first_line)


def refuse_larger(request: Request, size: int | None = None, *, max_bytes: int) -> None:
    """Raise BodyTooLargeError where so much has come, or where that much is announced."""
    if size is None:
        declared = request.headers.get("content-length", "")
        size = int(declared[:18]) if declared.isascii() and declared.isdigit() else 0
    if size > max_bytes:
        raise BodyTooLargeError(f"The body is larger than {max_bytes} bytes.")


def _has_more_values(body: bytes, most: int) -> bool:
    """Told without reading them: of each but the first, a comma or bracket outside of texts."""
    separators = body.count(b",") + body.count(b"[") + body.count(b"{")
    if separators < most:
        return False
    found = (match for match in _TEXT_OR_SEPARATOR.finditer(body) if match.lastindex)
    return next(islice(found, most - 1, None), None) is not None


def check_media_type(request: Request, media_types: tuple[str, ...] = ()) -> None:
    """Raise UnsupportedMediaTypeError unless it is one of these, or any of JSON."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaTypeError(f"Content-Encoding {encoding} is not read; send it plain.")
    given = request.headers.get("content-type", "")
    media_type, *parameters = (part.strip().lower() for part in given.split(";"))
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if not (media_type in media_types if media_types else is_json):
        expected = media_types or ("application/json",)
        raise UnsupportedMediaTypeError(
            f"Content-Type is {repr(given) if given else 'missing'}; "
            f"expected {' or '.join(expected)}.",
            accept=", ".join(expected),
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
            raise UnsupportedMediaTypeError(f"JSON is UTF-8 (RFC 8259 §8.1), not {value}.")


def _with_parameters(arguments: Any, request: Request, operation: Operation) -> Any:
    parameters = operation.call_parameters
    given = parameters.read(request_head(request, operation))
    in_body = as_object(arguments)
    if in_body is None:
        return arguments
    if twice := [parameter for parameter in parameters.all if parameter.gives in in_body]:
        raise ArgumentsInvalidError(
            [
                Violation(pointer([one.gives]), f"is given in the {one.place}, not in the body")
                for one in twice
            ]
        )
    return in_body | given
