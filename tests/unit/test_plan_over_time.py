"""What limits promise holds whatever is released, claimed and ended in which order.

The model has what the statements do: it counts rows and what is reserved, spends the rate at the
claim, and keeps turns.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_state import LimitState
from asynctasks.limits.plan import plan
from asynctasks.limits.reserve import places_ahead
from asynctasks.limits.rooms import Group, HeldTask, InHand, KeyState, Rooms, Situation

LIMITS_OF = {"create": ("crm",), "export": ("crm", "exports"), "free": ()}
KEYS = ("a", "b", "c")
WINDOW = 12
Where = Literal["queued", "published", "running", "job", "ended"]
IN_HAND = ("published", "running", "job")


@dataclass
class Row:
    id: UUID
    operation: str
    key: str
    priority: int
    due_at: float
    where: Where = "queued"
    under: int = 0
    """The bounds that held when it was released."""


@dataclass
class Kept:
    """A limit's row."""

    limit: Limit
    paused: bool = False
    allowed_at: float = -math.inf
    turn: float = 0.0
    starts: list[float] = field(default_factory=list[float])
    """Under the bounds that hold."""


class Releasing(RuleBasedStateMachine):
    @initialize(data=st.data())
    def begin(self, data: Any) -> None:
        self.begin_with({name: Kept(self._any_limit(data, name)) for name in ("crm", "exports")})

    def begin_with(self, kept: dict[str, Kept]) -> None:
        self.now, self.bounds = 0.0, 0
        self.rows: list[Row] = []
        self.keys: dict[tuple[str, str], KeyState] = {}
        self.reserved: Counter[tuple[str, str]] = Counter()
        self.kept = kept

    def _any_limit(self, data: Any, name: str) -> Limit:
        some = st.none() | st.integers(1, 6)
        rate = data.draw(st.none() | st.sampled_from([0.5, 2.0, 10.0]))
        declared = {
            "concurrency": data.draw(some),
            "ratePerSecond": rate,
            **({"burst": data.draw(st.integers(1, 4))} if rate else {}),
            "fairBy": "tenant",
            "weights": {"a": data.draw(st.sampled_from([1, 3]))},
            "perKey": {"concurrency": data.draw(st.none() | st.integers(1, 2))},
        }
        return Limit.model_validate({"name": name, **declared})

    @rule(
        operation=st.sampled_from(list(LIMITS_OF)),
        key=st.sampled_from(KEYS),
        priority=st.integers(0, 9),
        delay=st.sampled_from([0, 0, 0, 5]),
        count=st.integers(1, 5),
    )
    def submit(self, operation: str, key: str, priority: int, delay: float, count: int) -> None:
        for _ in range(count):
            number = UUID(int=len(self.rows))
            self.rows.append(Row(number, operation, key, priority, self.now + delay))

    @rule(operation=st.sampled_from(list(LIMITS_OF)), key=st.sampled_from(KEYS))
    def reserve(self, operation: str, key: str) -> None:
        self.reserved.pop((operation, key), None)
        group = Group(queue="clients", operation=operation, priority=5, fair_key=key, tasks=())
        before = self._situation()
        if places := places_ahead(before, group, wanted=5):
            self.reserved[operation, key] = places
        self._never_more_than_the_bounds(before)

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def submit_in_a_place(self, data: Any) -> None:
        operation, key = of = data.draw(st.sampled_from(sorted(self.reserved)))
        self.reserved[of] -= 1
        self.reserved += Counter[tuple[str, str]]()  # without those of which none is left
        row = Row(UUID(int=len(self.rows)), operation, key, 5, self.now, "published", self.bounds)
        self.rows.append(row)

    @rule(seconds=st.sampled_from([0.01, 0.1, 1, 30, 400]))
    def advance(self, seconds: float) -> None:
        self.now += seconds

    @rule(read=st.integers(1, 4))
    def release(self, read: int) -> None:
        self._forgive()
        before = self._situation()
        groups = self._groups(read)
        made = plan(before, groups)
        free = replace(before, reserved={})
        if made.waits and len(plan(free, groups).tasks) > len(made.tasks):
            self.reserved.clear()
            before, made = free, plan(free, groups)
        held = {row.id: row for row in self.at("queued") if row.due_at <= self.now}
        assert len(set(made.tasks)) == len(made.tasks)
        for task_id in made.tasks:
            row = held[task_id]
            assert not any(self.kept[name].paused for name in LIMITS_OF[row.operation])
            row.where, row.under = "published", self.bounds
        for name, turn in made.turns.items():
            assert turn >= self.kept[name].turn
            self.kept[name].turn = turn
        for key, turn in made.key_turns.items():
            self.keys[key] = replace(self.keys.get(key, KeyState()), turn=turn)
        self._never_more_than_the_bounds(before)
        after = Rooms(self._situation())
        left = self._groups(1)
        assert made.waits is bool(left)
        # Nothing that was read and had room is left; what was not read is asked for again.
        assert made.has_more is any(after.left_for(group) > 0 for group in left)
        if not any(group.is_cut for group in groups):
            assert not made.has_more

    def _never_more_than_the_bounds(self, before: Situation) -> None:
        """Bounds that somebody has lowered may be passed already, but by no more."""
        for name, kept in self.kept.items():
            for keys, bound in (
                (KEYS, kept.limit.concurrency),
                *(((key,), kept.limit.per_key and kept.limit.per_key.concurrency) for key in KEYS),
            ):
                if bound is not None:
                    was = sum(
                        count.total
                        for (operation, key), count in before.in_hand.items()
                        if name in LIMITS_OF[operation] and key in keys
                    )
                    was += self._reserved_of(name, keys, before.reserved)
                    assert self._in_hand_of(name, keys) <= max(was, bound)
        # What is added in a place that was reserved looks at no window.
        were = WINDOW - before.queue_rooms["clients"]
        assert len(self.at("published")) <= max(were, WINDOW)

    @precondition(lambda self: self.at("published"))
    @rule(data=st.data())
    def claim(self, data: Any) -> None:
        row = data.draw(st.sampled_from(self.at("published")))
        row.where = "running"
        for name in LIMITS_OF[row.operation]:
            kept = self.kept[name]
            if row.under == self.bounds:
                kept.starts.append(self.now)
            if rate := kept.limit.rate_per_second:
                kept.allowed_at = max(kept.allowed_at, self.now) + 1 / rate

    @precondition(lambda self: self.at("running"))
    @rule(data=st.data(), end=st.sampled_from(["ends", "fails", "is killed", "starts a job"]))
    def leave(self, data: Any, end: str) -> None:
        row = data.draw(st.sampled_from(self.at("running")))
        row.where = {"ends": "ended", "starts a job": "job"}.get(end, "queued")  # type: ignore[assignment]
        row.due_at = self.now + (2 if end == "fails" else 0)

    @precondition(lambda self: self.at("job"))
    @rule(data=st.data())
    def end_job(self, data: Any) -> None:
        data.draw(st.sampled_from(self.at("job"))).where = "ended"

    @precondition(lambda self: self.at("published"))
    @rule(data=st.data())
    def put_back(self, data: Any) -> None:
        data.draw(st.sampled_from(self.at("published"))).where = "queued"

    @rule(data=st.data(), name=st.sampled_from(["crm", "exports"]))
    def change(self, data: Any, name: str) -> None:
        self.bounds += 1
        for kept in self.kept.values():
            kept.starts.clear()
        self.kept[name].limit = self._any_limit(data, name)
        self.reserved.clear()

    def _forgive(self) -> None:
        for kept in self.kept.values():
            if kept.limit.rate_per_second is not None:
                owed = kept.limit.owed_seconds(kept.allowed_at - self.now)
                kept.allowed_at = min(kept.allowed_at, self.now + owed)

    @rule(name=st.sampled_from(["crm", "exports"]))
    def pause_or_resume(self, name: str) -> None:
        self.kept[name].paused = not self.kept[name].paused
        self.reserved.clear()

    @rule()
    def forget_keys(self) -> None:
        """As the relay does now and then with those that are not ahead."""
        self.keys = {
            (name, key): known
            for (name, key), known in self.keys.items()
            if known.turn > self.kept[name].turn
        }

    @invariant()
    def starts_keep_the_rate_in_every_window(self) -> None:
        for kept in getattr(self, "kept", {}).values():
            rate, starts = kept.limit.rate_per_second, kept.starts
            for first in range(len(starts) if rate else 0):
                for last in range(first, len(starts)):
                    most = rate * (starts[last] - starts[first]) + kept.limit.burst
                    assert last - first + 1 <= most + 1e-6

    def at(self, *where: Where) -> list[Row]:
        return [row for row in self.rows if row.where in where]

    def _in_hand_of(self, limit: str, keys: tuple[str, ...]) -> int:
        rows = sum(
            limit in LIMITS_OF[row.operation] and row.key in keys
            for row in self.rows
            if row.where in IN_HAND
        )
        return rows + self._reserved_of(limit, keys, self.reserved)

    def _reserved_of(self, limit: str, keys: tuple[str, ...], reserved: Mapping[Any, int]) -> int:
        return sum(
            places
            for (operation, key), places in reserved.items()
            if limit in LIMITS_OF[operation] and key in keys
        )

    def _groups(self, read: int) -> list[Group]:
        found: defaultdict[tuple[str, int, str], list[Row]] = defaultdict(list)
        for row in sorted(self.at("queued"), key=lambda row: row.due_at):
            if row.due_at <= self.now:
                found[row.operation, row.priority, row.key].append(row)
        return [
            Group(
                queue="clients",
                operation=operation,
                priority=priority,
                fair_key=key,
                tasks=[HeldTask(row.id, self.now - row.due_at) for row in rows[:read]],
                is_cut=len(rows) > read,
            )
            for (operation, priority, key), rows in found.items()
        ]

    def _situation(self) -> Situation:
        started = Counter((row.operation, row.key) for row in self.at("running", "job"))
        published = Counter((row.operation, row.key) for row in self.at("published"))
        return Situation(
            limits_of=LIMITS_OF,
            states={
                name: LimitState(
                    limit=kept.limit,
                    declared=kept.limit,
                    paused=kept.paused,
                    allowed_in_seconds=kept.allowed_at - self.now,
                    turn=kept.turn,
                )
                for name, kept in self.kept.items()
            },
            in_hand={
                key: InHand(started[key], published[key]) for key in started.keys() | published
            },
            keys=self.keys,
            queue_rooms={"clients": WINDOW - published.total()},
            reserved=self.reserved.copy(),
        )


@settings(max_examples=10)
@given(
    floods=st.lists(st.integers(1, 20), min_size=2, max_size=8),
    concurrency=st.integers(1, 12),
    random=st.randoms(use_true_random=False),
)
def test_each_of_n_keys_gets_half_of_its_share_at_least_whoever_floods(
    floods: list[int], concurrency: int, random: Random
):
    model = Releasing()
    limit = Limit.model_validate({"name": "crm", "concurrency": concurrency, "fairBy": "tenant"})
    model.begin_with({"crm": Kept(limit), "exports": Kept(limit)})
    ended = Counter[str]()
    for _ in range(150):
        for number, flood in enumerate(floods):
            while sum(row.key == f"{number}" for row in model.at("queued")) < flood:
                model.submit("create", f"{number}", 5, 0, 1)
        model.release(2)
        for row in model.at("published"):
            row.where = "running"
        model.now += 1
        row = random.choice(model.at("running"))
        row.where = "ended"
        ended[row.key] += 1
    for number in range(len(floods)):
        assert ended[f"{number}"] >= 150 / (2 * len(floods)) - concurrency


TestReleasing = Releasing.TestCase
TestReleasing.settings = settings(deadline=None, max_examples=40, stateful_step_count=40)
