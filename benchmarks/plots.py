"""What was measured as pictures, for docs/performance.md."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bars import Results, cell

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
    if compared := results.get("compare"):
        files += [_throughput(compared, folder), _cpu(compared, folder)]
    if reads := results.get("rows"):
        files.append(_reads(reads, folder))
    return files


def _throughput(compared: Results, folder: Path) -> Path:
    plan = compared["plan"]
    figure, axes = _figure(len(plan["delays"]))
    for each, delay in zip(axes, plan["delays"], strict=True):
        for system in plan["systems"]:
            cells = [found for n in plan["callers"] if (found := cell(compared, system, n, delay))]
            if not cells:
                continue
            speeds = [one["per_second"] for one in cells]
            below = [one["per_second"] - one["per_second_min"] for one in cells]
            above = [one["per_second_max"] - one["per_second"] for one in cells]
            each.errorbar(
                [one["callers"] for one in cells],
                speeds,
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
        each.set_xticks(plan["callers"], [f"{n:,}" for n in plan["callers"]])
        each.minorticks_off()
        each.set_ylim(bottom=0)
        each.grid(alpha=0.3)
    axes[0].legend()
    return _save(figure, folder / "throughput.png")


def _cpu(compared: Results, folder: Path) -> Path:
    plan = compared["plan"]
    callers = 256 if 256 in plan["callers"] else max(plan["callers"])
    figure, (axes,) = _figure(1)
    systems = [name for name in plan["systems"] if cell(compared, name, callers)]
    left = [0.0] * len(systems)
    for part, colour in PARTS.items():
        widths = [
            (cell(compared, name, callers) or {})["cpu_us"].get(part, 0.0) for name in systems
        ]
        if any(widths):
            axes.barh(systems, widths, left=left, label=part, color=colour)
            left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.set(title=f"CPU of a request, {callers} callers, upstream 0 ms", xlabel="µs")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    return _save(figure, folder / "cpu.png")


def _reads(reads: Results, folder: Path) -> Path:
    figure, (axes,) = _figure(1)
    for read in dict.fromkeys(each["read"] for each in reads["reads"]):
        points = [each for each in reads["reads"] if each["read"] == read]
        sizes = [each["rows"] for each in points]
        (line,) = axes.plot(sizes, [each["p99_ms"] for each in points], marker="o", label=read)
        axes.plot(sizes, [each["p50_ms"] for each in points], linestyle=":", color=line.get_color())
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
