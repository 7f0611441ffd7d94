"""Writes the tables into docs/performance.md, each between its own markers."""

import re
from pathlib import Path
from typing import Any

from bars import Results
from plots import draw
from systems import SYSTEMS
from tables import tables

DOCS = Path(__file__).parent.parent / "docs"
DOCUMENT = DOCS / "performance.md"
_PLACE = re.compile(
    r"(<!-- bench:(?P<name>[a-z0-9-]+) -->\n)(?:.*?\n)??(<!-- /bench -->)", re.DOTALL
)


def write(results: Results) -> list[Path]:
    """Fill every place in the document for which there are results; the files that were written."""
    texts = {name: table.markdown() for name, table in tables(results).items()}
    texts |= {"machine": _machine(results), "systems": _systems(results)}

    def filled(place: re.Match[str]) -> str:
        text = texts.get(place["name"], "Not measured yet.")
        return f"{place[1]}{text}\n{place[3]}"

    DOCUMENT.write_text(_PLACE.sub(filled, DOCUMENT.read_text()))
    return [DOCUMENT, *draw(results, DOCS / "performance")]


def _machine(results: Results) -> str:
    sections: dict[str, list[str]] = {}
    for section, machine in results.get("machine", {}).items():
        sections.setdefault(_one_machine(machine), []).append(section)
    lines = [f"- {', '.join(names)}: {machine}" for machine, names in sections.items()]
    return "\n".join(lines) or "Not measured yet."


def _one_machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    return (
        f"commit {machine['commit']}, {machine['at'][:10]}, {machine['cores']} cores "
        f"({machine['cpu']}), {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"load average before: {machine['load_average_before'][0]}; "
        f"Python {machine['python']}, PostgreSQL {machine['postgresql']}, "
        f"RabbitMQ {machine['rabbitmq']}; {versions}"
    )


def _systems(results: Results) -> str:
    missing = results.get("compare", {}).get("missing", {})
    lines = ["| system | what it does for one request |", "| --- | --- |"]
    for system in SYSTEMS.values():
        reason = f" **Not measured: {missing[system.name]}.**" if system.name in missing else ""
        lines.append(f"| {system.name} | {system.does}{reason} |")
    return "\n".join(lines)
