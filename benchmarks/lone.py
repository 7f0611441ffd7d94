"""`lone`: whether a caller alone waits longer because writes are grouped."""

from statistics import median
from typing import Any

from bench import Bench, console
from load import post_clients
from systems import Running, ours, unbatched

ALTERNATIONS = 4
"""How often the two take turns while both run, one of them idle."""


def run(bench: Bench, *, seconds: float, rounds: int) -> dict[str, Any]:
    """p50 and p99 of one caller with GroupCommit and without; each round starts both anew."""
    latencies: dict[str, list[tuple[float, float]]] = {"grouped": [], "unbatched": []}
    errors: dict[str, int] = {}
    for number in range(rounds):
        with ours(bench) as grouped, unbatched(bench) as other:
            both = {"grouped": grouped, "unbatched": other}
            for running in both.values():
                post_clients(running.urls, callers=1, seconds=2)
            for turn in range(ALTERNATIONS):
                order = list(both.items())
                for name, running in order if (number + turn) % 2 == 0 else order[::-1]:
                    latencies[name].append(_one(name, running, seconds, errors))
    pairs = zip(latencies["grouped"], latencies["unbatched"], strict=True)
    ratios = [with_it / without for (with_it, _), (without, _) in pairs]
    return {
        **{
            name: {
                "p50_ms": median(p50 for p50, _ in found),
                "p50_ms_min": min(p50 for p50, _ in found),
                "p50_ms_max": max(p50 for p50, _ in found),
                "p99_ms": median(p99 for _, p99 in found),
            }
            for name, found in latencies.items()
        },
        "pairs": len(ratios),
        "ratio": median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "errors": errors,
    }


def _one(
    name: str, running: Running, seconds: float, errors: dict[str, int]
) -> tuple[float, float]:
    load = post_clients(running.urls, callers=1, seconds=seconds)
    for what, count in load.others.items():
        errors[what] = errors.get(what, 0) + count
    console.print(f"  {name:10} {load.p50_ms:6.2f} / {load.p99_ms:6.2f} ms")
    return load.p50_ms, load.p99_ms
