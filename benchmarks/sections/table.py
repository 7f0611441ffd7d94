"""A table of what was measured: one form for the terminal and for the document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table as RichTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.machine.measure import Figures


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings."""

    title: str
    headings: list[str]
    rows: list[list[str]] = field(default_factory=list[list[str]])

    def rich(self) -> RichTable:
        """For the terminal."""
        table = RichTable()
        for number, heading in enumerate(self.headings):
            table.add_column(heading, justify="left" if number == 0 else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For the document."""
        lines = [self.headings, ["---", *["---:"] * (len(self.headings) - 1)], *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def speed(figures: Figures | None) -> str:
    """Requests a second with the lowest and highest round, and what went wrong."""
    if figures is None:
        return ""
    spread = f"{figures.per_second_min:,.0f} to {figures.per_second_max:,.0f}"
    return f"{figures.per_second:,.0f} ({spread}){warning(figures.errors)}"


def latency(figures: Figures | None) -> str:
    """p50 / p99 in milliseconds."""
    return milliseconds(figures.p50_ms, figures.p99_ms) if figures else ""


def milliseconds(p50_ms: float, p99_ms: float) -> str:
    """Of one latency."""
    return f"{p50_ms:,.1f} / {p99_ms:,.1f}"


def warning(errors: Mapping[str, int]) -> str:
    """Empty where nothing went wrong."""
    return (
        f" ⚠ {', '.join(f'{count} × {name}' for name, count in errors.items())}" if errors else ""
    )
