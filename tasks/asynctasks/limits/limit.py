"""A limit: what the upstreams of its operations may be asked by all executors together."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from asynctasks.declarations.declared import Declared, Number, Seconds, Whole

FAIR_BY = re.compile(r"principal|tenant|label:[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
Weight = Annotated[Number, Field(gt=0, le=1_000)]
Concurrency = Annotated[Whole, Field(ge=1, le=1_000_000)]
LEAST_RATE = 0.00001
"""A start in some 28 hours: a whole burst at that is still a time that has a date."""
Rate = Annotated[Number, Field(ge=LEAST_RATE, le=1_000_000)]
Burst = Annotated[Whole, Field(ge=1, le=1_000_000)]


class Breaker(Declared):
    """When an upstream is taken for down, and for how long it is left alone then."""

    failures: Whole = Field(default=10, ge=1, le=10_000)
    """So many attempts in a row that fail by the upstream's fault open it…"""
    within_seconds: Seconds = 10
    """…where they ended within this time."""
    open_seconds: tuple[Seconds, Seconds] = (5, 300)
    """How long it stays open at first, doubled with each probe that fails up to the second."""

    @field_validator("open_seconds")
    @classmethod
    def _grows(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first number is the shortest time, the second the longest")
        return value


class Bounds(Declared):
    """How many attempts may run at once, and how many may start in a time."""

    concurrency: Concurrency | None = None
    rate_per_second: Rate | None = None
    """In any t seconds at most `ratePerSecond` times t attempts start, and `burst` more."""
    burst: Burst = 1

    @model_validator(mode="after")
    def _bursts_with_a_rate(self) -> Self:
        if "burst" in self.model_fields_set and self.rate_per_second is None:
            raise ValueError("`burst` goes with a rate: expected `ratePerSecond`, too")
        return self

    def owed_seconds(self, allowed_in_seconds: float) -> float:
        """Of the time until its starts are spread evenly, as much as holds others back.

        Never more than a whole burst takes: what a slower rate has counted would go on at its pace.
        """
        if self.rate_per_second is None:
            return 0.0
        return min(max(0.0, allowed_in_seconds), self.burst / self.rate_per_second)

    def spent_starts(self, allowed_in_seconds: float) -> float:
        """How many starts are spent of the burst."""
        return (self.rate_per_second or 0.0) * self.owed_seconds(allowed_in_seconds)


class Limit(Bounds):
    """What its operations may ask of their upstream; several operations may share one."""

    name: str
    fair_by: str | None = None
    """Who share it evenly: by each principal, each tenant, or each value of a label."""
    weights: dict[str, Weight] = Field(default_factory=dict[str, Weight])
    """Of some of those who share it, how many times the others' share they get."""
    per_key: Bounds | None = None
    """What each of those who share it may have of it."""
    breaker: Breaker | None = None

    @field_validator("fair_by")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value is not None and not FAIR_BY.fullmatch(value):
            raise ValueError("expected principal, tenant or label:NAME")
        return value

    @model_validator(mode="after")
    def _tells_keys_apart(self) -> Self:
        for name, key in (("weights", "weights"), ("per_key", "perKey")):
            if self.fair_by is None and name in self.model_fields_set:
                raise ValueError(f"`{key}` goes with `fairBy`, which says who shares it")
        if self.per_key is not None and not self.per_key.model_fields_set:
            raise ValueError("`perKey` bounds nothing: expected `concurrency` or `ratePerSecond`")
        return self

    def weight_of(self, key: str) -> float:
        """How much of it who has this key gets beside another."""
        return self.weights.get(key, 1.0)
