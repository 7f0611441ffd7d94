"""Writes and reads blobs, and deletes those that nobody refers to.

The way of a blob:

    writer() ──▶ registered ──▶ chunk, chunk, … ──▶ whole ──▶ a row refers to it
                     │                │               │              │
                     └────────────────┴───────────────┘              └ the task is forgotten,
                       its writer is gone: an hour later               or has another response
                       it is an orphan                                 │
                                                                       ▼
                                                             an orphan: deleted

A row refers only to what is whole, and a blob that is not referred to costs nothing but room.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asynctasks.blob import ORPHANED_SECONDS
from asynctasks.blobs.object_chunks import ObjectChunks
from asynctasks.errors import BlobLostError, UnavailableError
from asynctasks.statements.blob_chunks import DatabaseChunks
from asynctasks.statements.blob_registry import BlobRegistry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from asynctasks.blobs.chunks import Chunks
    from asynctasks.database import Database

DATABASE = "database"
TOUCH_SECONDS = 60.0
"""How often a writer that takes long says that it is there."""
READ_AT_A_TIME = 128
"""Chunks that readers of this process hold together; others wait."""
AWAY_SECONDS = 30.0
"""A blob that has begun to be read waits so long for a store that is away."""
AGAIN_SECONDS = 0.5


class Blobs:
    """The blob store, as one process uses it.

    All methods raise BlobStoreUnavailableError and DatabaseUnavailableError.
    """

    def __init__(self, database: Database, chunks: Chunks, *, inline_bytes: int) -> None:
        self._registry = BlobRegistry(database)
        self._chunks = chunks
        self._reading = asyncio.Semaphore(READ_AT_A_TIME)
        self.inline_bytes = inline_bytes
        """A body of so many bytes is still kept in its task's row."""

    async def check(self) -> None:
        """Raise SettingsError where nothing could ever be kept here."""
        await self._chunks.check()

    def writer(self, name: str, *, task_id: UUID) -> BlobWriter:
        """Begin a blob that a row of this task is to refer to."""
        return BlobWriter(self._registry, self._chunks, name, task_id)

    async def open(self, name: str) -> OpenBlob:
        """A blob to be read from its start; raises BlobLostError."""
        size = await self._registry.size(name)
        if size is None:
            raise BlobLostError
        return OpenBlob(name, size, self._chunks, self._reading)

    async def delete_orphans(self, *, limit: int) -> int:
        """Delete some of the blobs that nobody refers to; how many they were."""
        orphans = await self._registry.orphans(limit=limit, age_seconds=ORPHANED_SECONDS)
        for name in orphans:
            await self._chunks.delete(name)
            # Last: what could not be deleted is found again.
            await self._registry.remove(name)
        return len(orphans)


class BlobWriter:
    """Writes one blob, of which it holds no more than a chunk."""

    def __init__(self, registry: BlobRegistry, chunks: Chunks, name: str, task_id: UUID) -> None:
        self._registry = registry
        self._chunks = chunks
        self._name = name
        self._task_id = task_id
        self._held = bytearray()
        self._written = 0
        self._number = 0
        self._touched_at = 0.0

    @property
    def size(self) -> int:
        """How many bytes it has so far."""
        return self._written + len(self._held)

    async def write(self, data: bytes) -> int:
        """Add to it; how many bytes are no longer held since they are kept."""
        before = self._written
        self._held += data
        while len(self._held) >= self._chunks.chunk_bytes:
            await self._put(bytes(self._held[: self._chunks.chunk_bytes]))
            del self._held[: self._chunks.chunk_bytes]
        return self._written - before

    async def finish(self) -> str:
        """Keep the rest; the name of what is now a whole blob."""
        if self._held or not self._number:
            await self._put(bytes(self._held))
            self._held.clear()
        await self._registry.complete(self._name, size=self._written)
        return self._name

    async def _put(self, chunk: bytes) -> None:
        now = time.monotonic()
        if not self._number:
            await self._registry.add(self._name, task_id=self._task_id)
            self._touched_at = now
        elif now - self._touched_at > TOUCH_SECONDS:
            await self._registry.touch(self._name)
            self._touched_at = now
        await self._chunks.put(self._name, self._number, chunk)
        self._number += 1
        self._written += len(chunk)


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """A whole blob, to be read as often as one likes, each time from its start."""

    name: str
    size: int
    _chunks: Chunks
    _reading: asyncio.Semaphore

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Its bytes in order, a chunk at a time; raises BlobLostError where one is gone.

        While the store is away the first chunk is refused at once, but what has begun to flow waits
        for the next: whoever reads has told a peer how long it is, and could only break off.
        """
        number, left = 0, self.size
        while left > 0:
            async with self._reading:
                chunk = await self._get(number, patience_seconds=AWAY_SECONDS if number else 0)
                if len(chunk) > left or not chunk:
                    raise BlobLostError
                yield chunk
            left -= len(chunk)
            number += 1

    async def _get(self, number: int, *, patience_seconds: float) -> bytes:
        until = time.monotonic() + patience_seconds
        while True:
            try:
                return await self._chunks.get(self.name, number)
            except UnavailableError:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)


def open_blobs(database: Database, url: str, *, inline_bytes: int) -> Blobs:
    """The blobs at the URL, or in the task database; raises SettingsError."""
    chunks = DatabaseChunks(database) if url == DATABASE else ObjectChunks(url)
    return Blobs(database, chunks, inline_bytes=inline_bytes)
