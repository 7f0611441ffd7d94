"""The loads that are simulated. The seed moves arrivals and lengths, never the kind of load."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.simulation.scaling_policies import Keda, Ours
from benchmarks.simulation.simulated_pool import Outcome, Policy, Task, mean, simulate

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Load:
    """Tasks, and how long to watch."""

    name: str
    seconds: int
    tasks: Callable[[random.Random], list[Task]]


def _bursts(chance: random.Random) -> list[Task]:
    starts = [60 + chance.randrange(30), 1_500 + chance.randrange(30)]
    return [Task(start, 20) for start in starts for _ in range(200)]


def _long(chance: random.Random) -> list[Task]:
    return [Task(chance.randrange(60, 1_260), chance.randrange(300, 901)) for _ in range(20)]


def _short(chance: random.Random) -> list[Task]:
    start = 60 + chance.randrange(30)
    return [Task(start, 1) for _ in range(2_000)]


def _ramp(chance: random.Random) -> list[Task]:
    return [
        Task(second, 5)
        for second in range(1, 1_201)
        for _ in range(2)
        if chance.random() < second / 1_200
    ]


LOADS = (
    Load("two bursts of 200 tasks of 20 s", 3_000, _bursts),
    Load("20 tasks of 300 to 900 s", 3_600, _long),
    Load("2,000 tasks of 1 s at once", 1_200, _short),
    Load("a ramp to 2 tasks of 5 s a second", 1_800, _ramp),
)


def policies(seed: int) -> list[Policy]:
    """Each afresh. KEDA as it comes, by either protocol, as well as can be tuned, and ours."""
    phase = random.Random(seed).randrange(Keda.HPA_SECONDS)  # noqa: S311, a model
    return [
        Keda("KEDA, http", phase_seconds=phase),
        Keda("KEDA, amqp", protocol="amqp", phase_seconds=phase),
        Keda("KEDA, http, tuned", window_seconds=60, unlimited=True, phase_seconds=phase),
        Ours(),
    ]


def compare(load: Load, seeds: range) -> dict[str, Outcome]:
    """What came of the load under each policy, on average over the seeds."""
    outcomes: dict[str, list[Outcome]] = {}
    for seed in seeds:
        for policy in policies(seed):
            tasks = load.tasks(random.Random(seed))  # noqa: S311, a model
            outcome = simulate(tasks, policy, seconds=load.seconds, seed=seed)
            outcomes.setdefault(policy.name, []).append(outcome)
    return {name: mean(of_seeds) for name, of_seeds in outcomes.items()}
