"""How much callers may ask for, as the access file declares it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asynctasks.declarations.declared import Declared, Whole
from asynctasks.limits.limit import Rate as PerSecond

Count = Annotated[Whole, Field(ge=1, le=10_000_000)]


class Rate(Declared):
    """How often something may be done: `burst` times at once, then `rate_per_second`."""

    rate_per_second: PerSecond
    burst: Count


class Quota(Declared):
    """What each tenant or each principal may have at a time; what is None is not bounded."""

    per: Literal["tenant", "principal"]
    submit: Rate | None = None
    queued: Count | None = None
    running: Count | None = None
    waiting: Count | None = None
    """Calls that are held for their answer."""
