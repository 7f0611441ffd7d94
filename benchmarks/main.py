"""`./dev bench`: how fast it is, beside what people would use instead.

Private servers on this machine's loopback, real processes, load by wrk. Run it on a machine that
does nothing else. Without `--publish` nothing but benchmarks/results/ is written.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine.bench import console, started_bench
from benchmarks.machine.machine import describe, load_average
from benchmarks.report.document import DOCUMENT, filled
from benchmarks.report.promises import faults
from benchmarks.report.results import FOLDER, PUBLISHED, Results
from benchmarks.report.tables import tables
from benchmarks.sections.against import AGAINST
from benchmarks.sections.compare import COMPARE
from benchmarks.sections.limits import PARTS
from benchmarks.sections.registry import SECTIONS
from benchmarks.sections.section import Asked, Section
from benchmarks.systems.systems import SYSTEMS

WRITE_DOCUMENT = "document"
BUSY_SHARE = 0.5
"""A load average of so much of a core for each core, before we begin, spoils the figures."""


def main() -> int:
    """The exit status."""
    given = arguments(sys.argv[1:])
    if given.sections == [WRITE_DOCUMENT]:
        _publish(*(Results.from_json(file.read_text()) for file in given.results))
        return 0
    asked = _asked(given)
    began = time.monotonic()
    results, file = _run(_sections(given), asked)
    for table in tables(results).values():
        if table.rows:
            console.print(f"\n[bold]{table.title}[/]")
            console.print(table.rich())
    minutes = (time.monotonic() - began) / 60
    console.print(f"{minutes:.1f} min, load average now {load_average()}; {file}")
    if given.publish:
        _publish(results)
    found = list(faults(results))
    for fault in found:
        console.print(f"[red]{fault}[/]")
    # A slow machine is no fault, and a rival's errors are a finding; a smoke test has neither.
    return 1 if asked.quick and found else 0


def _run(sections: list[Section[Any]], asked: Asked) -> tuple[Results, Path]:
    """What was measured, and the file that holds it."""
    file = FOLDER / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    results = Results()
    with started_bench(tries=1 if asked.quick else 6) as bench:
        machine = describe(bench)
        load = machine.load_average_before[0]
        if load > BUSY_SHARE * machine.cores:
            console.print(f"[yellow]The load average is {load}: these figures are no evidence.[/]")
        for section in sections:
            console.print(f"[bold]{section.name}[/]")
            results = results.having(section, section.run(bench, asked), machine)
            # Kept as we go: a long run that breaks off has measured something.
            file.write_text(results.to_json())
    return results, file


def _publish(*later: Results) -> None:
    """Write the document from what is published and these results, the later the better."""
    # Here, since what only reads the arguments has no matplotlib.
    from benchmarks.report.plots import draw  # noqa: PLC0415

    published = Results.from_json(PUBLISHED.read_text()) if PUBLISHED.exists() else Results()
    for results in later:
        published = published.merged(results)
    PUBLISHED.write_text(published.to_json())
    DOCUMENT.write_text(filled(DOCUMENT.read_text(), published))
    for file in (DOCUMENT, *draw(published, DOCUMENT.parent / "performance")):
        console.print(f"written: {file}")


def arguments(words: list[str]) -> argparse.Namespace:
    """What they ask for; a mistake in them ends the process."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    _add_arguments(parser)
    given = parser.parse_args(words)
    if unknown := set(given.sections) - {*_named(), WRITE_DOCUMENT}:
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    if given.quick and given.publish:
        parser.error("--quick measures nothing that is worth publishing")
    if given.against and (given.sections != [COMPARE.name] or given.publish):
        parser.error("--against is of `compare` alone, and is not published")
    return given


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "sections",
        nargs="*",
        metavar="SECTION",
        help=f"of {', '.join(_named())} (all but `profile`, which needs py-spy, `limits`, "
        "`bulk` and `dashboards`); `document` only writes docs/performance.md again",
    )
    add("--quick", action="store_true", help="small and short: does it run? (3 min)")
    add("--publish", action="store_true", help="write docs/performance.md and its pictures")
    add("--rounds", type=int, help="rounds in alternating order (3)")
    add("--seconds", type=float, help="of each measurement (8)")
    add("--delays", nargs="+", type=float, help="seconds of the upstream in `compare` (0 0.2)")
    add("--results", nargs="+", type=Path, default=[], help="of `document`: files to publish, too")
    add(
        "--rows",
        type=int,
        help="the most rows of `rows` (10 million), `backlog` (1 million), `bulk`",
    )
    add("--systems", nargs="+", choices=list(SYSTEMS), help="of `compare` (all)")
    add("--callers", nargs="+", type=int, help="of `compare` (1 32 256 1000)")
    add("--parts", nargs="+", choices=list(PARTS), help="of `limits` (all)")
    add("--against", metavar="COMMIT", help="of `compare`: that commit's build and this one alone")


def _named() -> list[str]:
    """Sections that one can ask for by name; AGAINST is asked for by its option."""
    return [name for name in SECTIONS if name != AGAINST.name]


def _sections(given: argparse.Namespace) -> list[Section[Any]]:
    if given.against:
        return [AGAINST]
    usual = [name for name, section in SECTIONS.items() if section.is_usual]
    return [SECTIONS[name] for name in given.sections or usual]


def _asked(given: argparse.Namespace) -> Asked:
    return Asked(
        quick=given.quick,
        seconds=given.seconds,
        rounds=given.rounds,
        rows=given.rows,
        systems=tuple(given.systems or ()),
        callers=tuple(given.callers or ()),
        parts=tuple(given.parts or ()),
        delays=tuple(given.delays or ()),
        against=given.against or "",
    )


if __name__ == "__main__":
    sys.exit(main())
