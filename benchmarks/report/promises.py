"""What all sections promise, and what is wrong at any speed."""

from collections.abc import Iterator

from benchmarks.report.results import Results
from benchmarks.sections.promise import Promise
from benchmarks.sections.registry import SECTIONS


def promises(results: Results) -> Iterator[Promise]:
    """All of them, also of sections that were not run."""
    for section in SECTIONS.values():
        yield from section.promises(results.of(section))


def faults(results: Results) -> Iterator[str]:
    """Answers that are none, callers who got none."""
    for section in SECTIONS.values():
        measured = results.of(section)
        if measured is not None:
            yield from section.faults(measured)
