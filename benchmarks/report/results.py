"""What was measured, section by section, and the one way to and from its JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from benchmarks.machine.machine import Machine
from benchmarks.sections.registry import SECTIONS

if TYPE_CHECKING:
    from benchmarks.sections.section import ResultsT, Section

FOLDER = Path(__file__).parents[1] / "results"
PUBLISHED = FOLDER / "published.json"

_MACHINES = TypeAdapter(dict[str, Machine])


@dataclass(frozen=True, slots=True)
class Results:
    """Of one run, or of several merged."""

    machines: dict[str, Machine] = field(default_factory=dict[str, Machine])
    """What each part was measured on."""
    by_section: dict[str, Any] = field(default_factory=dict[str, Any])
    """Read by `of`, which knows the type."""

    def of(self, section: Section[ResultsT]) -> ResultsT | None:
        """What the section measured, if it was run."""
        return self.by_section.get(section.name)

    def having(self, section: Section[ResultsT], measured: ResultsT, machine: Machine) -> Results:
        """These, and what one section measured."""
        part = f"{section.name} ({section.part(measured)})" if section.part else section.name
        return replace(
            self,
            machines={**self.machines, part: machine},
            by_section={**self.by_section, section.name: measured},
        )

    def merged(self, later: Results) -> Results:
        """These with the later ones, which come before where both have the same."""
        by_section = {**self.by_section, **later.by_section}
        for name in self.by_section.keys() & later.by_section.keys():
            by_section[name] = SECTIONS[name].merged(self.by_section[name], later.by_section[name])
        return Results({**self.machines, **later.machines}, by_section)

    def to_json(self) -> str:
        """A text that `from_json` reads."""
        sections = {
            name: SECTIONS[name].codec.dump_python(measured, mode="json")
            for name, measured in self.by_section.items()
        }
        machines = _MACHINES.dump_python(self.machines, mode="json")
        return json.dumps({"machine": machines, **sections}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Raises ValidationError where a section's results have another form."""
        document: dict[str, Any] = json.loads(text)
        machines = _MACHINES.validate_python(document.pop("machine"))
        return cls(
            machines,
            {name: SECTIONS[name].codec.validate_python(part) for name, part in document.items()},
        )
