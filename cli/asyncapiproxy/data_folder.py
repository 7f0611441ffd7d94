"""The folder that a process of ours keeps its files in."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from asynctasks.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def make_data_folder(data: Path) -> None:
    """Make it where it is missing; raises SettingsError."""
    with writing_into(data):
        data.mkdir(parents=True, exist_ok=True)


@contextmanager
def writing_into(data: Path) -> Generator[None]:
    """Raise SettingsError where the folder lets nothing be written."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"--data {data} cannot be written: {error.strerror}") from error
