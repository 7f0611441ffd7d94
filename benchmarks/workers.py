"""`workers`: more proxies and executors; the CPU that a request costs must not grow."""

from functools import partial
from typing import Any

from bench import Bench
from compare import WARM_UP_SECONDS, say
from cpu import undisturbed
from load import post_clients
from measure import Measured, measure, summary
from systems import ours

FULL = [(1, 1), (1, 2), (2, 1), (2, 2), (4, 4)]
QUICK = [(1, 1), (2, 2)]
CALLERS = 128


def run(
    bench: Bench, *, shapes: list[tuple[int, int]], seconds: float, rounds: int
) -> dict[str, Any]:
    """By proxies and executors what `compare` gives by callers."""
    measured: dict[tuple[int, int], list[Measured]] = {shape: [] for shape in shapes}
    for number in range(rounds):
        for proxies, executors in shapes if number % 2 == 0 else shapes[::-1]:
            with ours(bench, proxies=proxies, executors=executors) as running:
                post_clients(running.urls, callers=CALLERS, seconds=WARM_UP_SECONDS)
                one = undisturbed(
                    partial(
                        measure,
                        running,
                        {"upstream": [bench.upstream.pid]},
                        callers=CALLERS,
                        seconds=seconds,
                    ),
                    tries=bench.tries,
                )
            measured[proxies, executors].append(one)
            say(f"{proxies} + {executors}", 0, CALLERS, one)
    return {
        "callers": CALLERS,
        "shapes": [
            {"proxies": proxies, "executors": executors, **summary(rounds)}
            for (proxies, executors), rounds in measured.items()
        ],
    }
