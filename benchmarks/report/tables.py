"""Every table of the results, by the name of its place in the document."""

from benchmarks.report.promises import promises
from benchmarks.report.results import Results
from benchmarks.sections.registry import SECTIONS
from benchmarks.sections.table import Table


def tables(results: Results) -> dict[str, Table]:
    """All for which there are results."""
    found = {"promises": _promises(results)}
    for section in SECTIONS.values():
        measured = results.of(section)
        if measured is not None:
            found.update(section.tables(measured))
    return found


def _promises(results: Results) -> Table:
    table = Table("What is promised", ["promise", "measured", "verdict"])
    for promise in promises(results):
        verdict = f"**{promise.verdict}**" if promise.holds is False else promise.verdict
        table.rows.append([promise.text, promise.measured, verdict])
    return table
