"""How limits and queues look in a terminal."""

import io
from typing import Any

from rich.console import Console, RenderableType

from asyncapiproxy.operating_display import limit_view, limits_view, queues_view

LIMIT: dict[str, Any] = {
    "name": "crm",
    "operations": ["create-client", "export"],
    "declared": {"concurrency": 40},
    "changed": {},
    "concurrency": 40,
    "ratePerSecond": None,
    "burst": None,
    "running": 40,
    "held": 1200,
    "startsLeft": None,
    "breaker": None,
    "paused": None,
}
SINCE = "2026-01-31T12:00:00Z"


def shown(view: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_what_a_limit_does_not_have_is_not_told():
    assert shown(limit_view(LIMIT)) == [
        "limit crm",
        "operations create-client, export",
        "concurrency 40",
        "running 40",
        "held 1200",
    ]


def test_all_that_the_file_says_of_a_limit_is_told():
    of_file = {
        "perKey": {"concurrency": 2, "ratePerSecond": 2.5},
        "fairBy": "label:team",
        "weights": {"acme": 3.0, "zeta": 0.5},
        "breaker": {"failures": 3, "openSeconds": [2.0, 8.5]},
    }
    breaker = {"state": "closed", "failures": 1, "openedAt": None, "probeAt": None}
    told = shown(limit_view(LIMIT | {"declared": of_file, "breaker": breaker}))
    assert told[3:6] == [
        "each has concurrency: 2, ratePerSecond: 2.5",
        "shared by label:team",
        "weights acme: 3, zeta: 0.5",
    ]
    assert told[-2] == "breaker closed, 1 failure in a row"
    assert told[-1] == "it opens by failures: 3, openSeconds: [2, 8.5]"


def test_a_list_names_what_was_set_in_place_of_the_files():
    changed = LIMIT | {"changed": {"concurrency": 1, "ratePerSecond": 2}, "concurrency": 1}
    assert shown(limits_view([changed]))[1].endswith("concurrency, rate per second")


def test_a_breaker_that_is_open_says_since_when_and_until_when():
    breaker = {"state": "open", "failures": 12, "openedAt": SINCE, "probeAt": SINCE}
    lines = shown(limit_view(LIMIT | {"breaker": breaker}))
    since = "2026-01-31 12:00:00 UTC"
    assert lines[-1] == f"breaker open, 12 failures in a row, since {since}, next probe {since}"
    assert shown(limits_view([LIMIT | {"breaker": breaker}]))[1] == "crm 40 of 40 1200 open"


def test_a_pause_says_by_whom_and_steers_no_terminal():
    pause = {"since": SINCE, "by": "ann\x1b[2J"}
    counts = {"queued": 1, "held": 1, "published": 0, "running": 0}
    more: dict[str, Any] = {"executors": 2, "paused": pause, "operations": []}
    queue = {"name": "clients", **counts, **more}
    assert shown(queues_view([queue]))[1] == (
        "clients 1 1 0 0 2 since 2026-01-31 12:00:00 UTC by ann�[2J"
    )
