"""Reads the arguments of a call from its body and path."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect

from asyncproxy.json_text import read_json
from asyncproxy.problems import (
    BodyTooLargeError,
    MalformedJsonError,
    PathInvalidError,
    UnsupportedMediaTypeError,
)
from asynctasks.errors import ArgumentsInvalidError, Violation
from asynctasks.json_values import as_object

if TYPE_CHECKING:
    from starlette.requests import Request

    from asyncproxy.body_budget import HeldBody
    from asynctasks.operations.operation import Operation


REPLACEMENT = "\ufffd"
"""What the server reads for a byte that is no UTF-8; a caller may also mean it."""
_TEXT_OR_SEPARATOR = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|([,\[{])', re.DOTALL)


def parse_arguments(request: Request, operation: Operation, body: bytes, *, max_values: int) -> Any:
    """What the caller sent, not yet checked against the schema.

    Raises UnsupportedMediaTypeError, BodyTooLargeError, MalformedJsonError, PathInvalidError,
    ArgumentsInvalidError.
    """
    arguments: Any = {}
    if body:
        _check_headers(request)
        if _has_more_values(body, max_values):
            raise BodyTooLargeError(f"The body has more than {max_values} values.")
        arguments = read_json(body)
    properties = as_object(arguments)
    if any(REPLACEMENT in text for text in request.path_params.values()):
        _check_utf8(request.scope["raw_path"], operation)
    if request.path_params and properties is not None:
        return _with_path_arguments(properties, request.path_params, operation)
    return arguments  # whatever it is: the schema says what is wrong with it


async def read_body(request: Request, held: HeldBody, *, max_bytes: int) -> bytes:
    """The whole body, which is `held` then.

    Raises BodyTooLargeError, OverloadedError, MalformedJsonError where it breaks off.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
            held.add(len(chunk))
    except ClientDisconnect as error:
        raise MalformedJsonError("The connection ended before the body did.") from error
    return bytes(body)


def _too_large(max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than {max_bytes} bytes.")


def _has_more_values(body: bytes, most: int) -> bool:
    """Told without reading them: of each but the first, a comma or bracket outside of texts."""
    separators = body.count(b",") + body.count(b"[") + body.count(b"{")
    if separators < most:
        return False
    found = (match for match in _TEXT_OR_SEPARATOR.finditer(body) if match.lastindex)
    return next(islice(found, most - 1, None), None) is not None


def _check_headers(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaTypeError(f"Content-Encoding {encoding} is not read; send it plain.")
    given = request.headers.get("content-type", "")
    media_type, *parameters = (part.strip().lower() for part in given.split(";"))
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaTypeError(
            f"Content-Type is {given!r}; expected application/json."
            if given
            else "Content-Type is missing; expected application/json."
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
            raise UnsupportedMediaTypeError(f"JSON is UTF-8 (RFC 8259 §8.1), not {value}.")


def _check_utf8(raw_path: bytes, operation: Operation) -> None:
    for name, given in zip(operation.path.split("/"), raw_path.split(b"/"), strict=False):
        try:
            unquote_to_bytes(given).decode()
        except UnicodeDecodeError:
            raise PathInvalidError(f"{name} is given by bytes that are no UTF-8.") from None


def _with_path_arguments(
    arguments: dict[str, Any], given: dict[str, str], operation: Operation
) -> dict[str, Any]:
    repeated = [name for name in given if name in arguments]
    if repeated:
        raise ArgumentsInvalidError(
            [Violation(f"/{name}", "is given by the path already") for name in repeated]
        )
    readers = operation.path_readers
    return arguments | {name: readers[name].read(text) for name, text in given.items()}
