"""Answers whose body is in a blob: passed on in chunks, as fast as the caller reads them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import structlog
from starlette.responses import Response, StreamingResponse

from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from asynctasks.blobs.blobs import Blobs

PIECE_BYTES = 65_536
"""As much as the connection takes before it waits for the caller to read."""

log = structlog.get_logger(__name__)


class BlobResponse(Response):
    """An answer that still lacks its body: `with_body` makes it one that can be sent."""

    def __init__(self, blob: str, *, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(None, status, headers)
        self.blob = blob


async def with_body(response: Response, request: Request, blobs: Blobs) -> Response:
    """The response, with the body that is in its blob.

    Raises BlobLostError, BlobStoreUnavailableError, DatabaseUnavailableError.
    """
    if not isinstance(response, BlobResponse):
        return response
    opened = await blobs.open(response.blob)
    response.headers["Content-Length"] = str(opened.size)
    if request.method == "HEAD":
        return response
    chunks = opened.chunks()
    # What is lost from its start is told by a problem, and not by an answer that breaks off.
    first = await anext(chunks)
    streaming = _BlobStream(_pieces(first, chunks), response.status_code)
    streaming.raw_headers = response.raw_headers
    streaming.blob = response.blob
    return streaming


class _BlobStream(StreamingResponse):
    """One that may break off: its length is told, so that the caller sees it."""

    blob: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except AsyncApiProxyError as error:
            # Of an answer that is not at its end, the server closes the connection.
            log.error("an answer broke off", blob=self.blob, reason=str(error))  # noqa: TRY400


async def _pieces(first: bytes, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[memoryview]:
    async with aclosing(chunks):
        for piece in _parts(first):
            yield piece
        async for chunk in chunks:
            for piece in _parts(chunk):
                yield piece


def _parts(chunk: bytes) -> list[memoryview]:
    view = memoryview(chunk)
    return [view[start : start + PIECE_BYTES] for start in range(0, len(view), PIECE_BYTES)]
