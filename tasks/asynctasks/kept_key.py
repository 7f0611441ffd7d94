"""A key that a person who tries us need not make: made on first use, and kept in a file."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def kept_key(file: Path, make: Callable[[], str]) -> str:
    """The key in the file, made on first use and readable by its owner alone.

    The file appears whole or not at all, and of two processes that make it at once both get the
    key of the first.
    """
    if not file.exists():
        _create(file, make() + "\n")
    return file.read_text(encoding="utf-8", errors="replace").strip()


def _create(file: Path, text: str) -> None:
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        # A link, unlike a rename, never replaces a key that another process has made meanwhile.
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        Path(draft).unlink()
