"""`traces`: what OpenTelemetry costs where one call in a hundred is sampled."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine.small_server import small_server
from benchmarks.sections.beside import Beside, Way, beside
from benchmarks.sections.compared import promised
from benchmarks.sections.section import Asked, Section
from benchmarks.systems.systems import ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine.bench import Bench
    from benchmarks.sections.promise import Promise
    from benchmarks.sections.table import Table

SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Traces(Beside):
    """With a collector, beside an installation without traces."""


def _run(bench: Bench, asked: Asked) -> Traces:
    with ExitStack() as stack:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.enter_context(small_server()),
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": str(SHARE),
        }
        traced = stack.enter_context(ours(bench, environment=environment))
        found = beside(asked, more=Way(traced), less=Way(stack.enter_context(ours(bench))))
    return Traces(found.more, found.less, found.cpu)


def _tables(traces: Traces) -> Iterator[tuple[str, Table]]:
    more, less = f"OpenTelemetry, {SHARE:.0%} sampled", "without"
    yield "traces", traces.table("Traces", more=more, less=less)


def _promises(traces: Traces | None) -> Iterator[Promise]:
    yield promised(traces, "OpenTelemetry, 1 % sampled", most=1.04)


def _faults(traces: Traces) -> Iterator[str]:
    if traces.errors:
        yield f"traces: {traces.errors}"


TRACES = Section(
    name="traces", results=Traces, run=_run, tables=_tables, promises=_promises, faults=_faults
)
