"""`compare`: every system under the same load, in alternating order."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from bench import Bench, console
from cpu import undisturbed
from load import post_clients
from measure import Measured, measure, summary
from systems import SYSTEMS, SystemMissingError

WARM_UP_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and for how long."""

    systems: list[str]
    callers: list[int]
    delays: list[float]
    seconds: float
    rounds: int


FULL = Plan(list(SYSTEMS), [1, 32, 256, 1000], [0, 0.2], 8, 3)
QUICK = Plan(["original", "ours", "embedded", "floor"], [32], [0], 3, 1)


def run(bench: Bench, plan: Plan) -> dict[str, Any]:
    """The results by system, delay and callers; a system that cannot run says why."""
    measured: defaultdict[tuple[str, float, int], list[Measured]] = defaultdict(list)
    missing: dict[str, str] = {}
    for number in range(plan.rounds):
        # Forward, then backward: what the machine does meanwhile hits no system always.
        for name in plan.systems if number % 2 == 0 else plan.systems[::-1]:
            try:
                _one_system(bench, plan, name, number, measured)
            except SystemMissingError as error:
                missing[name] = str(error)
    return {
        "plan": asdict(plan),
        "missing": missing,
        "cells": [
            {"system": name, "delay": delay, "callers": callers, **summary(rounds)}
            for (name, delay, callers), rounds in measured.items()
        ],
    }


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """One result of two runs that compared different systems, callers or delays."""
    plans = earlier["plan"], later["plan"]
    systems = {name for plan in plans for name in plan["systems"]}
    cells = {
        (cell["system"], cell["delay"], cell["callers"]): cell
        for cell in (*earlier["cells"], *later["cells"])
    }
    return {
        "plan": {
            **later["plan"],
            "systems": [name for name in SYSTEMS if name in systems],
            "callers": sorted({number for plan in plans for number in plan["callers"]}),
            "delays": sorted({delay for plan in plans for delay in plan["delays"]}),
        },
        "missing": {**earlier["missing"], **later["missing"]},
        "cells": list(cells.values()),
    }


def _one_system(
    bench: Bench,
    plan: Plan,
    name: str,
    number: int,
    measured: defaultdict[tuple[str, float, int], list[Measured]],
) -> None:
    system = SYSTEMS[name]
    outside = {"upstream": [bench.upstream.pid]}
    with system.start(bench) as running:
        post_clients(running.urls, callers=max(plan.callers), seconds=WARM_UP_SECONDS)
        post_clients(running.urls, callers=min(plan.callers), seconds=1)
        for delay in plan.delays if system.upstream else [0]:
            for callers in plan.callers if number % 2 == 0 else plan.callers[::-1]:
                one = undisturbed(
                    partial(
                        measure,
                        running,
                        outside,
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
        f"{sum(one.cpu_us.values()):6.0f} µs{errors}"
    )
