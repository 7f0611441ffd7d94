"""What is asked of a place for blobs. `object_chunks` and `statements.blob_chunks` both keep it."""

from __future__ import annotations

from typing import Protocol


class Chunks(Protocol):
    """Keeps numbered chunks of named blobs.

    So every place is used alike: nothing has to be aborted, and a transfer holds one chunk.

    All methods raise BlobStoreUnavailableError or DatabaseUnavailableError.
    """

    @property
    def chunk_bytes(self) -> int:
        """How large each chunk of a blob is, but for its last."""
        ...

    async def put(self, name: str, number: int, data: bytes) -> None:
        """Keep a chunk, durably."""

    async def get(self, name: str, number: int) -> bytes:
        """A chunk; raises BlobLostError where it is gone."""
        ...

    async def delete(self, name: str) -> None:
        """Forget all chunks of a blob, of which there may be none."""

    async def check(self) -> None:
        """Raise SettingsError where chunks could never be written, read and deleted here."""
