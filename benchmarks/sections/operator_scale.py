"""What the operator costs with many AsyncTask objects, on a real cluster.

    .venv/bin/python -m benchmarks.sections.operator_scale --kubeconfig FILE [--objects 5000]

Fills a PostgreSQL of its own with running tasks, has an operator show them all in a namespace of
its own, and prints memory, CPU and start-up time of an operator that finds them there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import psutil

from asynctestkit.kubernetes_cluster import CRDS, Kubectl
from asynctestkit.processes import Installation, Service
from asynctestkit.servers import PostgresqlServer, RabbitmqServer
from asynctestkit.sql import execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILL = """
INSERT INTO tasks (
    id, operation, queue, arguments, status, max_attempts, attempt, version, created_at, started_at,
    lease_until, executor
)
SELECT gen_random_uuid(), 'create-client', 'clients', '{}', 'running', 3, 1, 2,
    now() - interval '1 hour', now() - interval '1 hour', now() + interval '1 day', 'one'
FROM generate_series(1, $1)
"""
CHANGE = """
UPDATE tasks SET version = version + 1, attempt = attempt + 1
WHERE id IN (SELECT id FROM tasks ORDER BY random() LIMIT $1)
"""
STEADY_SECONDS = 60.0
CHANGES_PER_SECOND = 10
WAIT_SECONDS = 1_200


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=5_000)
    given = parser.parse_args()
    kubectl = Kubectl(given.kubeconfig, f"scale-{uuid4().hex[:8]}")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    kubectl("create", "namespace", kubectl.namespace)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            PostgresqlServer() as server,
            RabbitmqServer() as broker,
        ):
            figures = _measure(kubectl, given.objects, Path(folder), server.url, broker.url)
        print(json.dumps(figures, indent=2))
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def _measure(
    kubectl: Kubectl, objects: int, folder: Path, database_url: str, broker_url: str
) -> dict[str, Any]:
    installation = Installation(folder, database_url=database_url, broker_url=broker_url)
    installation.migrate()
    execute(database_url, FILL, objects)
    operator_of = partial(
        installation.operator, kubeconfig=kubectl.kubeconfig, namespace=kubectl.namespace
    )
    # Only to be there sooner: the operator that is measured has its own limits.
    with operator_of("filling", mirror_writes_per_second=300, mirror_write_burst=300) as filling:
        began = time.monotonic()
        _until(lambda: _metric(filling, "asyncapiproxy_mirror_objects") >= objects)
        _until(lambda: _metric(filling, "asyncapiproxy_mirror_stale_tasks") == 0)
        filled = time.monotonic() - began
        filling.stop()
    began = time.monotonic()
    with operator_of("measured") as operator:
        _until(lambda: _metric(operator, "asyncapiproxy_mirror_objects") >= objects)
        started = time.monotonic() - began
        process = psutil.Process(operator.pid)
        start_cpu = _cpu(process)
        time.sleep(10)  # what the start leaves to do
        steady = _cpu_share(process, STEADY_SECONDS, lambda: None)
        changing = _cpu_share(
            process,
            STEADY_SECONDS,
            lambda: execute(database_url, CHANGE, CHANGES_PER_SECOND),
        )
        return {
            "objects": int(_metric(operator, "asyncapiproxy_mirror_objects")),
            "fill_seconds": round(filled, 1),
            "start_seconds": round(started, 1),
            "start_cpu_seconds": round(start_cpu, 1),
            "steady_cpu_percent": round(steady, 1),
            f"cpu_percent_at_{CHANGES_PER_SECOND}_changes_per_second": round(changing, 1),
            "rss_mb": round(process.memory_info().rss / 1e6),
            "peak_rss_mb": round(_peak_kb(operator.pid) * 1024 / 1e6),
            "faults": operator.faults,
        }


def _cpu_share(process: psutil.Process, seconds: float, each_second: Callable[[], object]) -> float:
    before, began = _cpu(process), time.monotonic()
    while time.monotonic() - began < seconds:
        each_second()
        time.sleep(1)
    return 100 * (_cpu(process) - before) / (time.monotonic() - began)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _metric(operator: Service, name: str) -> float:
    return next(_values(operator, name), 0.0)


def _values(operator: Service, name: str) -> Iterator[float]:
    for line in httpx.get(f"{operator.url}/metrics", trust_env=False).text.splitlines():
        if line.startswith(f"{name} "):
            yield float(line.split()[1])


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("the operator did not come so far in time")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
