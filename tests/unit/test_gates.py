"""What one process knows of limits and pauses, and what it tells those who wait."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from asynctasks.limit_rows import PausedKind
from asynctasks.limits.gates import Gates
from asynctasks.limits.hold import Hold, hold_by_limit
from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_state import BreakerKind, BreakerState, LimitState, Standing
from asynctasks.limits.pauses import Pause, Pauses
from asynctestkit.inside import operation

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
FREE = operation("free")
BOUND = operation("bound", limits=["crm"])


def state(limit: Limit | None = None, **values: object) -> LimitState:
    limit = limit or Limit(name="crm", concurrency=40)
    return replace(LimitState(limit=limit, declared=limit), **values)


def resting(seconds: float) -> LimitState:
    breaker = BreakerState(kind=BreakerKind.OPEN, failures=10, open_for_seconds=seconds)
    return state(breaker=breaker)


def paused(kind: PausedKind, name: str) -> Pauses:
    pause = Pause(kind=kind, name=name, paused_at=NOON, paused_by="ann")
    return Pauses({(kind, name): pause})


class Table:
    """What is read, and a clock that only the test moves."""

    def __init__(self, standing: Standing | None = None) -> None:
        self.standing = standing or Standing({}, Pauses())
        self.now = 0.0
        self.gates = Gates(self.read, clock=lambda: self.now)

    async def read(self) -> Standing:
        return self.standing


async def known(states: dict[str, LimitState], pauses: Pauses | None = None) -> Table:
    table = Table(Standing(states, pauses or Pauses()))
    await table.gates.refresh()
    return table


async def test_before_anything_was_read_nothing_is_held():
    gates = Table().gates
    assert gates.held_among([BOUND]) == []
    assert not gates.is_paused(BOUND)
    assert gates.why_held(BOUND, "") is None


@pytest.mark.parametrize(
    ("kind", "name", "is_free_paused"),
    [
        (PausedKind.QUEUE, "clients", True),
        (PausedKind.OPERATION, "bound", False),
        (PausedKind.LIMIT, "crm", False),
        (PausedKind.LIMIT, "clients", False),
    ],
)
async def test_a_pause_holds_what_it_names_and_says_so(
    kind: PausedKind, name: str, is_free_paused: bool
):
    gates = (await known({"crm": state()}, paused(kind, name))).gates
    is_paused = name != "clients" or kind is PausedKind.QUEUE
    assert gates.is_paused(BOUND) is is_paused
    assert gates.is_paused(FREE) is is_free_paused
    held = [name for name, holds in (("bound", is_paused), ("free", is_free_paused)) if holds]
    assert gates.held_among([BOUND, FREE]) == held
    detail = f"{kind} {name} is paused since 2030-01-01T12:00:00Z"
    assert gates.why_held(BOUND, "") == (Hold(kind, name, detail) if is_paused else None)


async def test_while_an_upstream_rests_nothing_starts_until_its_time_is_over():
    table = await known({"crm": resting(5)})
    assert table.gates.held_among([BOUND, FREE]) == ["bound"]
    assert not table.gates.is_paused(BOUND)
    table.now = 5.5
    assert table.gates.held_among([BOUND, FREE]) == []
    assert table.gates.states["crm"].breaker.open_for_seconds == -0.5


async def test_what_it_wrote_itself_it_knows_at_once_and_until_a_later_look():
    table = await known({"crm": state()})
    table.gates.know({"crm": resting(5)})
    assert table.gates.breaker("crm").most_at_once == 0
    await table.gates.refresh()
    assert table.gates.breaker("crm").most_at_once is None


async def test_a_look_that_began_before_it_wrote_is_no_later_one():
    async def read() -> Standing:
        table.now = 1.0
        table.gates.know({"crm": resting(5)})
        return table.standing

    table = Table(Standing({"crm": state()}, Pauses()))
    table.gates = Gates(read, clock=lambda: table.now)
    await table.gates.refresh()
    assert table.gates.breaker("crm").most_at_once == 0


async def test_a_limit_that_left_the_file_is_forgotten():
    table = await known({"crm": resting(5)})
    table.standing = Standing({}, Pauses())
    await table.gates.refresh()
    assert table.gates.held_among([BOUND]) == []
    assert table.gates.states == {}


async def test_it_tells_how_many_run_of_those_who_share_a_limit():
    table = Table(Standing({"crm": state()}, Pauses(), running={"crm": {"a": 30, "b": 10}}))
    await table.gates.refresh()
    hold = table.gates.why_held(BOUND, "a")
    assert hold == Hold(PausedKind.LIMIT, "crm", "limit crm: 40 of 40 run")
    assert table.gates.why_held(FREE, "a") is None


KEYED = Limit.model_validate(
    {"name": "crm", "concurrency": 40, "fairBy": "tenant", "perKey": {"concurrency": 3}}
)
PROBED = "limit crm waits for a probe of its upstream, which failed 10 times"


@pytest.mark.parametrize(
    ("of", "running", "running_of_key", "detail"),
    [
        (state(), 39, 39, None),
        (state(), 41, 0, "limit crm: 41 of 40 run"),
        (state(KEYED), 39, 2, None),
        (state(KEYED), 39, 3, "limit crm: 3 of 3 run for 'acme'"),
        (
            resting(90),
            0,
            0,
            "limit crm rests until 2030-01-01T12:01:30Z: its upstream failed 10 times",
        ),
        (resting(0), 0, 0, PROBED),
        (resting(0), 1, 1, PROBED),
        (
            state(breaker=BreakerState(kind=BreakerKind.RECOVERING, successes=2)),
            3,
            3,
            "limit crm recovers: 3 of 3 run",
        ),
    ],
)
def test_the_sentence_names_the_limit_and_why(
    of: LimitState, running: int, running_of_key: int, detail: str | None
):
    hold = hold_by_limit(
        of, fair_key="acme", running=running, running_of_key=running_of_key, now=NOON
    )
    assert hold == (detail and Hold(PausedKind.LIMIT, "crm", detail))


RATED = Limit.model_validate({"name": "crm", "ratePerSecond": 2.5, "burst": 9})
RATED_BY_KEY = Limit.model_validate(
    {"name": "crm", "fairBy": "tenant", "perKey": {"ratePerSecond": 2}}
)


@pytest.mark.parametrize(
    ("limit", "detail"),
    [
        (RATED, "limit crm: 2.5 start a second"),
        (RATED_BY_KEY, "limit crm: 2 start a second for 'acme'"),
    ],
)
async def test_what_waits_for_its_turn_at_a_rate_says_so_even_while_starts_are_left(
    limit: Limit, detail: str
):
    gates = (await known({"crm": state(limit)})).gates
    assert gates.why_held(BOUND, "acme") == Hold(PausedKind.LIMIT, "crm", detail)


async def test_what_binds_for_longer_is_told_before_a_rate():
    both = operation("both", limits=["rated", "crm"])
    table = Table(
        Standing({"rated": state(RATED), "crm": state()}, Pauses(), running={"crm": {"": 40}})
    )
    await table.gates.refresh()
    hold = table.gates.why_held(both, "")
    assert hold is not None
    assert hold.name == "crm"
