"""What one of two costs more than the other, however that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchmarks.machine.measure import Figures, Ratio  # noqa: TC001 - results are read by it
from benchmarks.sections.promise import Promise
from benchmarks.sections.table import Table, warning

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Compared:
    """One with something and one without it."""

    KIND: ClassVar[str]
    """What the two are."""
    SHOWN: ClassVar[Sequence[str]]
    """The parts of which the CPU is shown."""

    more: Figures
    less: Figures
    cpu: Ratio
    """Of the CPU of a request, with to without."""

    @property
    def how(self) -> str:
        """Under what load, and how often."""
        raise NotImplementedError

    def table(self, title: str, *, more: str, less: str) -> Table:
        """A line for each of the two."""
        heads = [self.KIND, "CPU of a request, µs", *self.SHOWN, "as ratio of the pairs"]
        table = Table(f"{title}, {self.how}", heads)
        for name, one, ratio in ((more, self.more, str(self.cpu)), (less, self.less, "1")):
            parts = [f"{one.cpu_us[part]:,.0f}" for part in self.SHOWN]
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


def promised(compared: Compared | None, what: str, *, most: float) -> Promise:
    """That it costs at most so many times as much; None where that was not measured."""
    text = f"{what}: CPU of a request ≤ {most:g} × that without"
    if compared is None:
        return Promise(text)
    return Promise(text, f"{compared.cpu} ×", compared.within(most))
