"""`./dev simulate`: our scaling against KEDA's on four loads, as a table and a picture."""

# matplotlib leaves the types of its keyword arguments open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from benchmarks.simulation.scaling_loads import LOADS, compare

if TYPE_CHECKING:
    from benchmarks.simulation.simulated_pool import Outcome

mpl.use("Agg")

SEEDS = range(5)
PICTURE = Path(__file__).parents[2] / "docs" / "scaling" / "simulation.png"
COLOURS = {
    "KEDA, http": "#4a78b5",
    "KEDA, amqp": "#8a63b5",
    "KEDA, http, tuned": "#c98a2b",
    "AsyncApiProxy": "#1a7f5a",
}


def main() -> None:
    """Simulate, print the table and draw the picture."""
    compared = {load.name: compare(load, SEEDS) for load in LOADS}
    console = Console()
    console.print(_table(compared))
    _draw(compared)
    console.print(f"Drawn: {PICTURE.relative_to(Path.cwd())}")


def _table(compared: dict[str, dict[str, Outcome]]) -> Table:
    table = Table(title=f"Waits for a slot in seconds; means of {len(SEEDS)} seeds")
    table.add_column("load")
    table.add_column("scaled by")
    for column in ("p50", "p95", "killed", "wasted s", "pod-hours"):
        table.add_column(column, justify="right")
    for load, outcomes in compared.items():
        for policy, outcome in outcomes.items():
            table.add_row(
                load if policy == next(iter(outcomes)) else "",
                policy,
                f"{outcome.p50_seconds:.0f}",
                f"{outcome.p95_seconds:.0f}",
                f"{outcome.killed:.1f}",
                f"{outcome.wasted_seconds:,.0f}",
                f"{outcome.pod_hours:.1f}",
            )
        table.add_section()
    return table


def _draw(compared: dict[str, dict[str, Outcome]]) -> None:
    figure = Figure(figsize=(11, 7), layout="constrained")
    for index, (load, outcomes) in enumerate(compared.items(), start=1):
        axes = figure.add_subplot(2, 2, index)
        for policy, outcome in outcomes.items():
            minutes = [second / 60 for second in range(1, len(outcome.replicas) + 1)]
            label = policy + (f": {outcome.killed:.1f} killed" if outcome.killed else "")
            axes.plot(minutes, outcome.replicas, label=label, color=COLOURS[policy])
        axes.set_title(load)
        axes.set_xlabel("minutes")
        axes.set_ylabel("pods")
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
