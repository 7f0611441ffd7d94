"""What Prometheus may read of this process. Each service declares its own in its `metrics.py`.

A label's values come from the operations file or from the code, never from a caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

if TYPE_CHECKING:
    from collections.abc import Iterable

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Buckets from a call that is answered at once to an attempt that takes half an hour."""

_registry = CollectorRegistry()
_exposed: set[Collector] = set()
for _of_python in (ProcessCollector, PlatformCollector, GCCollector):
    _of_python(registry=_registry)


def expose(metrics: Iterable[Collector]) -> None:
    """Have this process show the metrics. A service does so once it runs.

    Made without a registry, they are not shown by a process that imports them and does not use
    them; and those of several services in one process, as in `up`, are shown together.
    """
    for metric in metrics:
        if metric not in _exposed:
            _exposed.add(metric)
            _registry.register(metric)


def exposition(accept: str = "") -> tuple[bytes, str]:
    """All that is exposed, and its content type: in Prometheus' text format or OpenMetrics.

    `accept` is the header of who asks; only OpenMetrics has exemplars.
    """
    encode, content_type = choose_encoder(accept)
    return encode(_registry), content_type
