"""`limits`: whether limits keep what they promise, with real processes, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from benchmarks.machine.bench import console
from benchmarks.sections.limit_costs import MEMORY, RELEASE, UNREACHED, Memory, Releases
from benchmarks.sections.limit_faults import ORDEAL, OUTAGE, Ordeal, Outage
from benchmarks.sections.limit_order import FLOOD, PRIORITY, WEIGHTS, Flood, Priority, Weights
from benchmarks.sections.pairs import Pairs  # noqa: TC001 - pydantic reads it at run time
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine.bench import Bench
    from benchmarks.sections.promise import Promise

PARTS: dict[str, Section[Any]] = {
    part.name: part
    for part in (FLOOD, WEIGHTS, PRIORITY, MEMORY, RELEASE, UNREACHED, ORDEAL, OUTAGE)
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What each part has measured; None where it was not run."""

    flood: Flood | None = None
    weights: Weights | None = None
    priority: Priority | None = None
    memory: Memory | None = None
    release: Releases | None = None
    unreached: Pairs | None = None
    ordeal: Ordeal | None = None
    outage: Outage | None = None


def _run(bench: Bench, asked: Asked) -> Limits:
    limits = Limits()
    for name in asked.parts or PARTS:
        measured = PARTS[name].run(bench, asked)
        console.print(f"  {measured}")
        limits = replace(limits, **{name: measured})
    return limits


def _measured(limits: Limits) -> dict[str, Any]:
    """What was measured, by the name of its part."""
    found = {field.name: getattr(limits, field.name) for field in fields(limits)}
    return {name: measured for name, measured in found.items() if measured is not None}


def _tables(limits: Limits) -> Iterator[tuple[str, Table]]:
    table = Table("Limits", ["part", "what", "measured"])
    for name, measured in _measured(limits).items():
        for _, part in PARTS[name].tables(measured):
            table.rows.extend([name, *row] for row in part.rows)
    yield "limits", table


def _promises(limits: Limits | None) -> Iterator[Promise]:
    found = _measured(limits) if limits else {}
    for name, part in PARTS.items():
        yield from part.promises(found.get(name))


def _faults(limits: Limits) -> Iterator[str]:
    for name, measured in _measured(limits).items():
        for fault in PARTS[name].faults(measured):
            yield f"limits: {name}: {fault}"


def _merged(earlier: Limits, later: Limits) -> Limits:
    return replace(earlier, **_measured(later))


LIMITS = Section(
    name="limits",
    results=Limits,
    run=_run,
    tables=_tables,
    promises=_promises,
    faults=_faults,
    merged=_merged,
    part=lambda limits: ", ".join(_measured(limits)),
    is_usual=False,
)
