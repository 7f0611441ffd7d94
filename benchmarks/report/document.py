"""Writes the tables into docs/performance.md, each between its own markers."""

import re
from pathlib import Path

from benchmarks.machine.machine import Machine
from benchmarks.report.results import Results
from benchmarks.report.tables import tables
from benchmarks.sections.compare import COMPARE
from benchmarks.systems.systems import SYSTEMS

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
_NOTHING = "Not measured yet."
_PLACE = re.compile(
    r"(<!-- bench:(?P<name>[a-z0-9-]+) -->\n)(?:.*?\n)??(<!-- /bench -->)", re.DOTALL
)


def filled(document: str, results: Results) -> str:
    """The document with every place in it filled from the results."""
    texts = {name: table.markdown() for name, table in tables(results).items()}
    texts |= {"machine": _machines(results), "systems": _systems(results)}

    def fill(place: re.Match[str]) -> str:
        return f"{place[1]}{texts.get(place['name'], _NOTHING)}\n{place[3]}"

    return _PLACE.sub(fill, document)


def _machines(results: Results) -> str:
    parts: dict[str, list[str]] = {}
    for part, machine in results.machines.items():
        parts.setdefault(_machine(machine), []).append(part)
    lines = [f"- {', '.join(names)}: {machine}" for machine, names in parts.items()]
    return "\n".join(lines) or _NOTHING


def _machine(machine: Machine) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine.libraries.items())
    return (
        f"commit {machine.commit}, {machine.at[:10]}, {machine.cores} cores "
        f"({machine.cpu}), {machine.memory_gib} GiB, Linux {machine.kernel}, "
        f"load average before: {machine.load_average_before[0]}; "
        f"Python {machine.python}, PostgreSQL {machine.postgresql}, "
        f"RabbitMQ {machine.rabbitmq}; {versions}"
    )


def _systems(results: Results) -> str:
    compared = results.of(COMPARE)
    missing = compared.missing if compared else {}
    lines = ["| system | what it does for one request |", "| --- | --- |"]
    for system in SYSTEMS.values():
        reason = f" **Not measured: {missing[system.name]}.**" if system.name in missing else ""
        lines.append(f"| {system.name} | {system.does}{reason} |")
    return "\n".join(lines)
