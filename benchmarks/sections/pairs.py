"""Two operations of one system under the same load in turns: what one costs more than the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.measure import Figures, Measured, Ratio, measure
from benchmarks.sections.table import Table, warning
from benchmarks.systems.systems import OPERATIONS

if TYPE_CHECKING:
    from benchmarks.machine.measure import Running
    from benchmarks.sections.section import Asked

CALLERS = 32
ROUNDS, SECONDS = 9, 5.0
WARM_UP_SECONDS = 2
SHOWN = ("proxy", "executor", "postgresql")
_OPERATION = """
  create-PATH:
    route: POST /PATH
    queue: clients
    arguments: {type: object, required: [email, name], additionalProperties: false,
                properties: {email: {type: string, format: email}, name: {type: string}}}
    upstream:
      url: "{CUSTOMER_API_URL}/PATH"
"""


@dataclass(frozen=True, slots=True)
class Pairs:
    """An operation with something and one without it."""

    more: Figures
    less: Figures
    cpu: Ratio
    """Of the CPU of a request, with to without."""

    def table(self, title: str, *, more: str, less: str) -> Table:
        """A line for each of the two."""
        table = Table(
            f"{title}, {CALLERS} callers, {self.less.rounds} pairs of runs",
            ["operation", "CPU of a request, µs", *SHOWN, "as ratio of the pairs"],
        )
        for name, one, ratio in ((more, self.more, str(self.cpu)), (less, self.less, "1")):
            parts = [f"{one.cpu_us[part]:,.0f}" for part in SHOWN]
            total = f"{one.cpu_us_total:,.0f}{warning(one.errors)}"
            table.rows.append([name, total, *parts, ratio])
        return table

    def within(self, most: float) -> bool | None:
        """Whether the ratio is at most so large; one pair says nothing."""
        return self.cpu.median <= most if self.less.rounds > 1 else None

    @property
    def errors(self) -> dict[str, int]:
        """What was no good answer, of both."""
        return {**self.less.errors, **self.more.errors}


def operations_with(text: str, *, more: str, less: str) -> str:
    """The worked example's file and the operations of two paths: that of `more` has the text."""
    plain, full = (_OPERATION.replace("PATH", path.removeprefix("/")) for path in (less, more))
    return OPERATIONS + plain + full + text


def in_pairs(bench: Bench, running: Running, asked: Asked, *, more: str, less: str) -> Pairs:
    """Post to the two paths in turns; each is first in every other pair."""
    seconds = asked.seconds or (1.0 if asked.quick else SECONDS)
    for path in (more, less):
        _one(bench, running, path, WARM_UP_SECONDS)
    pairs: list[tuple[Measured, Measured]] = []
    for number in range(asked.rounds or (1 if asked.quick else ROUNDS)):
        turns = (more, less) if number % 2 == 0 else (less, more)
        measured = {path: _one(bench, running, path, seconds) for path in turns}
        pairs.append((measured[more], measured[less]))
    return Pairs(
        more=Figures.of([pair[0] for pair in pairs]),
        less=Figures.of([pair[1] for pair in pairs]),
        cpu=Ratio.of((more.cpu_us_total, less.cpu_us_total) for more, less in pairs),
    )


def _one(bench: Bench, running: Running, path: str, seconds: float) -> Measured:
    one = measure(running, bench.outside, callers=CALLERS, seconds=seconds, path=path)
    console.print(f"  {path:22} {one.cpu_us_total:7,.0f} µs  {one.load.per_second:7,.0f}/s")
    return one
