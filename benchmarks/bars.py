"""What we promise of the speed, beside what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]
"""What was measured, by subcommand."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise, and whether it holds; None where this run cannot tell."""

    promise: str
    measured: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        if self.holds is None:
            return "too small a run to tell" if self.measured else "not measured"
        return "holds" if self.holds else "does not hold"


def bars(results: Results) -> list[Bar]:
    """All of them, in the order of the report."""
    return [
        *_compared(results.get("compare")),
        _embedded(results.get("embedded")),
        _parked(results.get("parked")),
        _reads(results.get("rows")),
        *_workers(results.get("workers")),
        *_backlog(results.get("backlog")),
        _lone(results.get("lone")),
    ]


def cell(compared: Results, system: str, callers: int, delay: float = 0) -> Results | None:
    """What `compare` measured of one system."""
    for each in compared["cells"]:
        if (each["system"], each["callers"], each["delay"]) == (system, callers, delay):
            return each
    return None


def _compared(compared: Results | None) -> Iterator[Bar]:
    rivals = ("taskiq", "faststream", "celery")
    for callers, factor in ((256, 10), (32, 6)):
        promise = f"≥ {factor} × the original design at {callers} callers"
        yield _ratio(promise, compared, ("original",), callers, factor)
    for callers in (32, 256):
        promise = f"CPU of a request, all processes, at {callers} callers ≤ 1,000 µs"
        ours = compared and cell(compared, "ours", callers)
        if ours:
            total = ours["cpu_us_total"]
            yield Bar(promise, f"{total:,.0f} µs", total <= 1000)
        else:
            yield Bar(promise, "", None)
    for callers in (32, 256):
        promise = f"≥ 1.5 × the best of taskiq, FastStream and Celery at {callers} callers"
        yield _ratio(promise, compared, rivals, callers, 1.5)


def _ratio(
    promise: str, compared: Results | None, others: tuple[str, ...], callers: int, factor: float
) -> Bar:
    if not compared:
        return Bar(promise, "", None)
    ours = cell(compared, "ours", callers)
    found = [other for name in others if (other := cell(compared, name, callers))]
    if ours is None or not found:
        return Bar(promise, "", None)
    best = max(found, key=lambda other: other["per_second"])
    ratio = ours["per_second"] / max(best["per_second"], 1e-9)
    errors = " (with errors)" if ours["errors"] or best["errors"] else ""
    measured = (
        f"{ratio:.1f} × ({ours['per_second']:,.0f}/s against {best['per_second']:,.0f}/s of "
        f"{best['system']}){errors}"
    )
    return Bar(promise, measured, ratio >= factor and not ours["errors"])


def _embedded(embedded: Results | None) -> Bar:
    promise = "embedded: ≥ 2,000 tasks/s submitted and run by one process"
    if not embedded:
        return Bar(promise, "", None)
    speeds = {name: embedded[name]["tasks_per_second"] for name in ("waiting", "respond-async")}
    measured = ", ".join(f"{name} {speed:,.0f}/s" for name, speed in speeds.items())
    return Bar(promise, measured, min(speeds.values()) >= 2000)


def _parked(parked: Results | None) -> Bar:
    promise = "20,000 parked callers in one proxy within 500 MB"
    if not parked:
        return Bar(promise, "", None)
    megabytes = parked["rss_parked_bytes"] / 1e6
    # A limit of open files may stop a little short of it; the rest is no great extrapolation.
    callers = parked["callers"]
    needed = parked["rss_empty_bytes"] + (
        (parked["rss_parked_bytes"] - parked["rss_empty_bytes"]) * 20_000 / callers
    )
    measured = f"{callers:,} in {megabytes:,.0f} MB"
    if callers < 20_000:
        measured += f" (20,000 would take {needed / 1e6:,.0f} MB)"
    all_answered = parked["unanswered"] == 0 and set(parked["statuses"]) <= {"200", "201"}
    return Bar(promise, measured, needed <= 500e6 and all_answered)


def _reads(reads: Results | None) -> Bar:
    promise = "p99 of GET /tasks ≤ 1.5 × from 10⁴ to 10⁷ rows"
    if not reads:
        return Bar(promise, "", None)
    p99 = {each["rows"]: each["p99_ms"] for each in reads["reads"] if each["read"] == "GET /tasks"}
    smallest, largest = min(p99), max(p99)
    ratio = p99[largest] / p99[smallest]
    measured = f"{ratio:.2f} × from {smallest:,} to {largest:,} rows"
    return Bar(promise, measured, ratio <= 1.5 if largest >= 10**7 else None)


def _workers(workers: Results | None) -> Iterator[Bar]:
    for load, text in (("own", "each pair with a load of its own"), ("same", "the same load")):
        promise = f"more proxies and executors, {text}: CPU of a request ≤ 1.15 × that of 1 + 1"
        if not workers:
            yield Bar(promise, "", None)
            continue
        one, *more = workers[load]["shapes"]
        worst = max(more, key=lambda each: each["cpu_us_total"])
        ratio = worst["cpu_us_total"] / one["cpu_us_total"]
        measured = f"{ratio:.2f} × with {worst['proxies']} + {worst['executors']}"
        yield Bar(promise, measured, ratio <= 1.15)


def _backlog(backlog: Results | None) -> Iterator[Bar]:
    for what, text in (("relay", "relay"), ("run", "run")):
        promise = f"CPU to {text} a task ≤ 1.15 × with 10⁶ queued"
        runs = [each for each in (backlog or {"runs": []})["runs"] if each["what"] == what]
        if not runs:
            yield Bar(promise, "", None)
            continue
        totals = {each["rows"]: sum(each["cpu_us"].values()) for each in runs}
        smallest, largest = min(totals), max(totals)
        ratio = totals[largest] / totals[smallest]
        measured = f"{ratio:.2f} × from {smallest:,} to {largest:,} queued"
        yield Bar(promise, measured, ratio <= 1.15 if largest >= 10**6 else None)


def _lone(lone: Results | None) -> Bar:
    promise = "p50 at 1 caller ≤ 1.15 × that without grouped commits"
    if not lone:
        return Bar(promise, "", None)
    grouped, unbatched = lone["grouped"]["p50_ms"], lone["unbatched"]["p50_ms"]
    measured = f"{lone['ratio']:.2f} × ({grouped:.1f} ms against {unbatched:.1f} ms)"
    return Bar(promise, measured, lone["ratio"] <= 1.15)


def faults(results: Results) -> Iterator[str]:
    """What is wrong at any speed: answers that are none, callers who got none."""
    for name, errors in _errors(results):
        if errors:
            yield f"{name}: {errors}"
    for one in results.get("compare", {"cells": []})["cells"]:
        if not one["per_second"]:
            yield f"{one['system']} at {one['callers']} callers gave no result"
    parked = results.get("parked")
    if parked and (parked["unanswered"] or set(parked["statuses"]) - {"200", "201"}):
        yield f"parked: {parked['statuses']}, {parked['unanswered']} without an answer"


def _errors(results: Results) -> Iterator[tuple[str, Any]]:
    for one in results.get("compare", {"cells": []})["cells"]:
        yield f"{one['system']} at {one['callers']} callers", one["errors"]
    for load in results.get("workers", {}).values():
        for one in load["shapes"]:
            yield f"{one['proxies']} proxies, {one['executors']} executors", one["errors"]
    for one in results.get("rows", {"reads": []})["reads"]:
        yield f"{one['read']} at {one['rows']:,} rows", one["errors"]
    if "lone" in results:
        yield "lone", results["lone"]["errors"]
    for name in ("waiting", "respond-async"):
        if "embedded" in results:
            yield f"embedded, {name}", results["embedded"][name]["errors"]
