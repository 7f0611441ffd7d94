"""Takes in a body as it comes: into the task while it is small, else into a blob."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from asyncproxy.body import refuse_larger
from asyncproxy.problems import HeaderInvalidError, UnsupportedMediaTypeError
from asynctasks.operations.raw_body import DESCRIBING

if TYPE_CHECKING:
    from starlette.requests import Request

    from asyncproxy.body_budget import HeldBody
    from asynctasks.blobs.blobs import Blobs
    from asynctasks.operations.new_task import NewTask
    from asynctasks.operations.raw_body import RawBody

_VALUE = re.compile(r"[\t\x20-\x7e]*")


def describing_headers(request: Request, declared: RawBody) -> list[list[str]]:
    """What the request says of its body, which has not been read yet.

    Raises UnsupportedMediaTypeError, HeaderInvalidError, BodyTooLargeError.
    """
    lines = {name: request.headers.getlist(name) for name in DESCRIBING}
    headers = [[name, ", ".join(values)] for name, values in lines.items() if values]
    for name, value in headers:
        if not _VALUE.fullmatch(value):
            raise HeaderInvalidError(f"{name}: expected ASCII text.")
    types = lines["Content-Type"]
    may_be_empty = request.headers.get("content-length", "0") == "0"
    if len(types) > 1 or not (declared.takes(types[0]) if types else may_be_empty):
        raise _unsupported(types, declared)
    refuse_larger(request, max_bytes=declared.max_bytes)
    return headers


async def take_in(
    request: Request, declared: RawBody, task: NewTask, *, blobs: Blobs, held: HeldBody
) -> str:
    """Put the body into the task; its SHA-256.

    What is in a blob by then is `held` no more. Raises UnsupportedMediaTypeError where it has no
    type and is not empty, BodyTooLargeError, OverloadedError, ClientDisconnect where it breaks off,
    BlobStoreUnavailableError, DatabaseUnavailableError.
    """
    has_type = "content-type" in request.headers
    digest = hashlib.sha256()
    small = bytearray()
    writer = None
    size = 0
    async for chunk in request.stream():
        if chunk and not has_type:
            raise _unsupported([], declared)
        size += len(chunk)
        refuse_larger(request, size, max_bytes=declared.max_bytes)
        held.add(len(chunk))
        digest.update(chunk)
        if writer is not None:
            held.let_go(await writer.write(chunk))
            continue
        small += chunk
        if size > blobs.inline_bytes:
            writer = blobs.writer(f"{task.id}/body", task_id=task.id)
            held.let_go(await writer.write(bytes(small)))
            small.clear()
    if writer is None:
        task.body = bytes(small)
    else:
        task.body_blob = await writer.finish()
    return digest.hexdigest()


def _unsupported(given: list[str], declared: RawBody) -> UnsupportedMediaTypeError:
    taken = ", ".join(declared.content_types)
    told = f"is {', '.join(map(repr, given))}" if given else "is missing"
    return UnsupportedMediaTypeError(f"Content-Type {told}; expected {taken}.", accept=taken)
