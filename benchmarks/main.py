"""`./dev bench`: how fast it is, beside what people would use instead.

Private servers on this machine's loopback, real processes, load by wrk. Run it on a machine that
does nothing else. Without `--publish` nothing but benchmarks/results/ is written.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import backlog
import compare
import document
import embedded
import lone
import parked
import profile_cpu
import rows
import workers
from bars import Results, faults
from bench import Bench, console, started_bench
from machine import describe, load_average
from tables import tables

RESULTS = Path(__file__).parent / "results"
PUBLISHED = RESULTS / "published.json"

Section = Callable[[Bench, argparse.Namespace], dict[str, Any]]


def _compare(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    full = compare.QUICK if given.quick else compare.FULL
    plan = compare.Plan(
        systems=given.systems or full.systems,
        callers=given.callers or full.callers,
        delays=given.delays or full.delays,
        seconds=given.seconds or full.seconds,
        rounds=given.rounds or full.rounds,
    )
    return compare.run(bench, plan)


def _embedded(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    return embedded.run(
        bench,
        seconds=given.seconds or (2 if given.quick else 10),
        rounds=given.rounds or (1 if given.quick else 3),
    )


def _parked(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    if given.quick:
        return parked.run(bench, callers=500, parked_seconds=1)
    return parked.run(bench, callers=20_000, parked_seconds=20)


def _rows(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    largest = given.rows or (20_000 if given.quick else 10**7)
    sizes = [size for size in (10**4, 10**6, 10**7) if size < largest]
    seconds = given.seconds or (1 if given.quick else 8)
    return rows.run(bench, sizes=[*sizes, largest], seconds=seconds)


def _workers(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    return workers.run(
        bench,
        shapes=workers.QUICK if given.quick else workers.FULL,
        seconds=given.seconds or (2 if given.quick else 8),
        rounds=given.rounds or (1 if given.quick else 3),
    )


def _backlog(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    sizes = [3_000] if given.quick else [20_000, given.rows or 10**6]
    return backlog.run(bench, sizes=sizes, seconds=2 if given.quick else 10)


def _lone(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    return lone.run(
        bench,
        seconds=given.seconds or (1 if given.quick else 4),
        rounds=given.rounds or (1 if given.quick else 3),
    )


def _profile(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    return profile_cpu.run(bench, seconds=given.seconds or 15)


SECTIONS: dict[str, Section] = {
    "compare": _compare,
    "embedded": _embedded,
    "parked": _parked,
    "rows": _rows,
    "workers": _workers,
    "backlog": _backlog,
    "lone": _lone,
    "profile": _profile,
}


def main() -> int:
    """The exit status."""
    given = _arguments()
    if given.sections == ["document"]:
        _publish(*(json.loads(file.read_text()) for file in given.results))
        return 0
    sections = given.sections or [name for name in SECTIONS if name != "profile"]
    results: Results = {"machine": {}}
    began = time.monotonic()
    with started_bench(tries=1 if given.quick else 6) as bench:
        described = describe(bench)
        load = described["load_average_before"][0]
        if load > 0.5 * (os.cpu_count() or 1):
            console.print(f"[yellow]The load average is {load}: these figures are no evidence.[/]")
        for section in sections:
            console.print(f"[bold]{section}[/]")
            results[section] = SECTIONS[section](bench, given)
            results["machine"][_label(section, results)] = described
            # Kept as we go: a long run that breaks off has measured something.
            file = _store(results, described["at"])
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
    return 1 if given.quick and found else 0


def _store(results: Results, at: str) -> Path:
    RESULTS.mkdir(exist_ok=True)
    stamp = datetime.fromisoformat(at).astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    file = RESULTS / f"{stamp}.json"
    file.write_text(json.dumps(results, indent=1))
    return file


def _label(section: str, results: Results) -> str:
    """What the machine's description is kept by: parts of `compare` may be of different runs."""
    if section != "compare":
        return section
    plan = results[section]["plan"]
    names = "" if set(plan["systems"]) == set(compare.SYSTEMS) else ", ".join(plan["systems"])
    callers = ", ".join(map(str, plan["callers"]))
    return f"compare ({names}{' ' if names else ''}at {callers} callers)"


def _publish(*found: Results) -> None:
    """Write the document from what is published and these results, the later the better."""
    published: Results = {"machine": {}}
    if PUBLISHED.exists():
        published = json.loads(PUBLISHED.read_text())
    for results in found:
        merged = {**published, **results}
        merged["machine"] = {**published["machine"], **results["machine"]}
        if "compare" in published and "compare" in results:
            merged["compare"] = compare.merged(published["compare"], results["compare"])
        published = merged
    PUBLISHED.write_text(json.dumps(published, indent=1) + "\n")
    for file in document.write(published):
        console.print(f"written: {file}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    add = parser.add_argument
    add(
        "sections",
        nargs="*",
        metavar="SECTION",
        help=f"of {', '.join(SECTIONS)} (all but `profile`, which needs py-spy); "
        "`document` only writes docs/performance.md again",
    )
    add("--quick", action="store_true", help="small and short: does it run? (3 min)")
    add("--publish", action="store_true", help="write docs/performance.md and its pictures")
    add("--rounds", type=int, help="rounds in alternating order (3)")
    add("--seconds", type=float, help="of each measurement (8)")
    add("--delays", nargs="+", type=float, help="seconds of the upstream in `compare` (0 0.2)")
    add("--results", nargs="+", type=Path, default=[], help="of `document`: files to publish, too")
    add("--rows", type=int, help="the most rows of `rows` (10 million) and `backlog` (1 million)")
    add("--systems", nargs="+", choices=list(compare.SYSTEMS), help="of `compare` (all)")
    add("--callers", nargs="+", type=int, help="of `compare` (1 32 256 1000)")
    given = parser.parse_args()
    if unknown := set(given.sections) - {*SECTIONS, "document"}:
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    if given.quick and given.publish:
        parser.error("--quick measures nothing that is worth publishing")
    return given


if __name__ == "__main__":
    sys.exit(main())
