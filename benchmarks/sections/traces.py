"""`traces`: what OpenTelemetry costs where one call in a hundred is sampled."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from benchmarks.sections.beside import Beside, Way, beside
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.systems.systems import ours

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from benchmarks.machine.bench import Bench
    from benchmarks.sections.table import Table

SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Traces(Beside):
    """With a collector, beside an installation without traces."""


def _run(bench: Bench, asked: Asked) -> Traces:
    with ExitStack() as stack:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.enter_context(_collector()),
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": str(SHARE),
        }
        traced = stack.enter_context(ours(bench, environment=environment))
        found = beside(asked, more=Way(traced), less=Way(stack.enter_context(ours(bench))))
    return Traces(found.more, found.less, found.cpu)


@contextmanager
def _collector() -> Generator[str]:
    """The URL of one that takes all spans and keeps none."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing between the figures."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _tables(traces: Traces) -> Iterator[tuple[str, Table]]:
    more, less = f"OpenTelemetry, {SHARE:.0%} sampled", "without"
    yield "traces", traces.table("Traces", more=more, less=less)


def _promises(traces: Traces | None) -> Iterator[Promise]:
    text = "OpenTelemetry, 1 % sampled: CPU of a request ≤ 1.04 × that without"
    yield Promise(text, f"{traces.cpu} ×", traces.within(1.04)) if traces else Promise(text)


def _faults(traces: Traces) -> Iterator[str]:
    if traces.errors:
        yield f"traces: {traces.errors}"


TRACES = Section(
    name="traces", results=Traces, run=_run, tables=_tables, promises=_promises, faults=_faults
)
