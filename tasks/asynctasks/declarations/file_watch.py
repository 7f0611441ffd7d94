"""Follows a file of declarations: a changed one is checked and taken over without a restart.

A bad one is refused as a whole, with what is wrong in one line of the log, while the one before
serves on. The file is read again and again, since notifications of the kernel do not come from
network disks, and are not to be had where a node's processes have used them up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog
from prometheus_client import Gauge

from asynctasks.errors import AsyncApiProxyError, DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from asynctasks.declarations.declared_file import Read

LOOK_SECONDS = 0.5
DeclaredT = TypeVar("DeclaredT")

log = structlog.get_logger(__name__)


class FileMetrics:
    """What is told of one kind of file."""

    def __init__(self, name: str) -> None:
        stem = f"asyncapiproxy_{name.replace(' ', '_')}"
        self.refused = Gauge(
            f"{stem}_refused",
            f"1 while the {name} as it stands was refused, and an earlier one is in use.",
            registry=None,
        )
        self.loaded_timestamp = Gauge(
            f"{stem}_loaded_timestamp_seconds",
            f"When the {name} in use was loaded.",
            registry=None,
        )
        self.all = (self.refused, self.loaded_timestamp)

    def taken_over(self) -> None:
        """Show that the file as it stands is in use from now on."""
        self.refused.set(0)
        self.loaded_timestamp.set_to_current_time()


class FileWatch(Generic[DeclaredT]):
    """Looks whether a file has changed, or one that it refers to, and has it taken over."""

    def __init__(
        self,
        name: str,
        load: Callable[[Read], DeclaredT],
        take_over: Callable[[DeclaredT], Awaitable[None]],
        *,
        metrics: FileMetrics,
    ) -> None:
        """Load it, without taking it over; raises what `load` raises.

        All that `load` reads through what it is given is looked at from then on.
        """
        self._refusal = f"{name} refused; the one before serves on"
        self._load = load
        self._take_over = take_over
        self._metrics = metrics
        self._read: dict[Path, bytes | None] = {}
        self.first = self._loaded()
        self._judged = self._seen = self._read
        metrics.taken_over()

    async def look(self) -> None:
        """Take the file over, or refuse it, where it has changed since the look before the last.

        Two looks find the same when whoever writes it has finished. Raises
        DatabaseUnavailableError: a later look tries again.
        """
        found = await asyncio.to_thread(_contents, tuple(self._read))
        is_settled = found == self._seen
        self._seen = found
        if is_settled and found != self._judged:
            await self._judge()
            self._judged = self._seen = self._read

    async def _judge(self) -> None:
        try:
            declared = await asyncio.to_thread(self._loaded)
            await self._take_over(declared)
        except DatabaseUnavailableError:
            raise
        except AsyncApiProxyError as error:
            self._metrics.refused.set(1)
            log.error(  # noqa: TRY400 - the file's faults are the news, not where we found them
                self._refusal, faults=str(error)
            )
        else:
            self._metrics.taken_over()

    def _loaded(self) -> DeclaredT:
        read: dict[Path, bytes | None] = {}

        def remembered(file: Path) -> bytes:
            read[file] = None
            read[file] = content = file.read_bytes()
            return content

        try:
            return self._load(remembered)
        finally:
            self._read = read


def _contents(files: tuple[Path, ...]) -> dict[Path, bytes | None]:
    return {file: _content(file) for file in files}


def _content(file: Path) -> bytes | None:
    """None where it cannot be read: loading it says why."""
    try:
        return file.read_bytes()
    except (OSError, ValueError):
        return None
