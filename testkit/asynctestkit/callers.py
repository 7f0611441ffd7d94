"""Callers who are told apart, for tests that are not about how they prove who they are."""

from collections.abc import Iterable

import httpx
from starlette.requests import Request

from asyncproxy.access.access import Access
from asyncproxy.access.principal import Principal
from asyncproxy.access.quota import Quota
from asyncproxy.access.rules import Action, Rule, Rules, Scope
from asyncproxy.problems import UnauthenticatedError

CHANGES = frozenset({Action.CANCEL, Action.RETRY, Action.DELETE})
EVERYTHING = frozenset(Action)


class NamedCallers:
    """Knows each of its callers by `Authorization: Bearer <name>`."""

    def __init__(self, callers: Iterable[Principal]) -> None:
        self.known = {f"Bearer {caller.name}": caller for caller in callers}

    def principal_of(self, request: Request) -> Principal:
        caller = self.known.get(request.headers.get("authorization", ""))
        if caller is None:
            raise UnauthenticatedError
        return caller


def proof(caller: Principal | None) -> dict[str, str]:
    """The headers by which it is known; of None those of whoever has no proof."""
    return {} if caller is None else {"Authorization": f"Bearer {caller.name}"}


def rule(*, may: Iterable[Action] = EVERYTHING, tasks: Scope = Scope.OWN, **more: object) -> Rule:
    return Rule(may=frozenset(may), tasks=tasks, **more)  # type: ignore[arg-type]


def access(callers: Iterable[Principal], *rules: Rule, quotas: Iterable[Quota] = ()) -> Access:
    """Without rules each may do everything with its own."""
    return Access(NamedCallers(callers), Rules(rules or (rule(),)), tuple(quotas))


async def as_caller(client: httpx.AsyncClient, caller: Principal | None) -> httpx.AsyncClient:
    """The same client, which from now on is this caller's."""
    client.headers.update(proof(caller))
    return client
