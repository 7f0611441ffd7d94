"""Reads the arguments of a call from its body and path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from asyncproxy.problems import BodyTooLargeError, MalformedJsonError, UnsupportedMediaTypeError
from asynctasks.arguments import Violation
from asynctasks.errors import ArgumentsInvalidError

if TYPE_CHECKING:
    from starlette.requests import Request

    from asynctasks.operation import Operation


async def read_arguments(request: Request, operation: Operation, *, max_bytes: int) -> Any:
    """What the caller sent, not yet checked against the schema.

    Raises BodyTooLargeError, UnsupportedMediaTypeError, MalformedJsonError, ArgumentsInvalidError.
    """
    body = await _read_body(request, max_bytes)
    arguments: Any = {}
    if body:
        _check_media_type(request)
        try:
            arguments = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise MalformedJsonError(
                f"line {error.lineno}, column {error.colno}: {error.msg}"
            ) from error
    if request.path_params and isinstance(arguments, dict):
        return _with_path_arguments(arguments, request.path_params, operation)
    return arguments


async def _read_body(request: Request, max_bytes: int) -> bytes:
    too_large = BodyTooLargeError(f"The body is larger than {max_bytes} bytes.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def _check_media_type(request: Request) -> None:
    if encoding := request.headers.get("content-encoding"):
        raise UnsupportedMediaTypeError(f"Content-Encoding {encoding} is not read; send it plain.")
    given = request.headers.get("content-type", "")
    media_type, _, parameters = given.partition(";")
    media_type = media_type.strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaTypeError(
            f"Content-Type is {given!r}; expected application/json."
            if given
            else "Content-Type is missing; expected application/json."
        )
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if parameters.strip().lower().startswith("charset=") and charset not in {"utf-8", "utf8"}:
        raise UnsupportedMediaTypeError(f"JSON is UTF-8 (RFC 8259 §8.1); charset is {charset!r}.")


def _with_path_arguments(
    arguments: dict[str, Any], given: dict[str, str], operation: Operation
) -> dict[str, Any]:
    repeated = [name for name in given if name in arguments]
    if repeated:
        raise ArgumentsInvalidError(
            [Violation(f"/{name}", "is given by the path already") for name in repeated]
        )
    properties = operation.arguments["properties"]
    return arguments | {name: _typed(text, properties[name]) for name, text in given.items()}


def _typed(text: str, schema: Any) -> Any:
    """A path holds text; where the schema wants a number, read one. A misfit is left to the schema."""
    if isinstance(schema, dict) and schema.get("type") in {"integer", "number"}:  # pyright: ignore[reportUnknownMemberType]
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return text
