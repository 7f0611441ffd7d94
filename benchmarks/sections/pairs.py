"""Two operations of one system under the same load in turns: what one costs more than the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.measure import Figures, Measured, Ratio, measure
from benchmarks.sections.compared import Compared
from benchmarks.systems.systems import OPERATIONS

if TYPE_CHECKING:
    from benchmarks.machine.measure import Running
    from benchmarks.sections.section import Asked

CALLERS = 32
ROUNDS, SECONDS = 9, 5.0
WARM_UP_SECONDS = 2
_OPERATION = """
  create-PATH:
    route: POST /PATH
    queue: clients
    arguments: {type: object, required: [email, name], additionalProperties: false,
                properties: {email: {type: string, format: email}, name: {type: string}}}
    upstream:
      url: "{CUSTOMER_API_URL}/PATH"
"""


class Pairs(Compared):
    """An operation with something and one without it."""

    KIND = "operation"
    SHOWN = ("proxy", "executor", "postgresql")

    @property
    def how(self) -> str:
        """See `Compared`."""
        return f"{CALLERS} callers, {self.less.rounds} pairs of runs"


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
