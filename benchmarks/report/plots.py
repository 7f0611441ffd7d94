"""What was measured as pictures, for docs/performance.md."""

# matplotlib leaves the types of its keyword arguments open.
# pyright: reportUnknownMemberType=false
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.report.results import Results
from benchmarks.sections.compare import COMPARE, Compared, typical_callers
from benchmarks.sections.rows import ROWS, Reads

mpl.use("Agg")

COLOURS = {
    "ours": "#1a7f5a",
    "embedded": "#7cc4a4",
    "original": "#b3423a",
    "taskiq": "#4a78b5",
    "faststream": "#8a63b5",
    "celery": "#c98a2b",
    "floor": "#8c8c8c",
}
PARTS = {
    "proxy": "#1a7f5a",
    "executor": "#6cb894",
    "up": "#3f9c78",
    "rabbitmq": "#e0883a",
    "postgresql": "#4a78b5",
    "redis": "#b3423a",
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Every picture for which there are results."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    if compared := results.of(COMPARE):
        files += [_throughput(compared, folder), _cpu(compared, folder)]
    if reads := results.of(ROWS):
        files.append(_reads(reads, folder))
    return files


def _throughput(compared: Compared, folder: Path) -> Path:
    plan = compared.plan
    figure, axes = _figure(len(plan.delays))
    for each, delay in zip(axes, plan.delays, strict=True):
        for system in plan.systems:
            found = {n: one for n in plan.callers if (one := compared.figures(system, n, delay))}
            if not found:
                continue
            below = [one.per_second - one.per_second_min for one in found.values()]
            above = [one.per_second_max - one.per_second for one in found.values()]
            each.errorbar(
                list(found),
                [one.per_second for one in found.values()],
                yerr=[below, above],
                label=system,
                color=COLOURS[system],
                marker="o",
                linewidth=2.5 if system == "ours" else 1.2,
                capsize=3,
            )
        each.set(
            title=f"upstream {delay * 1000:.0f} ms",
            xlabel="callers",
            ylabel="requests/s",
            xscale="log",
        )
        each.set_xticks(plan.callers, [f"{n:,}" for n in plan.callers])
        each.minorticks_off()
        each.set_ylim(bottom=0)
        each.grid(alpha=0.3)
    axes[0].legend()
    return _save(figure, folder / "throughput.png")


def _cpu(compared: Compared, folder: Path) -> Path:
    plan = compared.plan
    callers = typical_callers(plan)
    figure, (axes,) = _figure(1)
    found = {name: one for name in plan.systems if (one := compared.figures(name, callers))}
    left = [0.0] * len(found)
    for part, colour in PARTS.items():
        widths = [one.cpu_us.get(part, 0.0) for one in found.values()]
        if any(widths):
            axes.barh(list(found), widths, left=left, label=part, color=colour)
            left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.set(title=f"CPU of a request, {callers} callers, upstream 0 ms", xlabel="µs")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    return _save(figure, folder / "cpu.png")


def _reads(reads: Reads, folder: Path) -> Path:
    figure, (axes,) = _figure(1)
    for read in dict.fromkeys(each.read for each in reads.reads):
        points = [each for each in reads.reads if each.read == read]
        sizes = [each.rows for each in points]
        (line,) = axes.plot(sizes, [each.p99_ms for each in points], marker="o", label=read)
        axes.plot(sizes, [each.p50_ms for each in points], linestyle=":", color=line.get_color())
    axes.set(
        title="Reads while the table grows: p99 (solid) and p50 (dotted)",
        xlabel="rows",
        ylabel="ms",
        xscale="log",
        yscale="log",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    return _save(figure, folder / "rows.png")


def _figure(columns: int) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(6.5 * columns, 4.2), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, list(axes)


def _save(figure: Figure, file: Path) -> Path:
    figure.savefig(file, dpi=110, metadata={"Software": None})
    return file
