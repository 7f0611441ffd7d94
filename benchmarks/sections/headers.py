"""`headers`: what it costs to forward five headers of a caller's and to keep five of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.sections.compared import promised
from benchmarks.sections.pairs import Pairs, in_pairs, operations_with
from benchmarks.sections.section import Asked, Section
from benchmarks.systems.systems import ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine.bench import Bench
    from benchmarks.sections.promise import Promise
    from benchmarks.sections.table import Table

PATH = "/clients-with-headers"
PLAIN = "/clients-without"
_HEADERS = """\
      forwardHeaders: [Accept-Language, X-Request-Id, X-Correlation-Id, X-Channel, X-Region]
      responseHeaders: [X-Request-Id, X-Report-Version]   # and ETag, Last-Modified, Cache-Control
"""


def _run(bench: Bench, asked: Asked) -> Pairs:
    with ours(bench, operations=operations_with(_HEADERS, more=PATH, less=PLAIN)) as running:
        return in_pairs(bench, running, asked, more=PATH, less=PLAIN)


def _tables(headers: Pairs) -> Iterator[tuple[str, Table]]:
    table = headers.table("Headers both ways", more="5 headers forwarded, 5 kept", less="without")
    yield "headers", table


def _promises(headers: Pairs | None) -> Iterator[Promise]:
    yield promised(headers, "5 headers forwarded and 5 kept", most=1.08)


def _faults(headers: Pairs) -> Iterator[str]:
    if headers.errors:
        yield f"headers: {headers.errors}"


HEADERS = Section(
    name="headers", results=Pairs, run=_run, tables=_tables, promises=_promises, faults=_faults
)
