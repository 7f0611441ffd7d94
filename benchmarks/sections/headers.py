"""`headers`: what it costs to forward five headers of a caller's and to keep five of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.measure import Figures, Measured, Ratio, measure
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table, warning
from benchmarks.systems.systems import OPERATIONS, ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine.measure import Running

CALLERS = 32
WARM_UP_SECONDS = 2
PATH = "/clients-with-headers"
PLAIN = "/clients-without"
_OPERATION = """
  create-PATH:
    route: POST /PATH
    queue: clients
    arguments: {type: object, required: [email, name], additionalProperties: false,
                properties: {email: {type: string, format: email}, name: {type: string}}}
    upstream:
      url: "{CUSTOMER_API_URL}/PATH"
"""
_HEADERS = """\
      forwardHeaders: [Accept-Language, X-Request-Id, X-Correlation-Id, X-Channel, X-Region]
      responseHeaders: [X-Request-Id, X-Report-Version]   # and ETag, Last-Modified, Cache-Control
"""
BOTH = (
    OPERATIONS
    + _OPERATION.replace("PATH", PLAIN[1:])
    + _OPERATION.replace("PATH", PATH[1:])
    + _HEADERS
)


@dataclass(frozen=True, slots=True)
class Headers:
    """An operation with headers both ways and one without any, which took turns."""

    with_headers: Figures
    without: Figures
    cpu: Ratio
    """Of the CPU of a request, with to without."""


def _run(bench: Bench, asked: Asked) -> Headers:
    seconds = asked.seconds or (1 if asked.quick else 5)
    pairs: list[tuple[Measured, Measured]] = []
    with ours(bench, operations=BOTH) as running:
        for path in (PATH, PLAIN):
            _one(bench, running, path, WARM_UP_SECONDS)
        for number in range(asked.rounds or (1 if asked.quick else 9)):
            paths = (PATH, PLAIN)
            turns = paths if number % 2 == 0 else paths[::-1]
            measured = {path: _one(bench, running, path, seconds) for path in turns}
            pairs.append((measured[PATH], measured[PLAIN]))
    return Headers(
        with_headers=Figures.of([pair[0] for pair in pairs]),
        without=Figures.of([pair[1] for pair in pairs]),
        cpu=Ratio.of((more.cpu_us_total, less.cpu_us_total) for more, less in pairs),
    )


def _one(bench: Bench, running: Running, path: str, seconds: float) -> Measured:
    one = measure(running, bench.outside, callers=CALLERS, seconds=seconds, path=path)
    console.print(f"  {path:22} {one.cpu_us_total:7,.0f} µs  {one.load.per_second:7,.0f}/s")
    return one


def _tables(headers: Headers) -> Iterator[tuple[str, Table]]:
    table = Table(
        f"Headers both ways, {CALLERS} callers, {headers.without.rounds} pairs of runs",
        ["operation", "CPU of a request, µs", "proxy", "executor", "as ratio of the pairs"],
    )
    for name, one, ratio in (
        ("5 headers forwarded, 5 kept", headers.with_headers, str(headers.cpu)),
        ("without", headers.without, "1"),
    ):
        parts = [f"{one.cpu_us[part]:,.0f}" for part in ("proxy", "executor")]
        total = f"{one.cpu_us_total:,.0f}{warning(one.errors)}"
        table.rows.append([name, total, *parts, ratio])
    yield "headers", table


def _promises(headers: Headers | None) -> Iterator[Promise]:
    text = "5 headers forwarded and 5 kept: CPU of a request ≤ 1.08 × that without"
    if not headers:
        yield Promise(text)
        return
    measured = f"{headers.cpu} ×"
    yield Promise(
        text, measured, headers.cpu.median <= 1.08 if headers.without.rounds > 1 else None
    )


def _faults(headers: Headers) -> Iterator[str]:
    for name, one in (("with", headers.with_headers), ("without", headers.without)):
        if one.errors:
            yield f"headers, {name}: {one.errors}"


HEADERS = Section(
    name="headers", results=Headers, run=_run, tables=_tables, promises=_promises, faults=_faults
)
