"""What is told of a document: each place where it says what an operations file cannot say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Iterator


class DocumentError(AsyncApiProxyError):
    """The document cannot be read, or nothing can be made of it."""


class NotExpressibleError(AsyncApiProxyError):
    """An operations file cannot say what stands at the pointer."""

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(why)
        self.pointer = pointer


@dataclass(frozen=True, slots=True)
class Remark:
    """One place in the document, and what became of it."""

    pointer: str
    """A JSON Pointer as a fragment: `#/paths/~1clients/post`."""
    text: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.pointer}: {self.text}"


class Remarks:
    """All remarks in their order, each once however many operations share the place."""

    def __init__(self) -> None:
        self._found: dict[Remark, None] = {}

    def __iter__(self) -> Iterator[Remark]:
        return iter(self._found)

    def add(self, pointer: str, text: str) -> None:
        """Note what became of a place."""
        self._found[Remark(pointer, text)] = None

    def left_out(self, error: NotExpressibleError) -> None:
        """Note that what stands there is not in the file."""
        self.add(error.pointer, f"left out: {error}")
