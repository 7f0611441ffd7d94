"""What was measured as tables: one form for the terminal and for the document."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table as RichTable

import profile_cpu
from bars import Results, bars, cell

USABLE_SHARE = 0.7
"""Of a core: what is planned for; the rest is for peaks, and for a part that is restarted."""
RATES = (1_000, 5_000, 20_000)


@dataclass
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


def tables(results: Results) -> dict[str, Table]:
    """By name every table for which there are results."""
    builders: dict[str, Callable[[Any], Iterable[tuple[str, Table]]]] = {
        "compare": _compared,
        "embedded": _embedded,
        "parked": _parked,
        "rows": _reads,
        "workers": _workers,
        "backlog": _backlog,
        "lone": _lone,
        "profile": _profile,
    }
    found = {"bars": _bars(results)}
    for section, build in builders.items():
        if section in results:
            found.update(build(results[section]))
    return found


def _bars(results: Results) -> Table:
    table = Table("The bars of the design", ["promise", "measured", "verdict"])
    for bar in bars(results):
        verdict = f"**{bar.verdict}**" if bar.holds is False else bar.verdict
        table.rows.append([bar.promise, bar.measured, verdict])
    return table


def _compared(compared: Results) -> Iterable[tuple[str, Table]]:
    plan = compared["plan"]
    for delay in plan["delays"]:
        milliseconds = round(delay * 1000)
        callers = plan["callers"]
        speeds = Table(
            f"Requests/s (lowest to highest round), upstream {milliseconds} ms",
            ["system", *(f"{n:,} callers" for n in callers)],
        )
        latencies = Table(
            f"p50 / p99 in ms, upstream {milliseconds} ms",
            ["system", *(f"{n:,} callers" for n in callers)],
        )
        for system in plan["systems"]:
            cells = [cell(compared, system, n, delay) for n in callers]
            if any(cells):
                speeds.rows.append([system, *map(_speed, cells)])
                latencies.rows.append([system, *map(_latency, cells)])
        yield f"speed-{milliseconds}", speeds
        yield f"latency-{milliseconds}", latencies
        for n in callers:
            yield f"cpu-{milliseconds}-{n}", _cpu(compared, n, delay)
    largest = 256 if 256 in plan["callers"] else max(plan["callers"])
    ours = cell(compared, "ours", largest)
    if ours:
        yield "capacity", _capacity(ours, largest)


def _speed(one: Results | None) -> str:
    if one is None:
        return ""
    spread = f"{one['per_second_min']:,.0f} to {one['per_second_max']:,.0f}"
    return f"{one['per_second']:,.0f} ({spread}){_errors(one['errors'])}"


def _latency(one: Results | None) -> str:
    return f"{one['p50_ms']:,.1f} / {one['p99_ms']:,.1f}" if one else ""


def _errors(errors: dict[str, int]) -> str:
    return (
        f" ⚠ {', '.join(f'{count} × {name}' for name, count in errors.items())}" if errors else ""
    )


def _cpu(compared: Results, callers: int, delay: float) -> Table:
    names = ["proxy", "executor", "up", "rabbitmq", "postgresql", "redis"]
    table = Table(
        f"CPU of a request in µs, {callers:,} callers, upstream {delay * 1000:.0f} ms",
        ["system", *names, "in all", "upstream, apart"],
    )
    for system in compared["plan"]["systems"]:
        one = cell(compared, system, callers, delay)
        if one:
            parts = [f"{one['cpu_us'][n]:,.0f}" if n in one["cpu_us"] else "" for n in names]
            outside = f"{one['outside_us']['upstream']:,.0f}"
            table.rows.append([system, *parts, f"{one['cpu_us_total']:,.0f}", outside])
    return table


def _capacity(ours: Results, callers: int) -> Table:
    table = Table(
        f"Cores needed, from the CPU of a request at {callers} callers, each core used to "
        f"{USABLE_SHARE:.0%}",
        ["part", "µs for a request", *(f"{rate:,}/s" for rate in RATES)],
    )
    for part, microseconds in {**ours["cpu_us"], "in all": ours["cpu_us_total"]}.items():
        cores = [f"{rate * microseconds / 1e6 / USABLE_SHARE:,.1f}" for rate in RATES]
        table.rows.append([part, f"{microseconds:,.0f}", *cores])
    return table


def _embedded(embedded: Results) -> Iterable[tuple[str, Table]]:
    table = Table(
        f"Embedded, a handler operation, {embedded['callers']} callers",
        ["callers", "tasks/s (spread)", "CPU of a task", "p50 / p99 of the POST"],
    )
    for name in ("waiting", "respond-async"):
        one = embedded[name]
        errors = f" ⚠ {one['errors']}" if one["errors"] else ""
        table.rows.append(
            [
                name,
                f"{one['tasks_per_second']:,.0f} ({one['min']:,.0f} to {one['max']:,.0f}){errors}",
                f"{one['cpu_us']:,.0f} µs",
                f"{one['p50_ms']:,.0f} / {one['p99_ms']:,.0f} ms",
            ]
        )
    yield "embedded", table


def _parked(parked: Results) -> Iterable[tuple[str, Table]]:
    table = Table("Parked callers in one proxy", ["what", "measured"])
    per_caller = (parked["rss_parked_bytes"] - parked["rss_empty_bytes"]) / parked["callers"]
    idle = ", ".join(f"{name} {share:.1%}" for name, share in parked["idle_share"].items())
    statuses = ", ".join(f"{count:,} × {status}" for status, count in parked["statuses"].items())
    table.rows += [
        ["callers", f"{parked['callers']:,} (files a process may open: {parked['files_limit']:,})"],
        ["memory of the proxy without callers", f"{parked['rss_empty_bytes'] / 1e6:,.0f} MB"],
        ["with all of them", f"{parked['rss_parked_bytes'] / 1e6:,.0f} MB"],
        ["for each", f"{per_caller / 1000:,.1f} kB"],
        ["when all are answered", f"{parked['rss_answered_bytes'] / 1e6:,.0f} MB"],
        ["time for all to arrive, each task committed", f"{parked['arriving_seconds']:,.1f} s"],
        ["CPU while they wait, of one core", idle],
        ["time to run and answer all, one executor", f"{parked['answering_seconds']:,.1f} s"],
        ["answers", f"{statuses}; without one: {parked['unanswered']}"],
    ]
    yield "parked", table


def _reads(reads: Results) -> Iterable[tuple[str, Table]]:
    sizes = sorted({each["rows"] for each in reads["reads"]})
    table = Table(
        f"p50 / p99 in ms of reads, {reads['callers']} callers",
        ["read", *(f"{size:,} rows" for size in sizes)],
    )
    found = {(each["read"], each["rows"]): each for each in reads["reads"]}
    for read in dict.fromkeys(each["read"] for each in reads["reads"]):
        cells = [found[read, size] for size in sizes]
        table.rows.append(
            [
                f"`{read}`",
                *(_read(one, reads["seconds"]) for one in cells),
            ]
        )
    yield "rows", table


def _read(one: Results, seconds: float) -> str:
    if not one["per_second"] and not one["errors"]:
        return f"none within {seconds:g} s"
    return _latency(one) + _errors(one["errors"])


def _workers(workers: Results) -> Iterable[tuple[str, Table]]:
    parts = ["proxy", "executor", "rabbitmq", "postgresql"]
    headings = ["proxies + executors", "requests/s", "p50 / p99 ms", *(f"{p} µs" for p in parts)]
    own, same = workers["own"], workers["same"]
    for name, title, load in (
        ("own", f"{own['callers']} callers for each pair, upstream 250 to 750 ms", own),
        ("same", f"{same['callers']} callers in all, upstream 0 ms", same),
    ):
        table = Table(
            f"Proxies + executors, {title}", [*headings, "in all", "transactions a request"]
        )
        for one in load["shapes"]:
            table.rows.append(
                [
                    f"{one['proxies']} + {one['executors']}",
                    _speed(one),
                    _latency(one),
                    *(f"{one['cpu_us'][part]:,.0f}" for part in parts),
                    f"{one['cpu_us_total']:,.0f}",
                    f"{one['commits']:.2f}",
                ]
            )
        yield f"workers-{name}", table


def _backlog(backlog: Results) -> Iterable[tuple[str, Table]]:
    parts = ["proxy", "executor", "rabbitmq", "postgresql"]
    table = Table(
        "A backlog: CPU for each task in µs",
        ["step", "queued", "tasks/s", *parts, "in all"],
    )
    for one in sorted(backlog["runs"], key=lambda each: (each["what"], each["rows"])):
        cpu = one["cpu_us"]
        table.rows.append(
            [
                one["what"],
                f"{one['rows']:,}",
                f"{one['per_second']:,.0f}",
                *(f"{cpu[part]:,.0f}" if part in cpu else "" for part in parts),
                f"{sum(cpu.values()):,.0f}",
            ]
        )
    yield "backlog", table


def _lone(lone: Results) -> Iterable[tuple[str, Table]]:
    table = Table(
        f"One caller, {lone['pairs']} pairs of runs",
        ["writes", "p50 ms (lowest to highest run)", "p99 ms", "p50, as ratio of the pairs"],
    )
    ratio = f"{lone['ratio']:.2f} ({lone['ratio_min']:.2f} to {lone['ratio_max']:.2f})"
    for name, text in (("grouped", ratio), ("unbatched", "1")):
        one = lone[name]
        spread = f"{one['p50_ms_min']:,.2f} to {one['p50_ms_max']:,.2f}"
        table.rows.append([name, f"{one['p50_ms']:,.2f} ({spread})", f"{one['p99_ms']:,.2f}", text])
    yield "lone", table


def _profile(profile: Results) -> Iterable[tuple[str, Table]]:
    table = Table(
        f"CPU of a request by component in µs, {profile['callers']} callers",
        ["component", *(name for name, _, _ in _profiled(profile))],
    )
    columns = [(cpu_us, shares) for _, cpu_us, shares in _profiled(profile)]
    for component in dict.fromkeys(profile_cpu.COMPONENTS.values()):
        parts = [cpu_us * shares.get(component, 0) for cpu_us, shares in columns]
        table.rows.append([component, *(f"{part:,.0f}" if part else "" for part in parts)])
    table.rows.append(["in all", *(f"{cpu_us:,.0f}" for cpu_us, _ in columns)])
    yield "profile", table


def _profiled(profile: Results) -> Iterable[tuple[str, float, dict[str, float]]]:
    for load in profile["loads"]:
        for part, shares in load["share"].items():
            yield load["load"] if part == "up" else part, load["cpu_us"][part], shares
