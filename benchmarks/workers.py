"""`workers`: more proxies and executors; the CPU that a request costs must not grow.

Under a load that grows with them, and under one that does not.
"""

from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from bench import Bench
from compare import WARM_UP_SECONDS, say
from cpu import undisturbed
from load import post_clients
from measure import Measured, measure, summary
from systems import Running, ours

FULL = [(1, 1), (1, 2), (2, 1), (2, 2), (4, 4)]
QUICK = [(1, 1), (2, 2)]


@dataclass(frozen=True, slots=True)
class WorkersLoad:
    """Who calls, and how slow the upstream is."""

    name: str
    callers: int
    is_for_each_proxy: bool
    delay_seconds: float
    """Of the upstream on average: from half to one and a half of it, so that callers spread."""

    def callers_of(self, proxies: int) -> int:
        """All callers together."""
        return self.callers * (proxies if self.is_for_each_proxy else 1)

    def shapes(self, shapes: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those that it is put on: a load of its own each pair needs pairs."""
        return [one for one in shapes if one[0] == one[1] or not self.is_for_each_proxy]


LOADS = [
    WorkersLoad("own", callers=100, is_for_each_proxy=True, delay_seconds=0.5),
    WorkersLoad("same", callers=128, is_for_each_proxy=False, delay_seconds=0),
]


def run(
    bench: Bench, *, shapes: list[tuple[int, int]], seconds: float, rounds: int
) -> dict[str, Any]:
    """By load and then by proxies and executors what `compare` gives by callers."""
    return {load.name: _under(bench, load, shapes, seconds, rounds) for load in LOADS}


def _under(
    bench: Bench, load: WorkersLoad, shapes: list[tuple[int, int]], seconds: float, rounds: int
) -> dict[str, Any]:
    measured: dict[tuple[int, int], list[tuple[Measured, float]]] = {
        shape: [] for shape in load.shapes(shapes)
    }
    for number in range(rounds):
        for proxies, executors in list(measured)[:: 1 if number % 2 == 0 else -1]:
            with ours(bench, proxies=proxies, executors=executors) as running:
                callers = load.callers_of(proxies)
                post_clients(running.urls, callers=callers, seconds=WARM_UP_SECONDS)
                one = undisturbed(
                    partial(_measure, bench, running, load, callers, seconds), tries=bench.tries
                )
            measured[proxies, executors].append(one)
            say(f"{proxies} + {executors}", load.delay_seconds, callers, one[0])
    return {
        "callers": load.callers,
        "shapes": [
            {
                "proxies": proxies,
                "executors": executors,
                **summary([one for one, _ in rounds]),
                "commits": median(commits for _, commits in rounds),
            }
            for (proxies, executors), rounds in measured.items()
        ],
    }


def _measure(
    bench: Bench, running: Running, load: WorkersLoad, callers: int, seconds: float
) -> tuple[Measured, float]:
    """What was measured, and how many transactions a request took."""
    before = bench.count_commits()
    one = measure(
        running,
        {"upstream": [bench.upstream.pid]},
        callers=callers,
        seconds=seconds,
        delay_seconds=load.delay_seconds,
        is_spread=True,
    )
    return one, (bench.count_commits() - before) / max(1, one.load.sent)
