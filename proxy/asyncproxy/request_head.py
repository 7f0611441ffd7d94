"""What a request says outside its body, as it was written, for the parameters of an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncproxy.problems import HeaderInvalidError
from asynctasks.operations.call_parameters import RequestHead

if TYPE_CHECKING:
    from starlette.requests import Request

    from asynctasks.operations.operation import Operation
    from asynctasks.operations.sealing import Header


def request_head(request: Request, operation: Operation) -> RequestHead:
    """The head of a request that was led to the operation by its path."""
    return RequestHead(
        variables=_variables(request, operation) if operation.path_variables else {},
        query=request.scope["query_string"].decode("utf-8", "surrogateescape"),
        header=lambda name: [as_utf_8(line) for line in request.headers.getlist(name)],
    )


def forwarded_headers(request: Request, operation: Operation) -> list[Header]:
    """The lines that the operation's upstream gets, too; raises HeaderInvalidError."""
    names = operation.forwarded_headers
    if not names:
        return []
    # Looked through once: `request.headers` does so, and decodes, for each name.
    given: dict[bytes, list[bytes]] = {}
    for raw_name, value in request.scope["headers"]:
        given.setdefault(raw_name, []).append(value)
    return [
        (name, _forwarded(name, value.decode("latin-1")))
        for name in names
        for value in given.get(name.lower().encode("latin-1"), ())
    ]


def _forwarded(name: str, line: str) -> str:
    """The value, which is sent on as UTF-8: any other would not arrive as it came."""
    text = as_utf_8(line)
    if text is line and not line.isascii():
        raise HeaderInvalidError(f"{name}: expected ASCII or UTF-8.")
    return text


def as_utf_8(line: str) -> str:
    """A header's value, which was taken for Latin-1, as UTF-8 where it is that."""
    if line.isascii():
        return line
    try:
        return line.encode("latin-1").decode()
    except UnicodeDecodeError:
        return line


def _variables(request: Request, operation: Operation) -> dict[str, str]:
    """The path's, still encoded: `%2C` is a comma of a value and stands between no two."""
    path: bytes = request.scope["raw_path"]
    written = path.decode("utf-8", "surrogateescape").split("/")
    return {
        segment[1:-1]: written[index]
        for index, segment in enumerate(operation.path.split("/"))
        if segment.startswith("{")
    }
