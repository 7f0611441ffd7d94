"""How fast this machine is, beside one that the limits of the checks are made for."""

import time

ORDINARY_SECONDS = 0.35
"""For the work below, on the machine by which those limits were chosen."""


def slowness() -> float:
    """How many times longer it takes for the same work; 1 where it is as fast, or faster."""
    best = min(_work_seconds() for _ in range(3))
    return max(1.0, best / ORDINARY_SECONDS)


def _work_seconds() -> float:
    began = time.perf_counter()
    total = 0
    for number in range(5_000_000):
        total += number * number
    return time.perf_counter() - began
