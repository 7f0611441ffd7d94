"""Looks at what objects there are, without those that were there before."""

import gc
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def only_new_objects() -> Generator[None]:
    """Keep what there is from being looked at: a process that ran many tests has millions.

    To collect and to list all of them holds the event loop for seconds, in which the services
    under test miss their own deadlines.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def new_objects() -> list[Any]:
    """Those that are still in use, of what the collector knows."""
    gc.collect()
    return gc.get_objects()
