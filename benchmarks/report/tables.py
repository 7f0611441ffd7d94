"""Every table of the results, by the name of its place in the document."""

from benchmarks.report.promises import promises
from benchmarks.report.results import Results
from benchmarks.sections.promise import Promise
from benchmarks.sections.registry import SECTIONS
from benchmarks.sections.table import Table


def tables(results: Results) -> dict[str, Table]:
    """All for which there are results."""
    found: dict[str, Table] = {}
    promised = list(promises(results))
    if any(promise.measured for promise in promised):
        found["promises"] = _promises(promised)
    for section in SECTIONS.values():
        measured = results.of(section)
        if measured is not None:
            found.update(section.tables(measured))
    return found


def _promises(promised: list[Promise]) -> Table:
    table = Table("What is promised", ["promise", "measured", "verdict"])
    for promise in promised:
        verdict = f"**{promise.verdict}**" if promise.holds is False else promise.verdict
        table.rows.append([promise.text, promise.measured, verdict])
    return table
