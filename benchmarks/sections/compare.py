"""`compare`: every system under the same load, in alternating order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import undisturbed
from benchmarks.machine.load import post_clients
from benchmarks.machine.measure import Figures, Measured, measure
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table, latency, speed
from benchmarks.systems.systems import SYSTEMS, SystemMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WARM_UP_SECONDS = 2
RIVALS = ("taskiq", "faststream", "celery")
PARTS = ("proxy", "executor", "up", "rabbitmq", "postgresql", "redis")
USABLE_SHARE = 0.7
"""Of a core: what is planned for; the rest is for peaks, and for a part that is restarted."""
RATES = (1_000, 5_000, 20_000)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and for how long."""

    systems: list[str]
    callers: list[int]
    delays: list[float]
    """Seconds that the upstream takes."""
    seconds: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One system under one load."""

    system: str
    delay: float
    callers: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Compared:
    """What was measured of each system."""

    plan: Plan
    missing: dict[str, str]
    """Why a system could not run, by its name."""
    cells: list[Cell]

    def figures(self, system: str, callers: int, delay: float = 0) -> Figures | None:
        """Those of one system under one load."""
        for cell in self.cells:
            if (cell.system, cell.callers, cell.delay) == (system, callers, delay):
                return cell.figures
        return None


FULL = Plan(list(SYSTEMS), [1, 32, 256, 1000], [0, 0.2], 8, 3)
QUICK = Plan(["original", "ours", "embedded", "floor"], [32], [0], 3, 1)

_Rounds = defaultdict[tuple[str, float, int], list[Measured]]


def _plan(asked: Asked) -> Plan:
    usual = QUICK if asked.quick else FULL
    return Plan(
        systems=list(asked.systems) or usual.systems,
        callers=list(asked.callers) or usual.callers,
        delays=list(asked.delays) or usual.delays,
        seconds=asked.seconds or usual.seconds,
        rounds=asked.rounds or usual.rounds,
    )


def _run(bench: Bench, asked: Asked) -> Compared:
    plan = _plan(asked)
    measured: _Rounds = defaultdict(list)
    missing: dict[str, str] = {}
    for number in range(plan.rounds):
        # Forward, then backward: what the machine does meanwhile hits no system always.
        for name in plan.systems if number % 2 == 0 else plan.systems[::-1]:
            try:
                _one_system(bench, plan, name, number, measured)
            except SystemMissingError as error:
                missing[name] = str(error)
    cells = [
        Cell(name, delay, callers, Figures.of(rounds))
        for (name, delay, callers), rounds in measured.items()
    ]
    return Compared(plan, missing, cells)


def _one_system(bench: Bench, plan: Plan, name: str, number: int, measured: _Rounds) -> None:
    system = SYSTEMS[name]
    with system.start(bench) as running:
        post_clients(running.urls, callers=max(plan.callers), seconds=WARM_UP_SECONDS)
        post_clients(running.urls, callers=min(plan.callers), seconds=1)
        for delay in plan.delays if system.has_upstream else [0]:
            for callers in plan.callers if number % 2 == 0 else plan.callers[::-1]:
                one = undisturbed(
                    partial(
                        measure,
                        running,
                        bench.outside,
                        callers=callers,
                        seconds=plan.seconds,
                        delay_seconds=delay,
                    ),
                    tries=bench.tries,
                )
                measured[name, delay, callers].append(one)
                say(name, delay, callers, one)


def say(name: str, delay: float, callers: int, one: Measured) -> None:
    """One line on the terminal, so that a long run is seen to go on."""
    errors = f"  [red]{one.load.others}[/]" if one.load.others else ""
    console.print(
        f"  {name:10} {callers:>5} callers, upstream {delay * 1000:3.0f} ms: "
        f"{one.load.per_second:7.0f}/s  {one.load.p50_ms:7.1f} / {one.load.p99_ms:7.1f} ms  "
        f"{one.cpu_us_total:6.0f} µs{errors}"
    )


def _merged(earlier: Compared, later: Compared) -> Compared:
    """One result of two runs that compared different systems, callers or delays."""
    plans = earlier.plan, later.plan
    systems = {name for plan in plans for name in plan.systems}
    cells = {
        (cell.system, cell.delay, cell.callers): cell for cell in (*earlier.cells, *later.cells)
    }
    plan = replace(
        later.plan,
        systems=[name for name in SYSTEMS if name in systems],
        callers=sorted({number for plan in plans for number in plan.callers}),
        delays=sorted({delay for plan in plans for delay in plan.delays}),
    )
    return Compared(plan, {**earlier.missing, **later.missing}, list(cells.values()))


def _part(compared: Compared) -> str:
    plan = compared.plan
    names = "" if set(plan.systems) == set(SYSTEMS) else f"{', '.join(plan.systems)} "
    return f"{names}at {', '.join(map(str, plan.callers))} callers"


def _tables(compared: Compared) -> Iterator[tuple[str, Table]]:
    plan = compared.plan
    for delay in plan.delays:
        milliseconds = round(delay * 1000)
        title = f"Requests/s (lowest to highest round), upstream {milliseconds} ms"
        yield f"speed-{milliseconds}", _by_callers(compared, delay, title, speed)
        title = f"p50 / p99 in ms, upstream {milliseconds} ms"
        yield f"latency-{milliseconds}", _by_callers(compared, delay, title, latency)
        for callers in plan.callers:
            yield f"cpu-{milliseconds}-{callers}", _cpu(compared, callers, delay)
    largest = typical_callers(plan)
    if ours := compared.figures("ours", largest):
        yield "capacity", _capacity(ours, largest)


def typical_callers(plan: Plan) -> int:
    """What is shown where one number of callers stands for all."""
    return 256 if 256 in plan.callers else max(plan.callers)


def _by_callers(
    compared: Compared, delay: float, title: str, text: Callable[[Figures | None], str]
) -> Table:
    callers = compared.plan.callers
    table = Table(title, ["system", *(f"{number:,} callers" for number in callers)])
    for system in compared.plan.systems:
        found = [compared.figures(system, number, delay) for number in callers]
        if any(found):
            table.rows.append([system, *map(text, found)])
    return table


def _cpu(compared: Compared, callers: int, delay: float) -> Table:
    table = Table(
        f"CPU of a request in µs, {callers:,} callers, upstream {delay * 1000:.0f} ms",
        ["system", *PARTS, "in all", "upstream, apart"],
    )
    for system in compared.plan.systems:
        if one := compared.figures(system, callers, delay):
            parts = [f"{one.cpu_us[part]:,.0f}" if part in one.cpu_us else "" for part in PARTS]
            outside = f"{one.outside_us['upstream']:,.0f}"
            table.rows.append([system, *parts, f"{one.cpu_us_total:,.0f}", outside])
    return table


def _capacity(ours: Figures, callers: int) -> Table:
    table = Table(
        f"Cores needed, from the CPU of a request at {callers} callers, each core used to "
        f"{USABLE_SHARE:.0%}",
        ["part", "µs for a request", *(f"{rate:,}/s" for rate in RATES)],
    )
    for part, microseconds in {**ours.cpu_us, "in all": ours.cpu_us_total}.items():
        cores = [f"{rate * microseconds / 1e6 / USABLE_SHARE:,.1f}" for rate in RATES]
        table.rows.append([part, f"{microseconds:,.0f}", *cores])
    return table


def _promises(compared: Compared | None) -> Iterator[Promise]:
    for callers, factor in ((256, 10), (32, 6)):
        text = f"≥ {factor} × the original design at {callers} callers"
        yield _faster(text, compared, ("original",), callers, factor)
    for callers in (32, 256):
        yield _cheap(compared, callers)
    for callers in (32, 256):
        text = f"≥ 1.5 × the best of taskiq, FastStream and Celery at {callers} callers"
        yield _faster(text, compared, RIVALS, callers, 1.5)


def _cheap(compared: Compared | None, callers: int) -> Promise:
    text = f"CPU of a request, all processes, at {callers} callers ≤ 1,000 µs"
    ours = compared and compared.figures("ours", callers)
    if not ours:
        return Promise(text)
    return Promise(text, f"{ours.cpu_us_total:,.0f} µs", ours.cpu_us_total <= 1000)


def _faster(
    text: str, compared: Compared | None, others: tuple[str, ...], callers: int, factor: float
) -> Promise:
    if not compared:
        return Promise(text)
    ours = compared.figures("ours", callers)
    found = {name: other for name in others if (other := compared.figures(name, callers))}
    if ours is None or not found:
        return Promise(text)
    name, best = max(found.items(), key=lambda other: other[1].per_second)
    ratio = ours.per_second / max(best.per_second, 1e-9)
    errors = " (with errors)" if ours.errors or best.errors else ""
    measured = (
        f"{ratio:.1f} × ({ours.per_second:,.0f}/s against {best.per_second:,.0f}/s of "
        f"{name}){errors}"
    )
    return Promise(text, measured, ratio >= factor and not ours.errors)


def _faults(compared: Compared) -> Iterator[str]:
    for cell in compared.cells:
        where = f"{cell.system} at {cell.callers} callers"
        if cell.figures.errors:
            yield f"{where}: {cell.figures.errors}"
        if not cell.figures.per_second:
            yield f"{where} gave no result"


COMPARE = Section(
    name="compare",
    results=Compared,
    run=_run,
    tables=_tables,
    promises=_promises,
    faults=_faults,
    merged=_merged,
    part=_part,
)
