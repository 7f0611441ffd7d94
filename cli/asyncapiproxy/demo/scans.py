"""`POST /scans` of the demo Customer API: says what it got, alone or in a form."""

import asyncio
import hashlib
from email.message import Message
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from asyncapiproxy.demo.answers import json_answer, problem


async def create_scan(request: Request) -> Response:
    """`201` with the name, the type, the size and the SHA-256 of each file."""
    described = _head(request.headers)
    body = await request.body()
    if described.get_content_maintype() != "multipart":
        file = await asyncio.to_thread(_file, described, body)
        return json_answer({"files": [file]}, status=201)
    boundary = described.get_boundary()
    if not boundary:
        return problem(400, "A form says by its Content-Type where its parts end: boundary=…")
    files = await asyncio.to_thread(_files, body, boundary.encode())
    return json_answer({"files": files}, status=201)


def _files(body: bytes, boundary: bytes) -> list[dict[str, Any]]:
    return [_file(head, content) for head, content in _parts(body, boundary)]


def _file(described: Message, content: bytes) -> dict[str, Any]:
    return {
        "name": described.get_filename() or described.get_param("name", "", "content-disposition"),
        "contentType": described.get_content_type(),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _parts(body: bytes, boundary: bytes) -> list[tuple[Message, bytes]]:
    """The head and the content of each part (RFC 2046 §5.1.1)."""
    found: list[tuple[Message, bytes]] = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        lines = (line.partition(":") for line in head.decode("utf-8", "replace").splitlines())
        found.append((_head({name: value.strip() for name, _, value in lines if value}), content))
    return found


def _head(headers: Any) -> Message:
    described = Message()
    for name in ("Content-Type", "Content-Disposition"):
        given = {key.lower(): value for key, value in headers.items()}.get(name.lower())
        if given is not None:
            described[name] = given
    return described
