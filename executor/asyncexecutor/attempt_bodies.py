"""The two bodies of an attempt: the one that is sent, and the one that is answered.

Each is held as bytes while it is small; what is larger is passed on in chunks, from and to a blob.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from secrets import token_hex
from typing import TYPE_CHECKING

from asyncexecutor.failures import BodyLostError, BodyStoreUnavailableError, ResponseTooLargeError
from asynctasks.errors import AsyncApiProxyError, BlobLostError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from asyncexecutor.failures import AttemptFailedError
    from asynctasks.blobs.blobs import Blobs, BlobWriter
    from asynctasks.response import Response
    from asynctasks.statements.claimed_task import ClaimedTask


class RequestBody:
    """The body that a caller sent, to be sent on as it came, from its start in each attempt."""

    def __init__(
        self,
        headers: list[list[str]],
        content: bytes = b"",
        *,
        blobs: Blobs | None = None,
        blob: str | None = None,
    ) -> None:
        self.headers = headers
        """What describes it: Content-Type and its like, a name and a value each."""
        self.fault: AttemptFailedError | None = None
        """Why a stream of it broke off, which who reads it may not tell."""
        self._content = content
        self._blobs = blobs
        self._blob = blob

    async def sent(self) -> tuple[int, bytes | AsyncGenerator[bytes]]:
        """Its size, and itself or what yields it; raises AttemptFailedError."""
        if self._blob is None:
            return len(self._content), self._content
        assert self._blobs is not None
        try:
            opened = await self._blobs.open(self._blob)
        except AsyncApiProxyError as error:
            raise failed(error) from error
        return opened.size, self._noting_faults(opened.chunks())

    async def read(self) -> bytes:
        """All of it; raises AttemptFailedError."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Its bytes in order, of a large one a part at a time; raises AttemptFailedError."""
        _, content = await self.sent()
        if isinstance(content, bytes):
            yield content
            return
        async with aclosing(content):
            async for chunk in content:
                yield chunk

    async def _noting_faults(self, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async with aclosing(chunks):
            try:
                async for chunk in chunks:
                    yield chunk
            except AsyncApiProxyError as error:
                self.fault = failed(error)
                raise self.fault from error


class ResponsePlace:
    """Where one attempt puts a response's body that is too large for the row."""

    def __init__(self, blobs: Blobs, *, task_id: UUID, attempt: int) -> None:
        self._blobs = blobs
        self._task_id = task_id
        self._attempt = attempt
        self.inline_bytes = blobs.inline_bytes

    def writer(self) -> BlobWriter:
        """What writes it: another blob each time.

        An attempt may be taken up by several executors one after another, where it polls a job.
        """
        name = f"{self._task_id}/response-{self._attempt}.{token_hex(4)}"
        return self._blobs.writer(name, task_id=self._task_id)

    async def put_away(self, response: Response) -> Response:
        """The response with its body in a blob, if that is large."""
        if len(response.body) <= self.inline_bytes:
            return response
        writer = self.writer()
        await writer.write(response.body)
        return replace(response, body=b"", blob=await writer.finish())


class ResponseBody:
    """Takes in a response's body: into memory, then into a blob, up to so many bytes.

    What an upstream says of a fault of its own is given to nobody, and so not kept.
    """

    def __init__(self, place: ResponsePlace | None, *, max_bytes: int, status: int) -> None:
        self._place = place
        self._max_bytes = max_bytes
        self._status = status
        self._is_kept = status < HTTPStatus.INTERNAL_SERVER_ERROR
        self._held = bytearray()
        self._writer: BlobWriter | None = None
        self._size = 0

    def expect(self, size: int) -> None:
        """Raise ResponseTooLargeError where it is not worth reading so many bytes."""
        if size > self._max_bytes:
            raise ResponseTooLargeError(
                f"The upstream answered {self._status} with more than "
                f"{self._max_bytes} bytes, the most that is kept."
            )

    async def add(self, data: bytes) -> None:
        """Take in a part; raises ResponseTooLargeError."""
        self._size += len(data)
        self.expect(self._size)
        if not self._is_kept:
            return
        if self._writer is not None:
            await self._writer.write(data)
            return
        self._held += data
        if self._place is not None and self._size > self._place.inline_bytes:
            self._writer = self._place.writer()
            await self._writer.write(bytes(self._held))
            self._held.clear()

    async def finish(self) -> tuple[bytes, str | None]:
        """The body, or the name of the blob that has it."""
        blob = None if self._writer is None else await self._writer.finish()
        return bytes(self._held), blob


def request_body(task: ClaimedTask, blobs: Blobs | None) -> RequestBody | None:
    """The body that came with the task; None where all of it is in the arguments."""
    if task.body_headers is None:
        return None
    return RequestBody(task.body_headers, task.body or b"", blobs=blobs, blob=task.body_blob)


def failed(error: AsyncApiProxyError) -> AttemptFailedError:
    """The failure of an attempt whose bodies cannot be kept or read."""
    if isinstance(error, BlobLostError):
        return BodyLostError()
    if isinstance(error, UnavailableError):
        return BodyStoreUnavailableError(error.public)
    raise error
