"""A body as it is sent: as often as its call has to be repeated."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import TextIOBase
from typing import TYPE_CHECKING, BinaryIO

from asyncapiproxy.client.errors import CallInvalidError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class RequestBody:
    """Bytes, or a file from where it stood when it was given."""

    content: bytes | BinaryIO
    content_type: str
    start: int = 0

    def chunks(self) -> Iterator[bytes]:
        """All of it, from its start."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        self.content.seek(self.start)
        while chunk := self.content.read(CHUNK_BYTES):
            yield chunk

    async def async_chunks(self) -> AsyncIterator[bytes]:
        """The same, for whom no disk may keep waiting."""
        import asyncio  # noqa: PLC0415 - takes its time, and only the asynchronous client needs it

        chunks = self.chunks()
        while chunk := await asyncio.to_thread(next, chunks, b""):
            yield chunk

    @property
    def headers(self) -> dict[str, str]:
        """What it is, and its length: a file given from its middle is not one of its size."""
        return {"Content-Type": self.content_type, "Content-Length": str(self.length)}

    @property
    def length(self) -> int:
        """In bytes."""
        if isinstance(self.content, bytes):
            return len(self.content)
        here = self.content.tell()
        end = self.content.seek(0, os.SEEK_END)
        self.content.seek(here)
        return end - self.start


def request_body(content: bytes | BinaryIO, *, content_type: str) -> RequestBody:
    """The body, which can be sent again: what cannot be read twice is held in memory.

    Raises CallInvalidError.
    """
    if isinstance(content, bytes):
        return RequestBody(content, content_type)
    if not hasattr(content, "read") or isinstance(content, TextIOBase):
        kind = type(content).__name__
        raise CallInvalidError(f"`body` is a {kind}: expected bytes, or a file opened as binary.")
    if not content.seekable():
        return RequestBody(content.read(), content_type)
    return RequestBody(content, content_type, content.tell())
