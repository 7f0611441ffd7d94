"""What a section of the benchmark is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.machine.bench import Bench
    from benchmarks.sections.promise import Promise
    from benchmarks.sections.table import Table

ResultsT = TypeVar("ResultsT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks of the sections; None and empty leave it to each."""

    quick: bool = False
    seconds: float | None = None
    """Of each measurement."""
    rounds: int | None = None
    rows: int | None = None
    """The most that are filled in."""
    systems: tuple[str, ...] = ()
    callers: tuple[int, ...] = ()
    parts: tuple[str, ...] = ()
    """Of `limits`."""
    delays: tuple[float, ...] = ()
    against: str = ""
    """A commit, for `compare --against`."""


def _nothing(_: Any) -> Iterable[Any]:
    return ()


def _the_later(_: ResultsT, later: ResultsT) -> ResultsT:
    return later


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Generic[ResultsT]):
    """One question to the benchmark: how it is asked, and how the answer is shown."""

    name: str
    results: type[ResultsT]
    """A dataclass of all that was measured; its fields are those of the JSON."""
    run: Callable[[Bench, Asked], ResultsT]
    tables: Callable[[ResultsT], Iterable[tuple[str, Table]]]
    """Each by the name that its place in the document has."""
    promises: Callable[[ResultsT | None], Iterable[Promise]] = _nothing
    """All of them, also where nothing was measured."""
    faults: Callable[[ResultsT], Iterable[str]] = _nothing
    """What is wrong at any speed: answers that are none, callers who got none."""
    merged: Callable[[ResultsT, ResultsT], ResultsT] = _the_later
    """An earlier result and a later one as one."""
    part: Callable[[ResultsT], str] | None = None
    """Which part of the section a run has measured, where runs are merged."""
    is_usual: bool = True
    """Whether it is run where no section is named."""

    @property
    def codec(self) -> TypeAdapter[ResultsT]:
        """Of the results, to and from JSON."""
        return TypeAdapter(self.results)
