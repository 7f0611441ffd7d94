"""How much each caller may have at a time, and whether a call fits into that.

what       counted by              how exact
submit     each proxy, its share   the sum is the rate, but for the seconds in which a proxy
                                   comes: until the others have counted it
waiting    each proxy, its share   likewise; one at least for each proxy
queued     rows, in the            always
running    transaction that adds
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncproxy.access.principal import Principal
from asyncproxy.access.rates import Rates
from asyncproxy.access.shares import Shares
from asynctasks.errors import QuotaExceededError
from asynctasks.statements.quotas import Bound

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from asyncproxy.access.quota import Quota, Rate
    from asynctasks.statements.owners import Owner
    from asynctasks.statements.proxies import Proxies
    from asynctasks.statements.quotas import Holder

Key = tuple[str, str, str]
"""By `per` of the quota whose it is: a tenant and a principal may have the same name."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one call may take of its caller's quotas."""

    bounds: tuple[Bound, ...]
    """What its task has to fit into."""
    headers: dict[str, str]
    """What its caller is told of the quotas (draft-ietf-httpapi-ratelimit-headers-11)."""
    _waiting: Counter[Key]
    _places: tuple[tuple[Key, int, QuotaExceededError], ...]

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Hold the call's place among those that wait; raises QuotaExceededError."""
        for key, places, error in self._places:
            if self._waiting[key] >= places:
                raise error
        keys = [key for key, _, _ in self._places]
        self._waiting.update(keys)
        try:
            yield
        finally:
            self._waiting.subtract(keys)
            for key in keys:
                if not self._waiting[key]:
                    del self._waiting[key]


class Quotas:
    """The quotas of the access file as it stands, and what one proxy's callers have of them."""

    def __init__(self, declared: Callable[[], tuple[Quota, ...]], proxies: Proxies) -> None:
        self._declared = declared
        self._rates: Rates[Key] = Rates()
        self._waiting: Counter[Key] = Counter()
        self.shares = Shares(proxies, has_quotas=lambda: bool(declared()))

    def allow(self, principal: Principal) -> Allowance | None:
        """What one more call of this caller may take; None where it has no quotas.

        Raises QuotaExceededError where it calls too often.
        """
        declared = self._declared()
        if not declared:
            return None
        policies: list[str] = []
        left: list[str] = []
        for quota in declared:
            policies += _policies(quota)
            if quota.submit is not None:
                left.append(self._take(quota, quota.submit, _key(quota, principal)))
        headers = {"RateLimit-Policy": ", ".join(policies)}
        if left:
            headers["RateLimit"] = ", ".join(left)
        return Allowance(self.bounds(principal), headers, self._waiting, self._places(principal))

    def bounds(self, principal: Principal) -> tuple[Bound, ...]:
        """How many tasks it may have."""
        return tuple(
            Bound(
                policy=quota.per,
                holder=_holder(quota, principal),
                queued=quota.queued,
                running=quota.running,
            )
            for quota in self._declared()
            if quota.queued is not None or quota.running is not None
        )

    def bounds_of_owner(self, owner: Owner) -> tuple[Bound, ...]:
        """How many tasks there may be of whoever has submitted one of theirs, for one more."""
        if owner.is_of_asynctask:
            return ()
        return self.bounds(Principal(name=owner.principal, tenant=owner.tenant))

    def _take(self, quota: Quota, rate: Rate, key: Key) -> str:
        """Take one call of the rate; what is told of it."""
        proxies = self.shares.count
        taken = self._rates.take(
            key,
            rate_per_second=rate.rate_per_second / proxies,
            burst=max(1.0, rate.burst / proxies),
        )
        name = f"{quota.per}-submit"
        if taken.wait_seconds:
            raise QuotaExceededError(
                name,
                limit=rate.burst,
                window_seconds=_window_seconds(rate),
                retry_after_seconds=math.ceil(taken.wait_seconds),
            )
        return f'"{name}";r={taken.remaining};t={math.ceil(taken.full_after_seconds)}'

    def _places(self, principal: Principal) -> tuple[tuple[Key, int, QuotaExceededError], ...]:
        return tuple(
            (
                _key(quota, principal),
                max(1, quota.waiting // self.shares.count),
                QuotaExceededError(f"{quota.per}-waiting", limit=quota.waiting),
            )
            for quota in self._declared()
            if quota.waiting is not None
        )


def _holder(quota: Quota, principal: Principal) -> Holder:
    """Whose the quota is: of who has no tenant, its own."""
    if quota.per == "tenant" and principal.tenant:
        return "tenant", principal.tenant
    return "principal", principal.name


def _key(quota: Quota, principal: Principal) -> Key:
    return quota.per, *_holder(quota, principal)


def _policies(quota: Quota) -> list[str]:
    """Each with its amount and, where it is one of calls in a time, the seconds of that."""
    found: list[str] = []
    if quota.submit is not None:
        window = _window_seconds(quota.submit)
        found.append(f'"{quota.per}-submit";q={quota.submit.burst};w={window}')
    for name, limit in (
        ("queued", quota.queued),
        ("running", quota.running),
        ("waiting", quota.waiting),
    ):
        if limit is not None:
            found.append(f'"{quota.per}-{name}";q={limit};qu="concurrent-requests"')
    return found


def _window_seconds(rate: Rate) -> int:
    """In which as many calls as the burst has come again."""
    return max(1, math.ceil(rate.burst / rate.rate_per_second))
