"""Where a handler failed, without what its error says."""

from __future__ import annotations

from itertools import chain
from traceback import StackSummary, format_list, walk_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ERRORS = 10
"""Of a chain of causes; beyond it lies the start of the same story."""


def traceback_without_texts(error: BaseException) -> str:
    """Classes and lines of the error and its causes, the last first.

    The texts stay out: `int("…")` quotes its argument, and that may be a sealed one.
    """
    parts = ("".join(_lines(each)) for each in _with_causes(error))
    return "caused by\n".join(parts)


def _lines(error: BaseException) -> Iterator[str]:
    frames = StackSummary.extract(walk_tb(error.__traceback__))
    return chain([f"{type(error).__module__}.{type(error).__qualname__}\n"], format_list(frames))


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    following: BaseException | None = error
    for _ in range(MOST_ERRORS):
        if following is None:
            return
        yield following
        following = following.__cause__ or (
            None if following.__suppress_context__ else following.__context__
        )
