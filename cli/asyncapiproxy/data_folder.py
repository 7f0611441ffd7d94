"""The folder that a process of ours keeps its files in: it is that process's alone."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asynctasks.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def own_data_folder(data: Path) -> Generator[None]:
    """Make it where it is missing, and hold it; raises SettingsError where another process does.

    What this process makes from now on is for its user alone to read: callers' data.
    """
    os.umask(0o077)
    with writing_into(data):
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("w")
    with lock:
        try:
            # It goes with the process, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"--data {data} is in use by another process: two would run each other's tasks; "
                "choose another folder"
            ) from None
        yield


@contextmanager
def writing_into(data: Path) -> Generator[None]:
    """Raise SettingsError where the folder lets nothing be written."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"--data {data} cannot be written: {error.strerror}") from error
