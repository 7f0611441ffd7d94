"""The chunks of blobs as objects: in S3, Google's and Azure's stores, or in files."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import structlog

from asynctasks.errors import BlobLostError, BlobStoreUnavailableError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Generator

CHUNK_BYTES = 524_288
"""Each is a request, and a transfer holds one at a time."""
VARIABLE = "ASYNCAPIPROXY_BLOBS"
MARKER = ".asyncapiproxy"
"""Stands in a folder of blobs: one without it is another, as where a volume is not mounted."""
RETRIES: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=20)}

log = structlog.get_logger(__name__)


class ObjectChunks:
    """See `Chunks`. Each chunk is an object, `NAME/NUMBER` below the URL's path."""

    chunk_bytes = CHUNK_BYTES

    def __init__(self, url: str) -> None:
        """Raise SettingsError where the URL leads nowhere, or credentials lack."""
        self._obstore, self._store = _opened(url)
        self._is_folder = urlsplit(url).scheme == "file"

    async def put(self, name: str, number: int, data: bytes) -> None:
        """Keep a chunk."""
        await self._find_folder()
        with _translated():
            await self._obstore.put_async(
                self._store, _path(name, number), data, use_multipart=False
            )

    async def get(self, name: str, number: int) -> bytes:
        """A chunk; raises BlobLostError."""
        try:
            with _translated():
                found = await self._obstore.get_async(self._store, _path(name, number))
                return bytes(await found.bytes_async())
        except BlobLostError:
            await self._find_folder()
            raise

    async def delete(self, name: str) -> None:
        """Forget all chunks of a blob, if there are any."""
        await self._find_folder()
        with _translated():
            async for batch in self._obstore.list(self._store, name):
                # Another relay may have been faster.
                with suppress(FileNotFoundError):
                    await self._obstore.delete_async(self._store, [one["path"] for one in batch])

    async def _find_folder(self) -> None:
        """Raise BlobStoreUnavailableError where the folder of before is not there."""
        if not self._is_folder:
            return
        try:
            with _translated():
                await self._obstore.head_async(self._store, MARKER)
        except BlobLostError as error:
            raise BlobStoreUnavailableError(
                reason=f"the folder of blobs, or {MARKER} in it, is gone"
            ) from error

    async def check(self) -> None:
        """Write, read and delete a chunk; one that is only away may come back."""
        name = f"check-{secrets.token_hex(8)}"
        try:
            await self.put(name, 0, b"asyncapiproxy")
            await self.get(name, 0)
            await self.delete(name)
        except BlobLostError as error:
            raise SettingsError(f"{VARIABLE}: there is no such bucket: {_words(error)}") from error
        except BlobStoreUnavailableError as error:
            if _is_refusal(error):
                raise SettingsError(f"{VARIABLE}: {_words(error)}") from error
            log.warning("the blob store is away", reason=str(error))


def _opened(url: str) -> tuple[Any, Any]:
    try:
        import obstore  # noqa: PLC0415 - an extra
        from obstore.exceptions import BaseError  # noqa: PLC0415
        from obstore.store import LocalStore, from_url  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{VARIABLE} needs obstore: pip install 'asyncapiproxy[blobs]'"
        ) from error
    parts = urlsplit(url)
    open_store: Any = from_url  # its overloads are by scheme
    try:
        if parts.scheme == "file":
            folder = Path(unquote(parts.path))
            store = LocalStore(folder, mkdir=True, automatic_cleanup=True)
            (folder / MARKER).touch()
            return obstore, store
        return obstore, open_store(url, retry_config=RETRIES)
    except (BaseError, OSError, ValueError) as error:
        raise SettingsError(f"{VARIABLE}: {_words(error)}") from error


def _path(name: str, number: int) -> str:
    return f"{name}/{number:06}"


@contextmanager
def _translated() -> Generator[None]:
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

    try:
        yield
    except FileNotFoundError as error:
        raise BlobLostError from error
    except (BaseError, OSError) as error:
        raise BlobStoreUnavailableError(reason=_words(error)) from error


def _is_refusal(error: BaseException) -> bool:
    from obstore.exceptions import (  # noqa: PLC0415 - an extra
        PermissionDeniedError,
        UnauthenticatedError,
    )

    return isinstance(
        error.__cause__, PermissionDeniedError | UnauthenticatedError | PermissionError
    )


def _words(error: BaseException) -> str:
    """What it says on its first line; what follows is the library's own structure."""
    cause = error.__cause__ or error
    return str(cause).strip().partition("\n")[0]
